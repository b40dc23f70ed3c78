"""``odbench pick``: which run to take. Thin, as :mod:`odbench.cli`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odbench.errors import InputError
from odbench.reporting import AsJson, print_json, reported
from odbench.selecting import Experiments, Filters, Inputs, RunsDir, select

if TYPE_CHECKING:
    from odbench.report.pick import Choice
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
    register: Annotated[
        str | None,
        typer.Option(
            help="Make its exported model (of repeats the one of highest AP) a version of this."
        ),
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
    if register is not None:
        from odbench.registering import check_name

        check_name(register)
    comparison = compare(select(inputs or [runs_dir], filters, experiments))
    choices = pick_each(
        comparison, constraints, preference, test=difference, allow_flagged=allow_flagged
    )
    _show(choices, training, as_json=as_json)
    if register is not None:
        _register(choices, register)
    return 0 if any(choice.chosen is not None for choice in choices) else 1


def _show(choices: Sequence[Choice], training: Training | None, *, as_json: bool) -> None:
    if as_json:
        from odbench.report.pick_json import choices_to_json

        print_json(choices_to_json(choices, training))
        return
    from rich.console import Console

    from odbench.report.pick_text import render_choices

    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    console.print(render_choices(choices, training))


def _register(choices: Sequence[Choice], name: str) -> None:
    """Register the winner, and say so where it is in nobody's way."""
    from odbench.registering import register

    winners = [choice.chosen for choice in choices if choice.chosen is not None]
    if len(winners) > 1:
        raise InputError(
            "several groups that are not comparable have a winner each",
            where="--register",
            value=", ".join(winner.row.label for winner in winners),
            allowed="one winner",
            fix="name the folders of one group",
        )
    for winner in winners:
        best = winner.row.best_repeat
        version = register(best.run, name)
        how = "registered" if version.made else "was registered before"
        text = f"odbench: {how}: models:/{version.name}/{version.version} is {winner.row.label}"
        if len(winner.row.rows) > 1:
            text += f", repeat {best.record.repeat + 1} of {len(winner.row.rows)} (the highest AP)"
        typer.echo(text, err=True)


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
