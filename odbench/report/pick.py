"""Which run of a group to take, under constraints and a preference.

Repeats of one variant stand together: they are one candidate with their means. What is said here of
runs is said of variants; most have a single run.

Who competes: runs that ended well, have every metric that is asked for, free of flags that touch
it, and keep every constraint. The rest is shown with its reasons.

Who is left out of the choice: whoever is dominated, that is whoever another one equals or betters
in every metric that counts and betters in one.

Who is taken, where metrics are preferred in an order: the best in the first of them; who is tied
with it statistically stays in, and the next metric decides between them; then latency, then size.
With weights: the highest weighted geometric mean of ratios to the best competitor (the weighted
product model; Triantaphyllou, Multi-criteria Decision Making Methods, 2000, chapter 2). It has no
unit, and what it ranks first does not depend on what the numbers are divided by (Fleming and
Wallace, How not to lie with statistics, CACM 29(3), 1986).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from odbench.measure.comparing import Verdict
from odbench.report.comparison import Comparison, Group
from odbench.report.differences import EXACT_METRICS, Difference
from odbench.report.pick_metrics import Metric, metrics_table
from odbench.report.pick_options import Constraint, Preference
from odbench.report.variants import Variant, variants
from odbench.results import Flag

# What decides between ties, in this order.
TIE_BREAKERS = ("latency/p50_ms", "export/size_bytes")

TESTED = 10  # competitors nearest to the best that a test is made of: each takes its time


class Because(StrEnum):
    """Why a run does not compete."""

    status = "status"  # it did not end well
    missing = "missing"  # no value
    flagged = "flagged"  # a flag touches the value
    constraint = "constraint"


@dataclass(frozen=True)
class Exclusion:
    """One reason why a run does not compete."""

    because: Because
    metric: Metric | None = None  # None: the run as a whole
    flags: tuple[Flag, ...] = ()
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Candidate:
    """One variant, judged. ``values`` are by metric key, of every metric that counts."""

    row: Variant
    values: dict[str, float | None]
    flags: tuple[Flag, ...]  # that touch a metric asked for
    exclusions: tuple[Exclusion, ...]
    dominated_by: Variant | None = None  # one that is itself not dominated
    score: float | None = None  # 0..1, where weights are given

    @property
    def competes(self) -> bool:
        """Whether it may be chosen, unless it is dominated."""
        return not self.exclusions

    def value(self, metric: Metric) -> float:
        """The value of a metric that it competes in."""
        value = self.values[metric.key]
        assert value is not None  # whoever has none does not compete
        return value


@dataclass(frozen=True)
class Tie:
    """One test between the best in a metric (or the chosen one) and another."""

    metric: Metric
    reference: Variant
    other: Variant
    tested: Difference

    @property
    def tied(self) -> bool:
        """Whether no difference was shown."""
        return self.tested.verdict is Verdict.tie


@dataclass(frozen=True)
class Choice:
    """The answer for one group."""

    group: Group
    constraints: tuple[Constraint, ...]
    preference: Preference
    candidates: tuple[Candidate, ...]  # the chosen one, the other competitors, the rest
    ties: tuple[Tie, ...]
    decided_by: tuple[Metric, ...]  # the metrics that were gone through, in their order
    undecided: tuple[Variant, ...]  # that no metric told from the chosen one, by numbers or tests
    unused: dict[str, int]  # tie-breakers not used -> competitors without a clean value
    allow_flagged: bool

    @property
    def chosen(self) -> Candidate | None:
        """The run to take, None where none competes."""
        return next((c for c in self.candidates if c.competes), None)

    @property
    def runners_up(self) -> tuple[Candidate, ...]:
        """The other competitors, in the order of the preference."""
        return tuple(c for c in self.candidates if c.competes)[1:]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that were asked for: preferred, then constrained."""
        return _asked(self.constraints, self.preference)


Test = Callable[[Metric, Variant, Variant], Difference]


def untested(metric: Metric, reference: Variant, other: Variant) -> Difference:
    """Make no test."""
    return Difference(None, "no test was asked for")


