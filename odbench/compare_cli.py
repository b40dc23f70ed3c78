"""``odbench compare``: what changed between two sets of runs. Thin, as :mod:`odbench.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from odbench.errors import InputError
from odbench.reporting import PIPE_WIDTH, AsJson, print_json, reported
from odbench.selecting import Experiments, Filters, select

REGRESSION, UNJUDGED = 3, 4  # exit codes


@reported
def compare(
    before: Annotated[Path, typer.Argument(help="Baseline: runs, or a file of export-records.")],
    after: Annotated[Path, typer.Argument(help="What is judged: the same.")],
    by: Annotated[
        str, typer.Option(help="What both sides' variants have in common: variant, name, overrides")
    ] = "variant",
    max_regression: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as AP=0.01 or latency_p50_ms=5% (of the baseline); may be given again. "
            "Unless AP is given, any significant worsening of it counts."
        ),
    ] = None,
    *,
    filters: Filters = None,
    experiments: Experiments = None,
    allow_flagged: Annotated[
        bool, typer.Option("--allow-flagged", help="Compare flagged numbers too.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Compare runs with a baseline, variant by variant.

    Exit code 3 on a regression; 4 where there is none, but a bound could not be judged: a number
    is flagged (see --allow-flagged) or missing, or nothing could be compared.
    """
    from odbench.report.changes import By, changes_between, parse_bounds
    from odbench.report.changes_text import changes_json, changes_markdown, render_changes

    if by not in list(By):
        raise InputError("no such way", where="--by", value=by, allowed=", ".join(By))
    if markdown and as_json:
        raise InputError("only one of both can be printed", where="--markdown, --json")
    bounds = parse_bounds(max_regression or [])
    old, new = (select([side], filters, experiments) for side in (before, after))
    found = changes_between(old, new, bounds, by=By(by), allow_flagged=allow_flagged)
    if as_json:
        print_json(changes_json(found))
    elif markdown:
        typer.echo(changes_markdown(found), nl=False)
    else:
        from rich.console import Console

        console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        console.print(render_changes(found))
    if found.regressions:
        return REGRESSION
    return 0 if found.pairs and not found.unjudged else UNJUDGED
