"""The two implementations of COCO's bounding-box evaluation, made equal to the last bit."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from odbench.config.spec import ScoringEngine

# What the reference gives for one match among one detection: it divides by tp + fp + spacing(1)
# so as never to divide by zero, and only a sum of 1 is small enough to be changed by that.
_ONE_OF_ONE = 1.0 / (1.0 + np.spacing(1))


class _Side(Protocol):
    """What both engines call ``COCO``."""

    dataset: dict[str, Any]

    def createIndex(self) -> None: ...


class _Evaluator(Protocol):
    """What both engines call ``COCOeval``."""

    params: Any
    eval: dict[str, Any]
    stats: NDArray[np.float64]

    def evaluate(self) -> None: ...

    def accumulate(self) -> None: ...

    def summarize(self) -> None: ...


@dataclass(frozen=True)
class Evaluation:
    """What an engine found; -1 stands for "no ground truth"."""

    stats: list[float]  # the twelve numbers, in the order of ``COCOeval.stats``
    # [10 IoU thresholds, 101 recalls, classes]: all areas, at most 100 detections per image
    precision: NDArray[np.float64]


def evaluate(truth: dict[str, Any], found: dict[str, Any], engine: ScoringEngine) -> Evaluation:
    """Evaluate by one engine. It may write into both data sets.

    Args:
        truth: COCO data set of the ground truth, every id counted from 1 in order.
        found: The same with the detections as annotations that have a ``score``.
        engine: Which implementation.
    """
    run = _reference if engine is ScoringEngine.pycocotools else _faster
    with redirect_stdout(io.StringIO()):  # pycocotools prints its progress and its table
        evaluator = run(truth, found)
    area = evaluator.params.areaRngLbl.index("all")
    limit = evaluator.params.maxDets.index(100)
    return Evaluation(
        stats=[float(value) for value in evaluator.stats],
        precision=evaluator.eval["precision"][:, :, :, area, limit],
    )


def _reference(truth: dict[str, Any], found: dict[str, Any]) -> _Evaluator:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sides = (_indexed(COCO(), truth), _indexed(COCO(), found))
    evaluator: _Evaluator = COCOeval(*sides, iouType="bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator


def _faster(truth: dict[str, Any], found: dict[str, Any]) -> _Evaluator:
    """As the reference, whose rounding is restored.

    faster-coco-eval divides by tp + fp: where a class's best detection is right and the next is
    wrong, its precision is 1 and the reference's is 2.2e-16 less. Elsewhere both have 1. Which of
    the two holds is read at a recall that the second match reaches and the first does not; of
    n boxes, one power of two always lies between 1/n and 2/n.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    sides = (_indexed(COCO(), truth), _indexed(COCO(), found))
    evaluator: _Evaluator = COCOeval_faster(*sides, iouType="bbox")
    params = evaluator.params
    grid = params.recThrs
    exponents = np.frexp(_box_counts(truth, params.areaRng) - 1.0)[1] - 1
    probes = np.ldexp(1.0, -exponents)  # class, area
    params.recThrs = np.unique(np.concatenate([grid, probes.ravel()]))
    evaluator.evaluate()
    evaluator.accumulate()
    precision = evaluator.eval["precision"]  # IoU threshold, recall, class, area, detections
    at_second = np.searchsorted(params.recThrs, probes)[None, None, :, :, None]
    second = np.take_along_axis(precision, at_second, axis=1)
    precision = precision[:, np.searchsorted(params.recThrs, grid)]
    single = (precision == 1.0) & (second < 1.0)
    evaluator.eval["precision"] = np.where(single, _ONE_OF_ONE, precision)
    params.recThrs = grid
    evaluator.summarize()
    return evaluator


def _indexed(side: _Side, dataset: dict[str, Any]) -> _Side:
    side.dataset = dataset
    side.createIndex()
    return side


def _box_counts(truth: dict[str, Any], area_ranges: list[list[float]]) -> NDArray[np.int64]:
    """Count the boxes by class and area range; crowds do not count."""
    boxes = [box for box in truth["annotations"] if not box["iscrowd"]]
    classes = np.array([box["category_id"] - 1 for box in boxes], dtype=np.int64)
    areas = np.array([box["area"] for box in boxes], dtype=np.float64)
    counts = np.zeros((len(truth["categories"]), len(area_ranges)), dtype=np.int64)
    for index, (low, high) in enumerate(area_ranges):
        inside = (areas >= low) & (areas <= high)
        counts[:, index] = np.bincount(classes[inside], minlength=len(counts))
    return counts