def pick_each(
    comparison: Comparison,
    constraints: Sequence[Constraint],
    preference: Preference,
    *,
    test: Test = untested,
    allow_flagged: bool = False,
) -> list[Choice]:
    """Pick in each group for itself, never across; arguments as :func:`pick`."""
    return [
        pick(group, constraints, preference, test=test, allow_flagged=allow_flagged)
        for group in comparison.groups
    ]


def pick(
    group: Group,
    constraints: Sequence[Constraint],
    preference: Preference,
    *,
    test: Test = untested,
    allow_flagged: bool = False,
) -> Choice:
    """Choose one variant of a group; of repeats the means count.

    Args:
        group: Runs that may be compared.
        constraints: That the chosen run must keep, all of them.
        preference: What decides between those that do.
        test: Tells whether two runs differ in a metric.
        allow_flagged: Let runs compete whose metrics carry flags.
    """
    asked = _asked(constraints, preference)
    judged = [_judge(row, asked, constraints, allow_flagged) for row in variants(group)]
    competing = [c for c in judged if c.competes]
    breakers, unused = _breakers(competing, preference, allow_flagged)
    axes = tuple(dict.fromkeys((*asked, *breakers)))
    competing = _dominated(_scored(_with_values(competing, axes), preference), axes)
    order = (*(preference.metrics if preference.weights is None else ()), *breakers)
    ranked = sorted(competing, key=lambda c: _key(c, order))
    front = [c for c in ranked if c.dominated_by is None]
    left, ties, decided = _decide(front, ranked, preference, order, test)
    chosen = left[0] if left else None
    rest = [c for c in judged if not c.competes]
    first = [chosen] if chosen is not None else []
    return Choice(
        group=group,
        constraints=tuple(constraints),
        preference=preference,
        candidates=(*first, *(c for c in ranked if c is not chosen), *rest),
        ties=tuple(ties),
        decided_by=decided,
        undecided=tuple(c.row for c in left[1:]),
        unused=unused,
        allow_flagged=allow_flagged,
    )


def _asked(constraints: Sequence[Constraint], preference: Preference) -> tuple[Metric, ...]:
    return tuple(dict.fromkeys((*preference.metrics, *(c.metric for c in constraints))))


def _judge(
    row: Variant, asked: Sequence[Metric], constraints: Sequence[Constraint], allow_flagged: bool
) -> Candidate:
    values = {metric.key: metric.value(row) for metric in asked}
    found = [] if row.ok else [Exclusion(Because.status)]
    for metric in asked:
        if values[metric.key] is None and row.ok:  # how the run ended says why it is missing
            found.append(Exclusion(Because.missing, metric, metric.flags(row)))
        elif values[metric.key] is not None and metric.flags(row) and not allow_flagged:
            found.append(Exclusion(Because.flagged, metric, metric.flags(row)))
    for constraint in constraints:
        value = values[constraint.metric.key]
        if value is not None and not constraint.met(value):
            found.append(Exclusion(Because.constraint, constraint.metric, (), constraint))
    touching = {flag for metric in asked for flag in metric.flags(row)}
    flags = tuple(flag for flag in row.flags if flag in touching)
    return Candidate(row, values, flags, tuple(found))


def _breakers(
    competing: Sequence[Candidate], preference: Preference, allow_flagged: bool
) -> tuple[tuple[Metric, ...], dict[str, int]]:
    """The tie-breakers that every competitor has a clean value of, and how many lack the others."""
    used, unused = [], {}
    for metric in (metrics_table()[key] for key in TIE_BREAKERS):
        if metric in preference.metrics:
            continue
        without = sum(
            metric.value(c.row) is None or (bool(metric.flags(c.row)) and not allow_flagged)
            for c in competing
        )
        if without:
            unused[metric.key] = without
        else:
            used.append(metric)
    return tuple(used), unused


