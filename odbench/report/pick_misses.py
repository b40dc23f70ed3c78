"""Where nobody keeps every constraint: what each one costs, and who comes nearest."""

from __future__ import annotations

from dataclasses import dataclass

from odbench.report.pick import Because, Candidate, Choice
from odbench.report.pick_options import Constraint


@dataclass(frozen=True)
class Miss:
    """A run's value beyond a constraint."""

    constraint: Constraint
    value: float  # in the metric's unit, as the gap
    gap: float
    relative: float  # of the limit; infinite where that is 0


@dataclass(frozen=True)
class Met:
    """How many of the runs that could have competed keep one constraint."""

    constraint: Constraint
    kept: int
    of: int
    closest: Candidate | None  # the nearest of those that miss it, where nobody keeps it
    miss: Miss | None  # its miss


def misses(candidate: Candidate) -> tuple[Miss, ...]:
    """The constraints that a run misses, in their order."""
    return tuple(
        _miss(exclusion.constraint, candidate)
        for exclusion in candidate.exclusions
        if exclusion.constraint is not None
    )


def met(choice: Choice) -> tuple[Met, ...]:
    """For each constraint how many keep it, of the runs without any other reason against them."""
    eligible = _eligible(choice)
    return tuple(_met(constraint, eligible) for constraint in choice.constraints)


def nearest(choice: Choice) -> Candidate | None:
    """The run whose largest miss, as a share of the limit, is the smallest.

    None where no run is kept out by constraints alone.
    """
    missing = [c for c in _eligible(choice) if c.exclusions]
    return min(missing, key=_distance, default=None)


def _eligible(choice: Choice) -> list[Candidate]:
    """Runs that nothing but constraints keeps from competing."""
    return [
        c for c in choice.candidates if all(e.because is Because.constraint for e in c.exclusions)
    ]


def _distance(candidate: Candidate) -> tuple[float, int, str]:
    found = misses(candidate)
    return max(miss.relative for miss in found), len(found), candidate.row.label


def _met(constraint: Constraint, eligible: list[Candidate]) -> Met:
    metric = constraint.metric
    kept = sum(constraint.met(c.value(metric)) for c in eligible)
    if kept or not eligible:
        return Met(constraint, kept, len(eligible), None, None)
    closest = min(eligible, key=lambda c: constraint.gap(c.value(metric)))
    return Met(constraint, 0, len(eligible), closest, _miss(constraint, closest))


def _miss(constraint: Constraint, candidate: Candidate) -> Miss:
    value = candidate.value(constraint.metric)
    return Miss(constraint, value, constraint.gap(value), constraint.relative_gap(value))
