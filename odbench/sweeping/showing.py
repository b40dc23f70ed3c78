"""What a person or a program sees of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from odbench.attempt import run_name
from odbench.sweeping.plan import Planned, State, SweepPlan, count_states, shared_overrides


def plan_json(plan: SweepPlan) -> dict[str, Any]:
    """The plan as JSON values; a time that is not known is null."""
    return {
        "dir": str(plan.dir) if plan.goes_on else None,
        "counts": count_states(plan.cells),
        "to_do": len(plan.todo),
        "estimate_s": estimate(plan.todo),
        "cells": [_cell_json(planned) for planned in plan.cells],
    }


def _cell_json(planned: Planned) -> dict[str, Any]:
    cell = planned.cell
    return {
        "number": planned.number,
        "state": str(planned.state),
        "to_do": planned.chosen,
        "name": run_name(cell.spec),
        "repeat": cell.spec.repeat,
        "overrides": cell.overrides,
        "fingerprint": cell.fingerprint,
        "variant": cell.variant,
        "dir": None if planned.dir is None else str(planned.dir),
        "reason": planned.reason,
        "estimate_s": planned.estimate_s,
    }


def estimate(cells: Sequence[Planned]) -> float | None:
    """Wall time of some cells, s; None where that of one of them is not known."""
    known = [planned.estimate_s for planned in cells]
    return None if None in known else sum(each for each in known if each is not None)


def render_plan(plan: SweepPlan) -> str:
    """The plan, a line for each cell, and how many are in which state."""
    if not plan.cells:
        return "plan: its runs are chosen as it goes; what is known beforehand can be run"
    shared = shared_overrides(plan)
    head = f"goes on in {plan.dir}" if plan.goes_on else "a new sweep"
    lines = [f"plan: {head}", *(_line(planned, shared) for planned in plan.cells)]
    lines.append(_counts(plan))
    todo = plan.todo
    known = [planned.estimate_s for planned in todo if planned.estimate_s is not None]
    text = f"to do: {len(todo)}"
    if known:
        text += f", about {_time(sum(known))}"
    if todo and len(known) < len(todo):
        text += f" without {len(todo) - len(known)} of unknown time" if known else ", unknown time"
    return "\n".join([*lines, text])


def render_states(plan: SweepPlan) -> str:
    """How many cells are in which state, and why those failed that did."""
    shared = shared_overrides(plan)
    failed = [planned for planned in plan.cells if planned.state is State.failed]
    lines = [f"odbench: sweep {plan.dir}: {_counts(plan)}"]
    for planned in failed:
        lines.append(f"  {planned.number}: {_own(planned, shared)}: {planned.reason}")
    return "\n".join(lines)


def _line(planned: Planned, shared: frozenset[str]) -> str:
    cell = planned.cell
    known = "unknown time" if planned.estimate_s is None else f"about {_time(planned.estimate_s)}"
    doing = f"to do, {known}" if planned.chosen else "left"
    last = "" if planned.state is State.done else f"  ({doing})"
    name = f"{run_name(cell.spec)}  repeat {cell.spec.repeat}"
    text = f"{planned.number:>5}  {planned.state!s:<11}  {name}  {_own(planned, shared)}{last}"
    return text.rstrip()


def _own(planned: Planned, shared: frozenset[str]) -> str:
    """What a cell has and not all others have too."""
    return " ".join(text for text in planned.cell.overrides if text not in shared)


def _counts(plan: SweepPlan) -> str:
    counts = count_states(plan.cells)
    named = [f"{counts[state]} {state}" for state in State if counts[state]]
    return f"{len(plan.cells)} cells: {', '.join(named)}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
