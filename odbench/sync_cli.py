"""``odbench sync`` as a person sees it. Thin, as :mod:`odbench.cli`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from odbench.errors import InputError
from odbench.reporting import AsJson, print_json, reported

if TYPE_CHECKING:
    from odbench.syncing import Item, Synced


@reported
def sync(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Run or sweep folders; all of --runs-dir if none.")
    ] = None,
    *,
    runs_dir: Annotated[Path, typer.Option(help="Where runs are.")] = Path("runs"),
    uri: Annotated[
        str | None, typer.Option(help="The store; each run's own tracking.uri if not given.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="In it; each run's own tracking.experiment if not given.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is missing; send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Send runs to MLflow that it does not have, exactly once.

    Such as those of a store that was down, of a process that was killed, and those of
    tracking.enabled=false (tracking=none): they are sent as well.
    """
    from odbench.syncing import Fate
    from odbench.syncing import sync as send
    from odbench.tracking.sync import Places

    _check_given(uri, experiment)
    count = 0

    def show(item: Item, total: int) -> None:
        nonlocal count
        count += 1
        if item.fate is not Fate.unsent:  # the store's own error says it once for all
            typer.echo(_line(item, count, total), err=as_json)

    done = send(folders or [runs_dir], Places(uri, experiment), dry_run=dry_run, on_item=show)
    for folder in done.left_out:
        typer.echo(
            f"odbench: left out, without a record: {folder}: its run is still going, or the "
            f"process that started it was killed: odbench resume {folder} goes on with it",
            err=True,
        )
    for error in dict.fromkeys(item.error for item in done.items if item.error):
        typer.echo(f"odbench: not sent: {error}", err=True)
    if as_json:
        print_json(_as_json(done))
    else:
        typer.echo(_summary(done))
    return done.exit_code


def _check_given(uri: str | None, experiment: str | None) -> None:
    from odbench.config.spec import TrackingSpec
    from odbench.errors import ConfigError
    from odbench.tracking.store import check_address

    if experiment is not None and not experiment.strip():
        raise InputError("a name is missing", where="--experiment", value=experiment)
    if uri is None:
        return
    if ":" not in uri and uri != "databricks":
        raise InputError(
            "not the address of a store",
            where="--uri",
            value=uri,
            allowed="such as http://HOST:5000, postgresql://HOST/NAME, sqlite:///PATH",
        )
    check_address(uri, "--uri")
    try:
        TrackingSpec(uri=uri)
    except ConfigError as error:
        raise InputError(error.what, where="--uri", fix=error.fix) from error


def _line(item: Item, number: int, total: int) -> str:
    text = f"[{number}/{total}] {item.fate}: {item.kind} {item.name}  {item.dir}"
    if item.error is None:
        return text
    return f"{text}: {item.error.splitlines()[0]}"


def _summary(done: Synced) -> str:
    texts = []
    for kind in ("run", "sweep"):
        counts = Counter(item.fate for item in done.items if item.kind == kind)
        if counts:
            shown = ", ".join(f"{number} {fate}" for fate, number in sorted(counts.items()))
            texts.append(f"{kind}s: {shown}")
    if done.left_out:
        texts.append(f"without a record: {len(done.left_out)}")
    return "; ".join(texts)


def _as_json(done: Synced) -> dict[str, Any]:
    from odbench.syncing import Fate
    from odbench.tracking.masking import mask

    counts = Counter((item.kind, item.fate) for item in done.items)
    return {
        "ok": done.exit_code == 0,
        "summary": {
            f"{kind}s": {fate.name: counts[kind, fate] for fate in Fate}
            for kind in ("run", "sweep")
        },
        "items": [
            {
                "kind": item.kind,
                "name": item.name,
                "dir": str(item.dir),
                "fate": item.fate.name,
                "tracking_uri": item.uri and mask(item.uri, item.uri),
                "mlflow_run_id": item.mlflow_run_id,
                "error": item.error,
            }
            for item in done.items
        ],
        "left_out": [str(folder) for folder in done.left_out],
    }
