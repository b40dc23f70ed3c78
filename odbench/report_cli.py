"""``odbench report``: runs compared, for people and programs. Thin, as :mod:`odbench.cli`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odbench.errors import InputError
from odbench.reporting import MOST_SHOWN, PIPE_WIDTH, AsJson, reported
from odbench.selecting import Experiments, Filters, Inputs, RunsDir, select

if TYPE_CHECKING:
    from odbench.records import StoredRun
    from odbench.report.question import Question

Texts = list[str] | None


@reported
def report(
    inputs: Inputs = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("reports/latest"),
    minimum: Annotated[
        Texts, typer.Option("--min", help="To keep, such as AP50=0.5; may be given again.")
    ] = None,
    maximum: Annotated[
        Texts, typer.Option("--max", help="Such as latency_p50_ms=40 or size_bytes=50MB.")
    ] = None,
    prefer: Annotated[
        Texts, typer.Option(help="AP (the default; several decide in order), or AP=2,size_bytes=1")
    ] = None,
    *,
    allow_flagged: Annotated[
        bool, typer.Option("--allow-flagged", help="Let runs with flagged numbers be recommended.")
    ] = False,
    train_steps: Annotated[
        int | None, typer.Option(help="Project a training of so many steps.", min=1)
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option(help="Of the machine: what runs and that training cost.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = None,
    experiments: Experiments = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs, also of several machines: an HTML page, Markdown, CSV, JSON and figures."""
    from odbench.report.tables import JSON_FILE
    from odbench.report.write import write_report

    question = _question(
        (minimum, maximum), prefer, train_steps, price_per_hour, allow_flagged=allow_flagged
    )
    runs = select(inputs or [runs_dir], filters, experiments)
    path = write_report(runs, out, f"odbench: {out.name}", question)
    if as_json:
        sys.stdout.write((path.parent / JSON_FILE).read_text(encoding="utf-8"))
    else:
        show_runs(runs, path)


@reported
def export_records(
    inputs: Inputs = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("records.jsonl.gz"),
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = None,
    experiments: Experiments = None,
) -> None:
    """Put the records of runs into one file, which report, pick and compare take elsewhere."""
    from odbench.gathered import export_records as export

    count = export(select(inputs or [runs_dir], filters, experiments), out)
    typer.echo(f"{out}: {count} record{'s' if count != 1 else ''}")


def _question(
    bounds: tuple[Texts, Texts],
    prefer: Texts,
    train_steps: int | None,
    price: float | None,
    *,
    allow_flagged: bool,
) -> Question:
    import math

    from odbench.report.pick_options import parse_constraints, parse_preference
    from odbench.report.pick_words import Training
    from odbench.report.question import Question

    if price is not None and not (math.isfinite(price) and price >= 0):
        raise InputError("not a price", where="--price-per-hour", value=price, allowed="0 or more")
    return Question(
        constraints=parse_constraints(bounds[0] or [], bounds[1] or []),
        preference=parse_preference(prefer or ["AP"]),
        training=None if train_steps is None else Training(train_steps, price),
        price_per_hour=price,
        allow_flagged=allow_flagged,
    )


def show_runs(runs: Sequence[StoredRun], path: Path | None) -> None:
    """The table of some runs and where their report is, on standard output."""
    if 0 < len(runs) <= MOST_SHOWN:
        from rich.console import Console

        from odbench.report.comparison import compare
        from odbench.report.terminal import render_summary

        # a pipe or a file has no width of its own: do not fold the table to 80 columns there
        console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        console.print(render_summary(compare(runs)))
    for run in runs[:MOST_SHOWN]:
        typer.echo(f"record: {run.dir / 'record.json'}")
    if path is not None:
        from odbench.report.write import PAGE_FILE

        typer.echo(f"report: {path}")
        typer.echo(f"report: {path.with_name(PAGE_FILE)}")
