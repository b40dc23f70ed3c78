"""``odbench pick``: which run to take. Thin, as :mod:`odbench.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odbench.errors import InputError
from odbench.reporting import AsJson, print_json, reported
from odbench.selecting import Experiments, Filters, Inputs, RunsDir, select

if TYPE_CHECKING:
    from odbench.report.pick_words import Training

WIDTH = 100  # columns in a pipe or a file

Bounds = list[str] | None


@reported
def pick(
    inputs: Inputs = None,
    minimum: Annotated[
        Bounds, typer.Option("--min", help="Such as AP50=0.5; may be given again.")
    ] = None,
    maximum: Annotated[
        Bounds, typer.Option("--max", help="Such as latency_p50_ms=40 or size_bytes=50MB.")
    ] = None,
    prefer: Annotated[
        Bounds, typer.Option(help="AP (the default; several decide in order), or AP=2,size_bytes=1")
    ] = None,
    *,
    allow_flagged: Annotated[
        bool, typer.Option("--allow-flagged", help="Let runs with flagged numbers be chosen.")
    ] = False,
    train_steps: Annotated[
        int | None, typer.Option(help="Project a training of so many steps.", min=1)
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option(help="Of the machine: what that training costs.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = None,
    experiments: Experiments = None,
    as_json: AsJson = False,
) -> int:
    """Choose a run (of repeats the means count); exit code 1 if none keeps the constraints."""
    from odbench.report.comparison import compare
    from odbench.report.differences import difference
    from odbench.report.pick import pick_each
    from odbench.report.pick_options import parse_constraints, parse_preference

    constraints = parse_constraints(minimum or [], maximum or [])
    preference = parse_preference(prefer or ["AP"])
    training = _training(train_steps, price_per_hour)
    comparison = compare(select(inputs or [runs_dir], filters, experiments))
    choices = pick_each(
        comparison, constraints, preference, test=difference, allow_flagged=allow_flagged
    )
    if as_json:
        from odbench.report.pick_json import choices_to_json

        print_json(choices_to_json(choices, training))
    else:
        from rich.console import Console

        from odbench.report.pick_text import render_choices

        console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
        console.print(render_choices(choices, training))
    return 0 if any(choice.chosen is not None for choice in choices) else 1


def _training(steps: int | None, price: float | None) -> Training | None:
    import math

    from odbench.report.pick_words import Training

    if price is not None and not (math.isfinite(price) and price >= 0):
        raise InputError("not a price", where="--price-per-hour", value=price, allowed="0 or more")
    if steps is None:
        if price is not None:
            raise InputError(
                "it says nothing of how long the training is",
                where="--price-per-hour",
                value=price,
                fix="give --train-steps too",
            )
        return None
    return Training(steps, price)
