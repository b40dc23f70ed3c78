"""A choice as JSON: everything that the text says, with full numbers in the metrics' units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from odbench.records import RECORD_FILE
from odbench.report.pick import Candidate, Choice, Exclusion, Tie
from odbench.report.pick_metrics import Metric, metrics_table
from odbench.report.pick_misses import Met, Miss, met, misses, nearest
from odbench.report.pick_options import Constraint
from odbench.report.pick_words import Training, exclusion_text, sentence
from odbench.report.training_cost import TrainingCost

PICK_SCHEMA_VERSION = 2  # 2: candidates are variants, values the means of their repeats


def choices_to_json(choices: Sequence[Choice], training: Training | None) -> dict[str, Any]:
    """Everything, one object per group; at least one choice."""
    first = choices[0]
    weights = first.preference.weights
    return {
        "schema_version": PICK_SCHEMA_VERSION,
        "chosen": [None if c.chosen is None else c.chosen.row.record.run_id for c in choices],
        "constraints": [_constraint(constraint) for constraint in first.constraints],
        "preference": {
            "metrics": [_metric(metric) for metric in first.preference.metrics],
            "weights": None if weights is None else list(weights),
            "rule": "in order, ties broken" if weights is None else "weighted geometric mean",
        },
        "allow_flagged": first.allow_flagged,
        "groups": [_choice(choice, training) for choice in choices],
    }


def _choice(choice: Choice, training: Training | None) -> dict[str, Any]:
    near = nearest(choice) if choice.chosen is None else None
    return {
        "title": choice.group.title,
        "common": choice.group.common._asdict(),
        "answer": sentence(choice, training),
        "chosen": None if choice.chosen is None else _named(choice.chosen),
        "runners_up": [_named(c) for c in choice.runners_up if c.dominated_by is None],
        "undecided": [{"run": r.label, "run_id": r.record.run_id} for r in choice.undecided],
        "decided_by": [metric.key for metric in choice.decided_by],
        "tie_breakers_not_used": choice.unused,
        "candidates": [_candidate(c, training) for c in choice.candidates],
        "ties": [_tie(tie) for tie in choice.ties],
        "constraints_met": [_met(entry) for entry in met(choice)],
        "nearest": None if near is None else _named(near) | {"misses": _misses(near)},
    }


def _named(candidate: Candidate) -> dict[str, Any]:
    record = candidate.row.record
    return {"run": candidate.row.label, "run_id": record.run_id, "model": record.model}


def _candidate(candidate: Candidate, training: Training | None) -> dict[str, Any]:
    by = candidate.dominated_by
    return _named(candidate) | {
        "record": str(candidate.row.run.dir / RECORD_FILE),
        "variant": candidate.row.record.variant,
        "repeats": _repeats(candidate),
        "status": str(candidate.row.record.status),
        "reason": candidate.row.record.reason,
        "competes": candidate.competes,
        "values": candidate.values,
        "flags": [str(flag) for flag in candidate.flags],
        "score": candidate.score,
        "dominated_by": None if by is None else {"run": by.label, "run_id": by.record.run_id},
        "excluded": [_exclusion(exclusion, candidate) for exclusion in candidate.exclusions],
        "misses": _misses(candidate),
        "training": None if training is None else _cost(training.of(candidate.row)),
    }


def _repeats(candidate: Candidate) -> dict[str, Any]:
    """The runs whose means the values are, and the 95 % intervals of these over the runs."""
    table, variant = metrics_table(), candidate.row
    intervals = {key: variant.repeated(table[key].sources) for key in candidate.values}
    return {
        "runs": [row.record.run_id for row in variant.rows],
        "statuses": {str(status): count for status, count in variant.statuses.items()},
        "counted": len(variant.counted),
        "best": variant.best_repeat.record.run_id,  # by AP: the one that is registered
        "intervals": {
            key: None if found.low is None else [found.low, found.high]
            for key, found in intervals.items()
        },
    }


def _misses(candidate: Candidate) -> list[dict[str, Any]]:
    return [_miss(miss) for miss in misses(candidate)]


def _exclusion(exclusion: Exclusion, candidate: Candidate) -> dict[str, Any]:
    return {
        "because": str(exclusion.because),
        "metric": None if exclusion.metric is None else exclusion.metric.key,
        "flags": [str(flag) for flag in exclusion.flags],
        "text": exclusion_text(exclusion, candidate),
    }


def _tie(tie: Tie) -> dict[str, Any]:
    tested = tie.tested
    return {
        "metric": tie.metric.key,
        "reference": {"run": tie.reference.label, "run_id": tie.reference.record.run_id},
        "other": {"run": tie.other.label, "run_id": tie.other.record.run_id},
        "verdict": None if tested.verdict is None else str(tested.verdict),
        "method": tested.method,
        "difference": tested.difference,
        "low": tested.low,
        "high": tested.high,
        "p_value": tested.p_value,
    }


def _constraint(constraint: Constraint) -> dict[str, Any]:
    return {
        "metric": constraint.metric.key,
        "bound": constraint.bound,
        "limit": constraint.limit,
        "unit": constraint.metric.unit,
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {"metric": metric.key, "better": metric.better, "unit": metric.unit}


def _met(entry: Met) -> dict[str, Any]:
    closest = None
    if entry.closest is not None and entry.miss is not None:
        closest = _named(entry.closest) | _miss(entry.miss)
    return _constraint(entry.constraint) | {"met": entry.kept, "of": entry.of, "closest": closest}


def _miss(miss: Miss) -> dict[str, Any]:
    finite = miss.relative if miss.relative < float("inf") else None
    named = {"metric": miss.constraint.metric.key, "bound": miss.constraint.bound}
    return named | {"value": miss.value, "gap": miss.gap, "gap_of_limit": finite}


def _cost(cost: TrainingCost) -> dict[str, Any]:
    return {
        "projection": True,
        "steps": cost.steps,
        "measured_steps": cost.measured_steps,
        "hours": cost.hours,
        "hours_low": cost.hours_low,
        "hours_high": cost.hours_high,
        "price_per_hour": cost.price_per_hour,
        "cost": cost.cost(cost.hours),
        "cost_low": cost.cost(cost.hours_low),
        "cost_high": cost.cost(cost.hours_high),
    }
