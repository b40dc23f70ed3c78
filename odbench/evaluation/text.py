"""Scores for people (a table of plain text) and for programs (JSON values)."""

from __future__ import annotations

from typing import Any

from odbench.evaluation.coco import Scores
from odbench.evaluation.names import IouType
from odbench.reporting import counted

_WHAT = {IouType.bbox: "", IouType.segm: ", masks", IouType.keypoints: ", keypoints"}


def render_scores(scores: Scores) -> str:
    """Lay out the metrics, then each class's AP, one a line; ``-`` where there is no value."""
    width = max(map(len, (*scores.metrics, *scores.per_class)))
    lines = [
        f"{counted(scores.images, 'image')}, {counted(scores.detections, 'detection')}, "
        f"scored by {scores.engine.value}{_WHAT[scores.iou_type]}",
        "",
        *(_line(name, value, width) for name, value in scores.metrics.items()),
    ]
    if scores.per_class:
        lines += ["", "AP by class"]
        lines += [_line(name, value, width) for name, value in scores.per_class.items()]
    return "\n".join(lines)


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """Give the scores as JSON values: ``metrics``, ``per_class``, ``engine`` and both counts."""
    return {
        "metrics": dict(scores.metrics),
        "per_class": dict(scores.per_class),
        "engine": scores.engine.value,
        "iou_type": scores.iou_type.value,
        "images": scores.images,
        "detections": scores.detections,
    }


def _line(name: str, value: float | None, width: int) -> str:
    number = "-" if value is None else f"{value:.4f}"
    return f"{name:<{width}}  {number:>6}"
