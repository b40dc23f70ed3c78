"""The implementations of COCO's evaluation: of boxes two, made equal to the last bit.

Masks and keypoints are scored by the reference alone: that the faster one's overlaps of masks and
similarities of keypoints equal the reference's to the last bit has not been shown.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from odbench.config.spec import ScoringEngine
from odbench.evaluation.names import IouType

Sigmas = Mapping[int, NDArray[np.float64]]  # by category id

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

    stats: list[float]  # the twelve numbers, or ten, in the order of ``COCOeval.stats``
    # [10 thresholds, 101 recalls, classes]: all areas, at most 100 (20) detections per image
    precision: NDArray[np.float64]


def engine_of(iou_type: IouType, asked: ScoringEngine) -> ScoringEngine:
    """The engine that scores: the one that was asked for, or the reference where it is alone."""
    return asked if iou_type is IouType.bbox else ScoringEngine.pycocotools


def evaluate(
    truth: dict[str, Any],
    found: dict[str, Any],
    engine: ScoringEngine,
    iou_type: IouType = IouType.bbox,
    sigmas: Sigmas | None = None,
) -> Evaluation:
    """Evaluate by one engine. It may write into both data sets.

    Args:
        truth: COCO data set of the ground truth, every id counted from 1 in order.
        found: The same with the detections as annotations that have a ``score``.
        engine: Which implementation, of boxes.
        iou_type: What is compared.
        sigmas: Of each category's keypoints; of keypoints alone.
    """
    with redirect_stdout(io.StringIO()):  # pycocotools prints its progress and its table
        if engine_of(iou_type, engine) is ScoringEngine.pycocotools:
            evaluator = _reference(truth, found, iou_type, sigmas or {})
        else:
            evaluator = _faster(truth, found)
    area = evaluator.params.areaRngLbl.index("all")
    return Evaluation(
        stats=[float(value) for value in evaluator.stats],
        precision=evaluator.eval["precision"][:, :, :, area, -1],  # the last limit is the highest
    )


def _reference(
    truth: dict[str, Any], found: dict[str, Any], iou_type: IouType, sigmas: Sigmas
) -> _Evaluator:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    class OfEachClass(COCOeval):  # type: ignore[misc]
        """Takes the sigmas of the class at hand: its own are the seventeen of a person."""

        def computeOks(self, imgId: int, catId: int) -> Any:
            if catId not in sigmas:  # a class without keypoints, and so without objects here
                return []
            self.params.kpt_oks_sigmas = sigmas[catId]
            return super().computeOks(imgId, catId)

    sides = (_indexed(COCO(), truth), _indexed(COCO(), found))
    kind = OfEachClass if iou_type is IouType.keypoints else COCOeval
    evaluator: _Evaluator = kind(*sides, iouType=iou_type.value)
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
