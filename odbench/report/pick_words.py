"""A choice in sentences: the answer with its why, and why runs do not compete."""

from __future__ import annotations

import math
from dataclasses import dataclass

from odbench.report.pick import Because, Candidate, Choice, Exclusion
from odbench.report.pick_metrics import Metric
from odbench.report.pick_misses import Miss, met, misses, nearest
from odbench.report.text import interval, significant
from odbench.report.training_cost import TrainingCost, training_cost
from odbench.report.variants import Variant
from odbench.results import Flag


@dataclass(frozen=True)
class Training:
    """The full training whose cost is asked for."""

    steps: int
    price_per_hour: float | None = None

    def of(self, variant: Variant) -> TrainingCost:
        """Its cost with the step time of one variant."""
        return training_cost(variant, self.steps, self.price_per_hour)


def sentence(choice: Choice, training: Training | None) -> str:
    """The answer and why it is that; the cost of a training behind it."""
    chosen = choice.chosen
    if chosen is None:
        return _nobody(choice)
    text = f"Take {chosen.row.label}: {_why(choice, chosen)}{_tied(choice, chosen)}."
    if training is not None:
        text += f" {training_text(training.of(chosen.row))}"
    return text


def exclusion_text(exclusion: Exclusion, candidate: Candidate) -> str:
    """Why a run does not compete, without its name."""
    metric, record = exclusion.metric, candidate.row.record
    if metric is None:
        stage = f" in {record.failed_stage}" if record.failed_stage else ""
        return f"{record.status}{stage}: {record.reason or 'no reason was recorded'}"
    flags = ", ".join(exclusion.flags)
    if exclusion.because is Because.missing:
        return f"no {metric.short}" + (f" ({flags})" if flags else "")
    if exclusion.because is Because.flagged:
        return f"{metric.short} {metric.show(candidate.value(metric))} is flagged: {flags}"
    return "; ".join(
        miss_text(miss) for miss in misses(candidate) if miss.constraint == exclusion.constraint
    )


def miss_text(miss: Miss) -> str:
    """How far a run is beyond a constraint."""
    metric = miss.constraint.metric
    share = f" ({miss.relative:.2g} of the limit)" if math.isfinite(miss.relative) else ""
    if math.isfinite(miss.relative) and miss.relative >= 5e-4:
        share = f" ({significant(miss.relative * 100, 2)} %)"
    gap = f"by {metric.show(miss.gap)}{share}"
    return f"{metric.show(miss.value)} misses {miss.constraint.text} {gap}"


def training_text(cost: TrainingCost) -> str:
    """A projection of a full training, with its interval."""
    steps = f"{cost.steps:,} train steps"
    if cost.hours is None:
        return f"What {steps} would take is not known: no step was measured."
    text = f"Projection: {steps} take {_between(cost.hours, cost.hours_low, cost.hours_high)} h"
    price = cost.cost(cost.hours)
    if price is not None:
        low, high = cost.cost(cost.hours_low), cost.cost(cost.hours_high)
        text += f" and cost {_between(price, low, high)} at {cost.price_per_hour:g} per hour"
    return text + "."


