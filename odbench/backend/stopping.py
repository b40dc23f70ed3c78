"""Which evaluation on the way is the best, and when more of them are no use."""

from __future__ import annotations

from collections.abc import Sequence

from odbench.results import EvalPoint

AP = "AP"
_NONE = -1.0  # below every AP


def best_point(points: Sequence[EvalPoint]) -> EvalPoint | None:
    """The evaluation of the highest AP, the earliest of equals; one without AP only if all are."""
    return max(points, key=_ap, default=None)


def has_stalled(points: Sequence[EvalPoint], patience: int, min_delta: float) -> bool:
    """Whether the last ``patience`` evaluations in a row brought nothing.

    As Keras' ``EarlyStopping``: an evaluation counts if its AP is above the last one that
    counted by more than ``min_delta`` (0..1). The first with an AP counts; one without never does.
    """
    counted, since = _NONE, 0
    for point in points:
        since += 1
        if _ap(point) > counted + (min_delta if counted >= 0 else 0.0):
            counted, since = _ap(point), 0
    return since >= patience


def is_pruned(points: Sequence[EvalPoint], below: Sequence[float] | None) -> bool:
    """Whether the last evaluation is below what ``train.prune_below`` says for it."""
    place = len(points) - 1
    return below is not None and 0 <= place < len(below) and _ap(points[-1]) < below[place]


def _ap(point: EvalPoint) -> float:
    value = point.metrics.get(AP)
    return _NONE if value is None else value
