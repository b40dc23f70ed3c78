"""The runs that a command is asked for: read from folders and files, filtered, the rest named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from odbench.records import StoredRun

Inputs = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Run or sweep folders, or files of export-records; all of --runs-dir if none."
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="Such as model=ssd*, status!=ok, train.batch_size=4,8 or AP>=0.3; all must hold.",
    ),
]
Experiments = Annotated[
    list[str] | None, typer.Option("--experiment", help="Of MLflow; may be given again.")
]
RunsDir = Annotated[Path, typer.Option(help="Where runs are.")]


def select(
    inputs: Sequence[Path],
    filters: Sequence[str] | None = None,
    experiments: Sequence[str] | None = None,
) -> list[StoredRun]:
    """The runs of the inputs that pass the filters; what is left out is named on standard error.

    Raises:
        InputError: An input or a filter cannot be used, or nothing is left.
    """
    from odbench.gathered import gather, resume_command
    from odbench.report.filters import keep

    found = gather(inputs)
    for error in found.broken:
        typer.echo(f"odbench: left out, cannot be read: {error}", err=True)
    for folder in found.unfinished:
        typer.echo(
            f"odbench: left out, without a record: {folder}: its run is still going, or the "
            f"process that started it was killed: {resume_command([folder])} goes on with it",
            err=True,
        )
    return keep(found.runs, filters or [], experiments or [])
