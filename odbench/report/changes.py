"""What changed between two sets of runs, such as a baseline and a candidate: ``odbench compare``.

Variants that both sides have are compared, metric by metric, by the tests of
:mod:`odbench.report.differences`; only where hardware class, data, protocol and software are the
same. A regression is a metric that became worse beyond its bound, unless that was tested and no
difference shown. AP has a bound where none is given: any worsening that was shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from odbench.errors import InputError
from odbench.measure.comparing import Verdict
from odbench.records import StoredRun
from odbench.report.comparison import Common, compare
from odbench.report.differences import Difference, decision_metrics, difference
from odbench.report.pick_metrics import Metric, find_metric
from odbench.report.quantities import parse_quantity
from odbench.report.variants import Variant, common_name, variants
from odbench.results import Flag

_OPTION = "--max-regression"

# Of repeats and of where a run is written, not of what it is.
_NO_IDENTITY = ("seed=", "repeat", "same_seed=", "paths.", "tracking.", "hydra", "name=")


class By(StrEnum):
    """By what variants of the two sides are taken for the same."""

    variant = "variant"  # the hash of everything that changes results
    name = "name"
    overrides = "overrides"  # of the command line


@dataclass(frozen=True)
class Bound:
    """How much worse a metric may become."""

    metric: Metric
    limit: float  # in the metric's unit, or a share of the baseline
    relative: bool
    tested: bool = False  # only a difference that was shown counts

    def exceeded(self, change: Change) -> bool:
        """Whether a metric became worse beyond this."""
        if change.before is None or change.after is None or change.tested.verdict is Verdict.tie:
            return False
        if self.tested and change.tested.verdict is not Verdict.worse:
            return False
        worse = self.metric.cost(change.after) - self.metric.cost(change.before)
        allowed = self.limit * abs(change.before) if self.relative else self.limit
        return worse > allowed

    @property
    def text(self) -> str:
        """Such as ``AP by more than 0.010``."""
        if self.tested and self.limit == 0:
            return f"{self.metric.short} significantly"
        shown = f"{self.limit * 100:g} %" if self.relative else self.metric.show(self.limit)
        return f"{self.metric.short} by more than {shown}"


@dataclass(frozen=True)
class Change:
    """One metric of a variant, before and after."""

    metric: Metric
    before: float | None
    after: float | None
    tested: Difference  # of after against before
    regression: bool = False
    unjudged: bool = False  # it has a bound, and a flag or no value

    @property
    def delta(self) -> float | None:
        """After less before, in the metric's unit."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def relative(self) -> float | None:
        """The delta as a share of before."""
        return None if self.delta is None or not self.before else self.delta / abs(self.before)

    @property
    def word(self) -> str:
        """``better``, ``worse``, ``same`` (no difference was shown) or ``not comparable``."""
        return "same" if self.tested.verdict is Verdict.tie else self.tested.word


@dataclass(frozen=True)
class Pair:
    """A variant that both sides have, on equal conditions."""

    before: Variant
    after: Variant
    common: Common
    changes: tuple[Change, ...]

    @property
    def broke(self) -> bool:
        """Whether it ended well before and does no longer."""
        return self.before.ok and not self.after.ok

    @property
    def unjudged(self) -> tuple[Change, ...]:
        """The metrics with a bound that could not be held to it, where both sides ended well."""
        both = self.before.ok and self.after.ok
        return tuple(change for change in self.changes if both and change.unjudged)

    @property
    def regression(self) -> bool:
        """Whether anything became worse beyond its bound."""
        return self.broke or any(change.regression for change in self.changes)


@dataclass(frozen=True)
class Apart:
    """A variant that both sides have, but on conditions that are not comparable."""

    before: Variant
    after: Variant
    differing: dict[str, tuple[str, str]]  # what differs -> both values


@dataclass(frozen=True)
class Changes:
    """Everything that is to be said of two sides."""

    pairs: tuple[Pair, ...]
    apart: tuple[Apart, ...]
    only_before: tuple[Variant, ...]
    only_after: tuple[Variant, ...]
    bounds: tuple[Bound, ...]

    @property
    def regressions(self) -> tuple[Pair, ...]:
        """The pairs with a regression."""
        return tuple(pair for pair in self.pairs if pair.regression)

    @property
    def unjudged(self) -> tuple[Pair, ...]:
        """The pairs with a bound that could not be judged."""
        return tuple(pair for pair in self.pairs if pair.unjudged)


def parse_bounds(texts: Iterable[str]) -> tuple[Bound, ...]:
    """Read ``METRIC=AMOUNT``: in the metric's unit, or with % as a share of the baseline.

    A significant worsening of AP is a regression unless a bound of AP is given.

    Raises:
        InputError: A metric or an amount that cannot be used, or a metric given twice.
    """
    found: dict[str, Bound] = {}
    for text in texts:
        name, equals, amount = text.partition("=")
        if not equals:
            raise InputError(
                "no amount is given", where=_OPTION, value=text, allowed="AP=0.01, p50_ms=5%"
            )
        metric = find_metric(name.strip(), _OPTION)
        if metric.key in found:
            raise InputError("a metric must be named once", where=_OPTION, value=text)
        found[metric.key] = _bound(metric, amount.strip())
    ap = find_metric("eval/AP", _OPTION)
    return (*found.values(), *([] if ap.key in found else [Bound(ap, 0.0, False, tested=True)]))


