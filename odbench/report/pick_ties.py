"""Whether two runs differ in a metric: from their detections, or from their raw samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from odbench.dataset.stored import load_dataset
from odbench.errors import OdbenchError
from odbench.evaluation.bootstrap import difference_of
from odbench.evaluation.inputs import load_detections, load_ground_truth
from odbench.evaluation.names import COCO_METRICS
from odbench.evaluation.weighted import Matches, match
from odbench.jobfile import JOB_FILE
from odbench.measure.comparing import mann_whitney, replicates
from odbench.report.comparison import Row
from odbench.report.pick import Compared
from odbench.report.pick_metrics import Metric
from odbench.results import RunRecord

Samples = Callable[[RunRecord], list[float]]

_BOXES = {f"eval/{name}": name for name in COCO_METRICS}

# Known to the last digit: two values are equal or they are not.
_EXACT = ("export/size_bytes", "train/parameters")

BOOTSTRAP = "paired image bootstrap of the detections"
RANKS = "Mann-Whitney test of the means of blocks within the two runs"


def _calls(record: RunRecord) -> list[float]:
    return [] if record.latency is None else [s * 1000 for s in record.latency.latency_s]


def _call_rates(record: RunRecord) -> list[float]:
    result = record.latency
    return [] if result is None else [result.batch_size / s for s in result.latency_s]


def _steps(times: int, record: RunRecord) -> list[float]:
    return [] if record.train is None else [s * times for s in record.train.step_s]


def _step_rates(record: RunRecord) -> list[float]:
    result = record.train
    return [] if result is None else [result.batch_size / s for s in result.step_s]


# Each sample in the unit of its metric. Of p90 and p99 there is no test: blocks have means.
_SAMPLES: dict[str, Samples] = {
    "latency/p50_ms": _calls,
    "latency/images_per_s": _call_rates,
    "train/step_s_mean": partial(_steps, 1),
    "train/step_s_p50": partial(_steps, 1),
    "train/time_1000_steps_s": partial(_steps, 1000),
    "train/images_per_s": _step_rates,
}


@dataclass
class TieTest:
    """Tests two rows; what was read and matched is kept for the next pair.

    Metrics of boxes by the paired image bootstrap, where both runs' detections and the ground
    truth of their data set can be read; times by the Mann-Whitney test. Whatever cannot be tested
    says why, and is no tie.
    """

    _truths: dict[str, dict[str, Any]] = field(default_factory=dict)  # by data set hash
    _matches: dict[tuple[str, str], Matches] = field(default_factory=dict)  # by run and metric

    def __call__(self, metric: Metric, reference: Row, other: Row) -> Compared:
        """Test ``other`` against ``reference``."""
        if metric.key in _BOXES:
            return self._by_images(_BOXES[metric.key], reference, other)
        if metric.key in _SAMPLES:
            return _by_ranks(metric, _SAMPLES[metric.key], reference, other)
        if metric.key in _EXACT:
            return Compared(None, "an exact number, which needs no test")
        return Compared(None, "a run has one value of it, and no samples")

    def _by_images(self, metric: str, reference: Row, other: Row) -> Compared:
        try:
            truth = self._truth(reference, other)
            if truth is None:
                return Compared(None, "the ground truth of the runs is not on this machine")
            a, b = (self._matched(truth, row, metric) for row in (reference, other))
            found = difference_of(a, b)
        except OdbenchError as error:
            return Compared(None, f"cannot be tested: {str(error).splitlines()[0]}")
        if found.verdict is None:
            return Compared(None, "too few images")
        low, high = found.interval.low, found.interval.high
        return Compared(found.verdict, BOOTSTRAP, found.difference, low, high, found.p_value)

    def _truth(self, *rows: Row) -> dict[str, Any] | None:
        """The ground truth that the rows were evaluated on, by the job file of one of them."""
        wanted = rows[0].record.dataset.hash
        if wanted not in self._truths:
            found = next((truth for row in rows if (truth := _ground_truth(row, wanted))), None)
            if found is None:
                return None
            self._truths[wanted] = found
        return self._truths[wanted]

    def _matched(self, truth: dict[str, Any], row: Row, metric: str) -> Matches:
        key = (row.record.run_id, metric)
        if key not in self._matches:
            name = "" if row.record.eval is None else row.record.eval.detections
            self._matches[key] = match(truth, load_detections(row.run.dir / name), metric)
        return self._matches[key]


def _ground_truth(row: Row, dataset_hash: str) -> dict[str, Any] | None:
    try:
        job = json.loads((row.run.dir / JOB_FILE).read_text(encoding="utf-8"))
        dataset = load_dataset(Path(job["dataset"]))
    except (OSError, ValueError, KeyError, TypeError, OdbenchError):
        return None  # a record from another machine, or a cache that was cleared: no test
    if dataset.hash != dataset_hash or "val" not in dataset.splits:
        return None
    return load_ground_truth(dataset.splits["val"].ground_truth)


def _by_ranks(metric: Metric, samples: Samples, reference: Row, other: Row) -> Compared:
    sides: Sequence[list[float]] = [samples(row.record) for row in (reference, other)]
    observed = replicates([sides[0]], [sides[1]])
    found = mann_whitney(observed.a, observed.b, lower_is_better=metric.better == "lower")
    if not found.decidable:
        return Compared(None, "too few samples to show a difference")
    return Compared(found.verdict, RANKS, found.shift, found.low, found.high, found.p_value)
