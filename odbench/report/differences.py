"""Whether two variants differ in a metric, and who is tied with the best.

AP, AP50 and AP75: paired draw by draw over the same images; where a variant has repeats, each draw
picks among them too, so that what differs from run to run is in the interval. Spreads of few
repeats come out too small when drawn with replacement, by (n - 1) / n in variance: the deviations
from their mean are stretched by that (Davison and Hinkley, Bootstrap Methods and their
Application, 1997, section 3.2). Every other measured metric: the Mann-Whitney test of the repeats'
values, or where a side has one run, of means of blocks of its samples, which tell these two runs
apart and nothing more. What is counted and not measured needs no test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from odbench.evaluation.bootstrap import difference_of_draws
from odbench.evaluation.weighted import Floats
from odbench.measure.comparing import Unit, Verdict, mann_whitney, replicates
from odbench.report.pick_metrics import Metric, find_metric
from odbench.report.variants import IMAGE_METRICS, Variant
from odbench.results import RunRecord

# What decides between models.
DECISION_METRICS = (
    "eval/AP",
    "eval/AP50",
    "eval/mask_AP",
    "eval/keypoint_AP",
    "train/time_1000_steps_s",
    "latency/p50_ms",
    "latency/p99_ms",
    "latency/images_per_s",
    "export/size_bytes",
    "peak_ram_bytes",
    "peak_gpu_bytes",
)

BOOTSTRAP = "paired image bootstrap"
RANKS_OF_RUNS = "Mann-Whitney test of the repeats"
RANKS_OF_BLOCKS = "Mann-Whitney test of the means of blocks within the runs"
EXACT = "counted, which needs no test"

# Known to the last digit, of which the last ones mean nothing: a path in a file makes a byte more.
EXACT_METRICS = ("export/size_bytes", "train/parameters")
NEGLIGIBLE = 1e-3  # of these: as a share

_IMAGES = {f"eval/{name}": name for name in IMAGE_METRICS}

Samples = Callable[[RunRecord], Floats]


@dataclass(frozen=True)
class Difference:
    """How ``other`` stands against ``reference``; numbers are other less reference.

    ``difference`` is of the shown means where images were drawn, the Hodges-Lehmann shift where
    ranks were taken, each in the metric's unit; ``low`` and ``high`` its 95 % interval.
    """

    verdict: Verdict | None  # of other; None: not comparable, method says why
    method: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None

    @property
    def word(self) -> str:
        """``better``, ``worse``, ``tie`` or ``not comparable``."""
        return "not comparable" if self.verdict is None else str(self.verdict)


def decision_metrics() -> list[Metric]:
    """The metrics of :data:`DECISION_METRICS`."""
    return [find_metric(key, "metric") for key in DECISION_METRICS]


def difference(metric: Metric, reference: Variant, other: Variant) -> Difference:
    """Compare two variants of one group in a metric."""
    before, after = metric.value(reference), metric.value(other)
    if before is None or after is None:
        return Difference(None, "no value" if before is after else "a value of one alone")
    shift = after - before
    if metric.key in EXACT_METRICS:
        return Difference(_exact(metric, reference, other), EXACT, shift)
    if metric.key in _IMAGES:
        return _by_images(_IMAGES[metric.key], shift, reference, other)
    return _by_ranks(metric, shift, reference, other)


def tied_with_best(metric: Metric, variants: Sequence[Variant]) -> dict[str, Difference | None]:
    """The best in a metric and who is tied with it, by the keys of the variants.

    The best is mapped to None. Only variants compete that ended well and have a value that no
    flag touches; without two of them there is nobody.
    """
    clean = [v for v in variants if v.ok and not metric.flags(v) and metric.value(v) is not None]
    if len(clean) < 2:
        return {}
    best = min(clean, key=lambda v: metric.cost(metric.value(v) or 0.0))
    found: dict[str, Difference | None] = {best.key: None}
    for other in clean:
        if other is not best:
            tested = difference(metric, best, other)
            if tested.verdict is Verdict.tie:
                found[other.key] = tested
    return found


def _exact(metric: Metric, reference: Variant, other: Variant) -> Verdict:
    """A tie where the ranges of the repeats meet, or nearly do."""
    before, after = reference.values(metric.sources), other.values(metric.sources)
    apart = max(min(after) - max(before), min(before) - max(after))
    if apart <= NEGLIGIBLE * max(*before, *after):
        return Verdict.tie
    lower = max(after) < min(before)
    return Verdict.better if lower == (metric.better == "lower") else Verdict.worse


def _by_images(name: str, shift: float, reference: Variant, other: Variant) -> Difference:
    before, after = reference.draws(name), other.draws(name)
    if before is None or after is None:
        return Difference(None, "draws over images were not kept of both", shift)
    if before.key != after.key or before.values.shape[1] != after.values.shape[1]:
        return Difference(None, "the draws of the two picked different images", shift)
    generator = np.random.default_rng(0)
    sides = [_drawn_repeats(draws.values, generator) for draws in (before, after)]
    found = difference_of_draws(shift, sides[1] - sides[0])
    if found.verdict is None:
        return Difference(None, "too few images", shift)
    interval = found.interval
    return Difference(found.verdict, BOOTSTRAP, shift, interval.low, interval.high, found.p_value)


def _drawn_repeats(values: Floats, generator: np.random.Generator) -> Floats:
    """[repeats, draws] to [draws]: of each draw the mean of as many repeats, drawn again."""
    repeats, draws = values.shape
    average: Floats = values.mean(axis=0)
    if repeats == 1:
        return average
    chosen = generator.integers(repeats, size=(repeats, draws))
    drawn: Floats = np.take_along_axis(values, chosen, axis=0).mean(axis=0)
    stretched: Floats = average + (drawn - average) * np.sqrt(repeats / (repeats - 1))
    return stretched


def _by_ranks(metric: Metric, shift: float, reference: Variant, other: Variant) -> Difference:
    sides = [side.values(metric.sources) for side in (reference, other)]
    method = RANKS_OF_RUNS
    if min(map(len, sides)) < 2:
        if metric.key not in _SAMPLES:
            return Difference(None, "a run has one value of it, and no samples", shift)
        samples = _SAMPLES[metric.key]
        before, after = (
            [samples(row.record) for row in side.counted] for side in (reference, other)
        )
        observed = replicates(before, after)
        sides = [observed.a, observed.b]
        method = RANKS_OF_RUNS if observed.unit is Unit.run else RANKS_OF_BLOCKS
    found = mann_whitney(*sides, lower_is_better=metric.better == "lower")
    if not found.decidable:
        return Difference(None, _too_few(sides, method), shift)
    return Difference(found.verdict, method, found.shift, found.low, found.high, found.p_value)


def _too_few(sides: Sequence[Sequence[float]], method: str) -> str:
    if method == RANKS_OF_BLOCKS:
        return "too few samples to show a difference"
    counts = " and ".join(str(len(side)) for side in sides)
    return f"{counts} repeats are too few to tell: 4 of each are enough"


def _calls(record: RunRecord) -> Floats:
    """Seconds of each call of the exported model."""
    return np.asarray(record.latency.latency_s if record.latency else [], dtype=float)


def _steps(record: RunRecord) -> Floats:
    """Seconds of each measured step, as :attr:`odbench.results.TrainResult.step_s`."""
    if record.train is None:
        return np.empty(0)
    waits, computing = record.train.input_wait_s, record.train.compute_s
    total: Floats = np.asarray(waits, dtype=float) + np.asarray(computing, dtype=float)
    return total


def _call_rates(record: RunRecord) -> Floats:
    return record.latency.batch_size / _calls(record) if record.latency else np.empty(0)


def _step_rates(record: RunRecord) -> Floats:
    return record.train.batch_size / _steps(record) if record.train else np.empty(0)


# Each sample in the unit of its metric. Of p90 and p99 there is no test of single runs: blocks
# have means.
_SAMPLES: dict[str, Samples] = {
    "latency/p50_ms": lambda record: _calls(record) * 1000,
    "latency/images_per_s": _call_rates,
    "train/step_s_mean": _steps,
    "train/step_s_p50": _steps,
    "train/time_1000_steps_s": lambda record: _steps(record) * 1000,
    "train/images_per_s": _step_rates,
}