def _with_values(candidates: Sequence[Candidate], axes: Sequence[Metric]) -> list[Candidate]:
    return [replace(c, values={m.key: m.value(c.row) for m in axes}) for c in candidates]


def _scored(candidates: Sequence[Candidate], preference: Preference) -> list[Candidate]:
    """The weighted geometric mean of ratios to the best, of each."""
    if preference.weights is None or not candidates:
        return list(candidates)
    best = {m: min((c.value(m) for c in candidates), key=m.cost) for m in preference.metrics}
    total = math.fsum(preference.weights)
    pairs = list(zip(preference.metrics, preference.weights, strict=True))
    scores = [
        math.prod(_ratio(m, c.value(m), best[m]) ** (weight / total) for m, weight in pairs)
        for c in candidates
    ]
    return [replace(c, score=score) for c, score in zip(candidates, scores, strict=True)]


def _ratio(metric: Metric, value: float, best: float) -> float:
    """How near a value comes to the best, 0..1."""
    if value == best:
        return 1.0
    return value / best if metric.better == "higher" else best / value


def _dominated(candidates: list[Candidate], axes: Sequence[Metric]) -> list[Candidate]:
    """Each with one that dominates it, where there is one."""
    costs = [tuple(m.cost(_meant(m, c.value(m))) for m in axes) for c in candidates]
    # Who comes first by all costs in turn is dominated by nobody that comes later.
    front: list[int] = []
    found: dict[int, Variant] = {}
    for index in sorted(range(len(costs)), key=costs.__getitem__):
        by = next((i for i in front if _dominates(costs[i], costs[index])), None)
        if by is None:
            front.append(index)
        else:
            found[index] = candidates[by].row
    return [replace(c, dominated_by=found.get(i)) for i, c in enumerate(candidates)]


def _meant(metric: Metric, value: float) -> float:
    """The value without digits that mean nothing: by a byte no model is smaller than another."""
    return float(f"{value:.4g}") if metric.key in EXACT_METRICS else value


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def _key(candidate: Candidate, order: Sequence[Metric]) -> tuple[object, ...]:
    costs = [metric.cost(candidate.value(metric)) for metric in order]
    return (-(candidate.score or 0.0), *costs, candidate.row.label, candidate.row.record.run_id)


def _decide(
    front: Sequence[Candidate],
    ranked: Sequence[Candidate],
    preference: Preference,
    order: Sequence[Metric],
    test: Test,
) -> tuple[list[Candidate], list[Tie], tuple[Metric, ...]]:
    """Choose from the front: the one to take, with those that nothing told from it behind it.

    Also the tests on the way, and the metrics that were gone through.
    """
    if not front:
        return [], [], ()
    if preference.weights is not None:
        first = front[0]
        ties = [tie for m in preference.metrics for tie in _tested(m, first, ranked, test)]
        return [first], ties, preference.metrics
    ties = []
    left, pool = list(front), list(ranked)
    for number, metric in enumerate(order, start=1):
        best = min(left, key=lambda c: metric.cost(c.value(metric)))
        made = _tested(metric, best, pool, test)
        ties += made
        same = {tie.other.record.run_id for tie in made if tie.tied}
        left = [c for c in left if c is best or c.row.record.run_id in same]
        if len(left) == 1:
            return left, ties, tuple(order[:number])
        pool = left
    return left, ties, tuple(order)


def _tested(
    metric: Metric, reference: Candidate, pool: Sequence[Candidate], test: Test
) -> list[Tie]:
    """Test each of the pool against one of it, those nearest to it in the metric first."""
    at = reference.value(metric)
    others = [c for c in pool if c is not reference]
    others.sort(key=lambda c: abs(c.value(metric) - at))
    found = []
    for number, other in enumerate(others):
        if other.value(metric) == at:
            tested = Difference(Verdict.tie, "equal numbers", 0.0)
        elif number >= TESTED:
            tested = Difference(None, f"only the {TESTED} nearest are tested")
        else:
            tested = test(metric, reference.row, other.row)
        found.append(Tie(metric, reference.row, other.row, tested))
    return found
