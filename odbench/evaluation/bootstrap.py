"""How far a COCO metric of boxes would move had other images been picked: the image bootstrap.

Images are drawn with replacement and the metric is computed of each draw (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993; intervals by the percentile method, chapter 13). pycocotools
matches once, and all draws are accumulated side by side (:mod:`odbench.evaluation.weighted`).

Two things are not in the interval. What training with another seed would give: that takes repeats.
And what endless images would give: where classes have few objects AP comes out too high on the
average, in a draw, with its repeated images, more so. The interval is for the AP that other sets
of as many images give; the estimate often lies in its lower part. A difference of two sides on
the same images has this far less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from odbench.errors import EvaluationError
from odbench.evaluation.weighted import Floats, Matches, match, metric_of
from odbench.measure.comparing import Verdict
from odbench.measure.statistics import quantiles

_DRAWS = 1_000  # at once, which bounds the memory to some 24 kB an image


@dataclass(frozen=True)
class Interval:
    """A value and where it would lie with other images; None where it cannot be computed."""

    estimate: float | None  # of the images as they are
    low: float | None
    high: float | None
    resamples: int  # that had a value; of fewer than two images there are none
    level: float


@dataclass(frozen=True)
class PairedDifference:
    """Detections ``b`` against detections ``a`` on the same images."""

    interval: Interval  # of the metric of b less that of a
    p_value: float | None  # two-sided
    verdict: Verdict | None  # of b: a tie where the interval holds 0

    @property
    def difference(self) -> float | None:
        """Metric of b less that of a."""
        return self.interval.estimate


def ap_interval(
    truth: dict[str, Any],
    detections: list[dict[str, Any]],
    metric: str = "AP",
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """A COCO metric of boxes with its bootstrap interval over images.

    Args:
        truth: COCO instances. Not changed.
        detections: COCO results. Not changed.
        metric: One of :data:`odbench.evaluation.names.COCO_METRICS`.
        resamples: Draws of as many images as there are.
        seed: The same gives the same interval.
        level: Confidence, two-sided.

    Raises:
        EvaluationError: An element of either cannot be scored, or an argument is out of range.
    """
    matches = match(truth, detections, metric)
    return interval_of(matches, resamples=resamples, seed=seed, level=level)


def paired_ap_difference(
    truth: dict[str, Any],
    detections_a: list[dict[str, Any]],
    detections_b: list[dict[str, Any]],
    metric: str = "AP",
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference:
    """A COCO metric of b less that of a, every draw of images scored for both.

    Arguments and errors as :func:`ap_interval`; see :func:`difference_of` for the p-value.
    """
    a, b = (match(truth, side, metric) for side in (detections_a, detections_b))
    return difference_of(a, b, resamples=resamples, seed=seed, level=level)


def interval_of(
    matches: Matches, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """As :func:`ap_interval`, of what :func:`odbench.evaluation.weighted.match` gave."""
    _check_bootstrap(resamples, level)
    draws = _draws(len(matches.images), resamples, seed)
    return interval_of_draws(_estimate(matches), _values(draws, matches)[0], level)


def difference_of(
    a: Matches, b: Matches, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> PairedDifference:
    """As :func:`paired_ap_difference`, of two sides matched against one ground truth.

    The p-value is twice the smaller share of draws on either side of 0, the images as they are
    counted among the draws so that it is never 0 (Davison and Hinkley, Bootstrap Methods and
    their Application, 1997, section 4.2); it goes with the interval.

    Raises:
        EvaluationError: The two are not of one metric and the same images and objects.
    """
    _check_bootstrap(resamples, level)
    if not _same_problem(a, b):
        raise EvaluationError(
            "the two sides were not matched against one ground truth for one metric",
            value=f"{a.metric} of {len(a.images)} images, {b.metric} of {len(b.images)} images",
            fix="match both against the same ground truth",
        )
    before, after = _values(_draws(len(a.images), resamples, seed), a, b)
    once = (_estimate(a), _estimate(b))
    estimate = None if once[0] is None or once[1] is None else once[1] - once[0]
    return difference_of_draws(estimate, after - before, level)


def difference_of_draws(
    estimate: float | None, values: Floats, level: float = 0.95
) -> PairedDifference:
    """The verdict on a difference by its draws, each on the same images for both sides.

    Args:
        estimate: The difference on the images as they are.
        values: The difference in each draw, NaN where a side has no value.
        level: Confidence, two-sided.
    """
    interval = interval_of_draws(estimate, values, level)
    if interval.low is None or interval.high is None:
        return PairedDifference(interval, None, None)
    verdict = Verdict.tie
    if interval.low > 0 or interval.high < 0:
        verdict = Verdict.better if interval.low > 0 else Verdict.worse
    return PairedDifference(interval, _p_value(values), verdict)


def drawn_values(resamples: int, seed: int, *sides: Matches) -> list[Floats]:
    """Metrics of the same draws of images, [draws] for each side; NaN where a draw has no object.

    Sides of as many images have the same draws at every call with the same seed. Of fewer than
    two images there are none.
    """
    return _values(_draws(len(sides[0].images), resamples, seed), *sides)


def interval_of_draws(estimate: float | None, values: Floats, level: float = 0.95) -> Interval:
    """The percentile interval of draws; NaN are draws without a value, and left out."""
    known = values[~np.isnan(values)]
    if estimate is None or not known.size:
        return Interval(estimate, None, None, known.size, level)
    low, high = quantiles(known.tolist(), [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, low, high, known.size, level)


def _check_bootstrap(resamples: int, level: float) -> None:
    if resamples < 1:
        raise EvaluationError("too few", where="resamples", value=resamples, allowed="1 or more")
    if not 0 < level < 1:
        raise EvaluationError("no confidence", where="level", value=level, allowed="0 < level < 1")


def _same_problem(a: Matches, b: Matches) -> bool:
    alike = (a.metric, a.images, len(a.classes)) == (b.metric, b.images, len(b.classes))
    pairs = zip(a.classes, b.classes, strict=False)
    return alike and all(np.array_equal(one.objects, other.objects) for one, other in pairs)


def _draws(images: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each image was drawn, [images, draws] at a time."""
    if images < 2:  # every draw would be the same
        yield np.zeros((images, 0))
        return
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _DRAWS):
        shape = (min(_DRAWS, resamples - start), images)
        drawn = generator.integers(images, size=shape)
        drawn += np.arange(shape[0])[:, None] * images  # each draw counts in a row of its own
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(shape)
        yield np.ascontiguousarray(times.T, dtype=float)


def _values(draws: Iterator[Floats], *sides: Matches) -> list[Floats]:
    """The metric of each draw for each side, NaN where it has no ground truth."""
    parts = [[metric_of(matches, times) for matches in sides] for times in draws]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _estimate(matches: Matches) -> float | None:
    value = float(metric_of(matches, np.ones((len(matches.images), 1)))[0])
    return None if np.isnan(value) else value


def _p_value(values: Floats) -> float:
    """Twice the smaller share of drawn differences on either side of 0, never 0 itself."""
    known = values[~np.isnan(values)]
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (known.size + 1))