def changes_between(
    before: Sequence[StoredRun],
    after: Sequence[StoredRun],
    bounds: Sequence[Bound],
    *,
    by: By = By.variant,
    allow_flagged: bool = False,
) -> Changes:
    """Compare the variants of two sides.

    Args:
        before: What is compared against.
        after: What is judged.
        bounds: What counts as a regression.
        by: What makes two variants the same.
        allow_flagged: Test numbers that carry flags too.

    Raises:
        InputError: No variant is on both sides, or one side has several that are the same.
    """
    old, new = _keyed(before, by), _keyed(after, by)
    pairs, apart = [], []
    for key in old:
        if key not in new:
            continue
        equal = [common for common in old[key] if common in new[key]]
        for common in equal:
            pairs.append(_pair(old[key][common], new[key][common], common, bounds, allow_flagged))
        if not equal:
            apart.append(_apart(old[key], new[key]))
    if not pairs and not apart:
        raise InputError(
            "no variant is on both sides, so nothing can be compared",
            fix="--by name or --by overrides matches them otherwise",
        )
    return Changes(
        tuple(pairs),
        tuple(apart),
        tuple(v for key in old if key not in new for v in old[key].values()),
        tuple(v for key in new if key not in old for v in new[key].values()),
        tuple(bounds),
    )


def _keyed(runs: Sequence[StoredRun], by: By) -> dict[str, dict[Common, Variant]]:
    found: dict[str, dict[Common, Variant]] = {}
    for group in compare(runs).groups:
        for variant in variants(group):
            members = found.setdefault(_key(variant, by), {})
            if group.common in members:
                raise InputError(
                    f"two variants of one side have the same {by}",
                    where="--by",
                    value=f"{members[group.common].label} and {variant.label}",
                    fix="match by another of " + ", ".join(By),
                )
            members[group.common] = variant
    return found


def _key(variant: Variant, by: By) -> str:
    if by is By.name:
        return common_name(variant.rows)
    if by is By.overrides:
        kept = (o for o in variant.record.overrides if not o.lstrip("+~").startswith(_NO_IDENTITY))
        return " ".join(sorted(kept))
    return variant.record.variant or variant.record.fingerprint


def _pair(
    before: Variant,
    after: Variant,
    common: Common,
    bounds: Sequence[Bound],
    allow_flagged: bool,
) -> Pair:
    limits = {bound.metric: bound for bound in bounds}
    metrics = dict.fromkeys((*decision_metrics(), *limits))
    asked = {bound.metric for bound in bounds if not bound.tested}
    changes = (_change(m, before, after, limits.get(m), allow_flagged) for m in metrics)
    kept = (c for c in changes if (c.before, c.after) != (None, None) or c.metric in asked)
    return Pair(before, after, common, tuple(kept))


def _change(
    metric: Metric, before: Variant, after: Variant, bound: Bound | None, allow_flagged: bool
) -> Change:
    flags = set(metric.flags(before)) | set(metric.flags(after))
    flags -= {Flag.projection}  # it is the measured steps that are tested
    if flags and not allow_flagged:
        names = ", ".join(flag for flag in Flag if flag in flags)
        tested = Difference(None, f"flagged: {names}")
        values = metric.value(before), metric.value(after)
        return Change(metric, *values, tested, unjudged=bound is not None)
    tested = difference(metric, before, after)
    change = Change(metric, metric.value(before), metric.value(after), tested)
    if change.delta is None:
        return replace(change, unjudged=bound is not None)
    if bound is not None and bound.exceeded(change):
        return replace(change, regression=True)
    return change


def _apart(old: dict[Common, Variant], new: dict[Common, Variant]) -> Apart:
    pairs = ((a, b) for a in old for b in new)
    first, second = min(pairs, key=lambda pair: len(dict(_differing(*pair))))
    return Apart(old[first], new[second], dict(_differing(first, second)))


def _differing(a: Common, b: Common) -> Iterator[tuple[str, tuple[str, str]]]:
    names = ("hardware", "data set", "protocol", "backend")
    for name, one, other in zip(names, a[:4], b[:4], strict=True):
        if one != other:
            yield name, (str(one), str(other))
    if a.stack != b.stack:
        yield "software", (a.software, b.software)


def _bound(metric: Metric, amount: str) -> Bound:
    if not amount.endswith("%"):
        return Bound(metric, parse_quantity(amount, metric.unit, f"{_OPTION} {metric.key}"), False)
    try:
        share = float(amount[:-1]) / 100
    except ValueError:
        share = math.nan
    if not (math.isfinite(share) and share >= 0):
        raise InputError(
            "not a share of the baseline",
            where=f"{_OPTION} {metric.key}",
            value=amount,
            allowed="a percentage of 0 or more, such as 5%",
        )
    return Bound(metric, share, True)
