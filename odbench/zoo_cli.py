"""``odbench zoo``: the published models, and their checkpoints. Thin, as :mod:`odbench.cli`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from odbench.errors import ConfigError, DownloadError, OdbenchError
from odbench.reporting import PIPE_WIDTH, AsJson, debugging, print_json, reported
from odbench.zoo.limits import Limits

if TYPE_CHECKING:
    from rich.console import Console

    from odbench.zoo.install import Stored
    from odbench.zoo.take import Taking

zoo_app = typer.Typer(
    help="The published TF2 detection zoo: its models, figures and checkpoints.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="Of a model, as `odbench zoo list` shows it.")]
CacheDir = Annotated[
    Path | None,
    typer.Option(help="As paths.cache_dir of a run; ODBENCH_CACHE_DIR, or the user's cache."),
]
AcceptNew = Annotated[
    bool, typer.Option("--accept-new", help="Trust other contents than were recorded before.")
]
MaxBytes = Annotated[int, typer.Option(help="Largest tarball that is taken in.", min=1)]


@zoo_app.command("list")
@reported
def list_models(
    pattern: Annotated[
        str | None, typer.Argument(help="Part of the name, or a pattern such as 'ssd_*640*'.")
    ] = None,
    *,
    family: Annotated[str | None, typer.Option(help="Such as ssd_fpn or centernet.")] = None,
    min_ap: Annotated[float | None, typer.Option(help="Published AP of boxes, 0 to 1.")] = None,
    max_ms: Annotated[float | None, typer.Option(help="Published speed, ms.")] = None,
    cached: Annotated[bool, typer.Option("--cached", help="Only what is in the cache.")] = False,
    outputs: Annotated[str | None, typer.Option(help="boxes, masks or keypoints.")] = None,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """List the models: published speed and AP, parameters, checkpoint, state."""
    from odbench.zoo.catalogue import PUBLISHED
    from odbench.zoo.listing import Wanted, chosen, render_list

    folder = _cache(cache_dir)
    wanted = Wanted(pattern, family, min_ap, max_ms, cached, outputs)
    rows = chosen(wanted, folder)
    if as_json:
        models = [row.as_json() for row in rows]
        print_json({"published": PUBLISHED, "cache_dir": str(folder), "models": models})
    else:
        console = _console()
        console.print(render_list(rows, console.width))


@zoo_app.command()
@reported
def show(name: Name, cache_dir: CacheDir = None, as_json: AsJson = False) -> None:
    """Show everything known of one model."""
    from odbench.zoo.catalogue import PUBLISHED, entry
    from odbench.zoo.listing import render_model, row_of

    row = row_of(entry(name), _cache(cache_dir))
    if as_json:
        print_json({**row.as_json(), "published_means": PUBLISHED})
    else:
        _console().print(render_model(row))


@zoo_app.command()
@reported
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Of models.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every model.")] = False,
    mirror: Annotated[
        str | None,
        typer.Option(help="Address with the zoo's folders below it; also ODBENCH_ZOO_MIRROR."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Though it is cached.")] = False,
    accept_new: AcceptNew = False,
    max_bytes: MaxBytes = Limits.max_bytes,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> int:
    """Fetch pretrained checkpoints into the cache; a broken transfer is gone on with."""
    from odbench.zoo import take

    how = _taking(max_bytes, accept_new, mirror=mirror, again=again)
    wanted = _wanted(names or [], everything)
    _log_to_stderr()
    done: list[Stored] = []
    errors: list[OdbenchError] = []
    for name in wanted:
        try:
            done.append(take.fetch(name, _cache(cache_dir), how))
        except OdbenchError as error:
            if debugging() or len(wanted) == 1:
                raise
            errors.append(error)
            typer.echo(f"odbench: {error}", err=True)
        else:
            if not as_json:
                _show_stored(done[-1])
    if as_json:
        print_json([_stored_json(stored) for stored in done])
    if any(isinstance(error, DownloadError) for error in errors):
        return DownloadError.exit_code
    return errors[0].exit_code if errors else 0


@zoo_app.command()
@reported
def where(name: Name, cache_dir: CacheDir = None) -> None:
    """Print the path of a cached checkpoint, as train.init and the API take it."""
    from odbench.zoo.store import find_checkpoint

    typer.echo(find_checkpoint(name, _cache(cache_dir)))


@zoo_app.command()
@reported
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Of models; all if none.")] = None,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> int:
    """Compute the checksums of what is cached anew. Exit code 1: something has changed."""
    from odbench.zoo import verify as check

    folder = _cache(cache_dir)
    verdicts = [check.verify(name, folder) for name in names or check.cached_names(folder)]
    if as_json:
        print_json([check.as_json(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            typer.echo(check.describe(verdict))
        typer.echo(f"{sum(v.ok for v in verdicts)} of {len(verdicts)} cached models are whole")
    return 0 if all(verdict.ok for verdict in verdicts) else 1


@zoo_app.command("import")
@reported
def import_(
    source: Annotated[Path, typer.Argument(help="A tarball of the zoo, or one unpacked.")],
    name: Annotated[
        str | None, typer.Option(help="Of the model; by the name of the file if not given.")
    ] = None,
    *,
    accept_new: AcceptNew = False,
    max_bytes: MaxBytes = Limits.max_bytes,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a tarball or folder that is here already into the cache."""
    from odbench.zoo.take import import_model

    how = _taking(max_bytes, accept_new)
    _log_to_stderr()
    stored = import_model(source, _cache(cache_dir), name, how)
    print_json(_stored_json(stored)) if as_json else _show_stored(stored)


def _taking(max_bytes: int, accept_new: bool, **options: Any) -> Taking:
    from odbench.zoo.take import Taking

    return Taking(limits=Limits(max_bytes=max_bytes), accept_new=accept_new, **options)


def _wanted(names: list[str], everything: bool) -> list[str]:
    """The models to fetch; nothing is begun if one of them cannot be used."""
    from odbench.zoo.catalogue import catalogue
    from odbench.zoo.take import buildable

    if bool(names) == everything:
        raise ConfigError(
            "name models, or say --all" if everything else "no model is named",
            where="fetch",
            allowed="odbench zoo fetch NAME..., or odbench zoo fetch --all",
        )
    if everything:
        for row in catalogue():
            if not row.buildable:
                typer.echo(f"odbench: left out: {row.name}: {row.not_buildable}", err=True)
        return [row.name for row in catalogue() if row.buildable]
    return [buildable(name).name for name in dict.fromkeys(names)]


def _cache(folder: Path | None) -> Path:
    if folder is not None:
        return folder.expanduser().absolute()
    from odbench.user_cache import default_cache_dir

    return default_cache_dir().expanduser().absolute()


def _show_stored(stored: Stored) -> None:
    already = "" if stored.made else ": already there, nothing done"
    typer.echo(f"{stored.origin.name}: {stored.checkpoint}{already}")


def _stored_json(stored: Stored) -> dict[str, Any]:
    origin = stored.origin
    return {
        "name": origin.name,
        "checkpoint": str(stored.checkpoint),
        "made": stored.made,
        "source": origin.source,
        "archive_sha256": origin.archive_sha256,
        "archive_bytes": origin.archive_bytes,
        "checkpoint_bytes": origin.checkpoint_bytes,
    }


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")


def _console() -> Console:
    from rich.console import Console

    # a pipe or a file has no width of its own: do not fold the table to 80 columns there
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