def _between(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return significant(value)
    shown, between = interval(value, low, high)
    return f"{shown} ({between})"


def _why(choice: Choice, chosen: Candidate) -> str:
    """Its numbers, and what of them is best among whom."""
    count = sum(c.competes for c in choice.candidates)
    condition = ", ".join(constraint.text for constraint in choice.constraints)
    several = any(len(c.row.rows) > 1 for c in choice.candidates)
    noun = "configuration" if several else "run"
    those = f"the {count} {noun}s that compete"
    if condition:
        those = f"the {count} {noun}s that keep {condition}"
    values = ", ".join(_value(metric, chosen) for metric in choice.preference.metrics)
    if count == 1:
        only = f"the only {noun} that " + (f"keeps {condition}" if condition else "competes")
        return f"{only}; {values}"
    if chosen.score is not None:
        score = f"score {chosen.score:.3f} ({choice.preference.text})"
        return f"{values}, the best weighted {score} of {those}"
    return f"{values}, {_among_ties(choice, chosen, those)}"


def _among_ties(choice: Choice, chosen: Candidate, those: str) -> str:
    first = choice.preference.metrics[0]
    best = _reference(choice, first) or chosen.row
    extreme = _extreme(first)
    text = f"the {extreme} {first.short} of {those}"
    if best is not chosen.row:
        at = first.show(first.value(best))
        text = f"tied with the {extreme} {first.short} of {those} ({at}, {best.label})"
    decider = choice.decided_by[-1]
    if choice.undecided:
        names = [row.label for row in choice.undecided]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{text}; no metric decides between it and {', '.join(names[:3])}{more}"
    if decider is first:
        return text
    by = f"the {_extreme(decider)} {decider.short} of those tied"
    return f"{text}, and {by} ({decider.show(chosen.value(decider))})"


def _reference(choice: Choice, metric: Metric) -> Variant | None:
    return next((tie.reference for tie in choice.ties if tie.metric == metric), None)


def _tied(choice: Choice, chosen: Candidate) -> str:
    """With whom it is tied, in each preferred metric that it is the reference of."""
    parts = []
    for metric in choice.preference.metrics:
        names = [
            f"{tie.other.label} ({metric.show(metric.value(tie.other))})"
            for tie in choice.ties
            if tie.tied and tie.metric == metric and tie.reference is chosen.row
        ]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"tied with {', '.join(names[:3])}{more} on {metric.short}")
    return f"; {'; '.join(parts)}" if parts else ""


def _nobody(choice: Choice) -> str:
    counts = {
        because: sum(any(e.because is because for e in c.exclusions) for c in choice.candidates)
        for because in Because
    }
    near = nearest(choice)
    total = len(choice.candidates)
    if near is not None:
        found = "; ".join(miss_text(miss) for miss in misses(near))
        text = (
            f"No run to take: nobody keeps every constraint. Nearest is {near.row.label}: {found}."
        )
        return text + _never_met(choice)
    words = {
        Because.status: ("did not end well", "did not end well"),
        Because.missing: ("lacks a number that is asked for", "lack a number that is asked for"),
        Because.flagged: ("has a flag on such a number", "have a flag on such a number"),
    }
    parts = ", ".join(
        f"{counts[key]} {text[counts[key] > 1]}" for key, text in words.items() if counts[key]
    )
    parts += _flags(choice)
    hint = " --allow-flagged lets flagged ones compete." if counts[Because.flagged] else ""
    return f"No run to take: of {total} run{'s' if total > 1 else ''}, {parts}.{hint}"


def _flags(choice: Choice) -> str:
    """Which flags, on which numbers."""
    found: dict[str, dict[Flag, None]] = {}
    for exclusion in (e for c in choice.candidates for e in c.exclusions):
        if exclusion.because is Because.flagged and exclusion.metric is not None:
            found.setdefault(exclusion.metric.short, {}).update(dict.fromkeys(exclusion.flags))
    named = [f"{name}: {', '.join(flags)}" for name, flags in found.items()]
    return f" ({'; '.join(named)})" if named else ""


def _never_met(choice: Choice) -> str:
    parts = [
        f"{entry.constraint.text} (nearest: {metric.show(entry.miss.value)}, "
        f"{metric.show(entry.miss.gap)} off, {entry.closest.row.label})"
        for entry in met(choice)
        if entry.miss is not None and entry.closest is not None
        for metric in (entry.constraint.metric,)
    ]
    return f" No run at all keeps {'; '.join(parts)}." if parts else ""


def _value(metric: Metric, candidate: Candidate) -> str:
    return f"{metric.short} {metric.show(candidate.value(metric))}"


def _extreme(metric: Metric) -> str:
    return "highest" if metric.better == "higher" else "lowest"
