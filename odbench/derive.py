"""Metrics and validity flags, derived from the raw samples of a record.

Names are MLflow's legal ones (letters, digits, ``_ - . /`` and space); units are suffixes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from odbench.measure.statistics import mean, percentiles, project_total, samples_needed
from odbench.results import (
    EvalPoint,
    EvalResult,
    Flag,
    LatencyResult,
    RunRecord,
    Stage,
    StageUsage,
    TrainResult,
)

REFERENCE_STEPS = 1000

# Other processes took this many cores on average: timings are no longer of this run alone.
BUSY_CORES = 0.25

# The hypervisor kept back more than this share of what a stage asked for: its times are too high.
STOLEN_SHARE = 0.05

Metrics = dict[str, float | None]


class Derived(NamedTuple):
    """What is derived from a record."""

    metrics: Metrics
    flags: list[Flag]


def derived(record: RunRecord) -> Derived:
    """Metrics and flags of a record."""
    return Derived(metrics(record), flags(record))


def metrics(record: RunRecord) -> Metrics:
    """Every flat metric of a record; a stage that did not end contributes nothing."""
    flat: Metrics = {"run/wall_s": record.wall_s}
    if record.train is not None:
        flat |= train_metrics(record.train)
    if record.eval is not None:
        flat |= eval_metrics(record.eval)
    if record.export is not None:
        flat["export/export_s"] = record.export.export_s
        flat["export/size_bytes"] = float(record.export.size_bytes)
    if record.latency is not None:
        flat |= latency_metrics(record.latency)
    for stage, usage in record.usage.items():
        flat |= usage_metrics(stage, usage)
    return flat


def train_metrics(result: TrainResult) -> Metrics:
    """Metrics of the train stage; the 1000-step time is steady state, see ``docs``."""
    each = np.add(result.input_wait_s, result.compute_s)  # step_s, for thousands of runs
    steps: list[float] = each.tolist()
    total = project_total(steps, REFERENCE_STEPS)
    average = mean(steps)
    p50, p90, p99 = percentiles(each, (50, 90, 99))
    last = result.losses[-1].losses.get("Loss/total_loss") if result.losses else None
    return {
        "train/build_s": result.build_s,
        "train/restore_s": result.restore_s,
        "train/first_step_s": result.first_step_s,
        "train/warmup_s": sum(result.warmup_step_s),
        "train/steps": float(result.num_steps),
        "train/measured_steps": float(len(steps)),
        "train/step_s_mean": average,
        "train/step_s_p50": p50,
        "train/step_s_p90": p90,
        "train/step_s_p99": p99,
        "train/input_wait_s_mean": mean(result.input_wait_s),
        "train/compute_s_mean": mean(result.compute_s),
        "train/images_per_s": result.batch_size / average if average else None,
        "train/time_1000_steps_s": total.value,
        "train/time_1000_steps_low_s": total.low,
        "train/time_1000_steps_high_s": total.high,
        "train/checkpoint_s": sum(c.write_s for c in result.checkpoints),
        "train/parameters": None if result.parameters is None else float(result.parameters),
        "train/final_loss": last,
    } | _evaluation_metrics(result.evaluations)


def _evaluation_metrics(points: list[EvalPoint]) -> Metrics:
    """The best of the evaluations on the way, the earliest of equals; nothing without any."""
    if not points:
        return {}
    best = max(points, key=lambda point: -1.0 if (ap := point.metrics["AP"]) is None else ap)
    return {
        "train/best_AP": best.metrics["AP"],
        "train/best_step": float(best.step),
        "train/evaluations": float(len(points)),
        "train/evaluations_s": sum(point.wall_s for point in points),
    }


def eval_metrics(result: EvalResult) -> Metrics:
    """Metrics of the eval stage; a partial evaluation has no AP."""
    flat: Metrics = {
        f"eval/{name}": value if result.complete else None for name, value in result.metrics.items()
    }
    for prefix, metrics in (("mask", result.mask_metrics), ("keypoint", result.keypoint_metrics)):
        for name, value in (metrics or {}).items():
            flat[f"eval/{prefix}_{name}"] = value if result.complete else None
    flat |= {
        "eval/build_s": result.build_s,
        "eval/first_batch_s": result.first_batch_s,
        "eval/input_s": result.input_s,
        "eval/inference_s": result.inference_s,
        "eval/metric_s": result.metric_s,
        "eval/postprocess_s": result.postprocess_s,
        "eval/images": float(result.images_evaluated),
        "eval/detections": float(result.num_detections),
    }
    return flat


def latency_metrics(result: LatencyResult) -> Metrics:
    """Metrics of the latency stage, in milliseconds."""
    average = mean(result.latency_s)
    flat: Metrics = {
        "latency/load_s": result.load_s,
        "latency/first_call_s": result.first_call_s,
        "latency/images_per_s": result.batch_size / average if average else None,
    }
    ranks = (50, 90, 99)
    for q, seconds in zip(ranks, percentiles(result.latency_s, ranks), strict=True):
        flat[f"latency/p{q}_ms"] = None if seconds is None else seconds * 1000
    return flat


def usage_metrics(stage: Stage, usage: StageUsage) -> Metrics:
    """What a stage used."""
    return {
        f"{stage}/wall_s": usage.wall_s,
        f"{stage}/cpu_s": usage.cpu_s,
        f"{stage}/peak_ram_bytes": _as_float(usage.peak_ram_bytes),
        f"{stage}/peak_gpu_bytes": _as_float(usage.peak_gpu_bytes),
        f"{stage}/gpu_energy_j": usage.gpu_energy_j,
    }


def flags(record: RunRecord) -> list[Flag]:
    """Validity flags of a record, in the order of :class:`~odbench.results.Flag`."""
    found: set[Flag] = set()
    if record.backend == "replay":
        found.add(Flag.replayed)
    if record.side_by_side:
        found.add(Flag.side_by_side)
    if record.train is not None:
        found |= _train_flags(record.train, record.batch_size)
    if record.eval is not None and not record.eval.complete:
        found.add(Flag.partial_eval)
    if record.latency is not None and len(record.latency.latency_s) < samples_needed(99):
        found.add(Flag.few_samples)
    for usage in record.usage.values():
        if usage.other_cpu_cores is not None and usage.other_cpu_cores > BUSY_CORES:
            found.add(Flag.busy_device)
        if _stolen_share(usage) > STOLEN_SHARE:
            found.add(Flag.stolen_cpu)
        if usage.throttled:
            found.add(Flag.throttled)
    return [flag for flag in Flag if flag in found]


def _stolen_share(usage: StageUsage) -> float:
    """How much of the core time that a stage asked for was kept from it, 0 to 1; 0 if unknown."""
    if usage.stolen_cpu_cores is None or usage.cpu_s is None or usage.wall_s <= 0:
        return 0.0
    asked = usage.stolen_cpu_cores + usage.cpu_s / usage.wall_s
    return usage.stolen_cpu_cores / asked if asked > 0 else 0.0


def _train_flags(result: TrainResult, asked_batch: int) -> set[Flag]:
    found: set[Flag] = set()
    if len(result.compute_s) < REFERENCE_STEPS:
        found.add(Flag.projection)
    if result.batch_size < asked_batch:
        found.add(Flag.batch_shrunk)
    windows = _measured_windows(result)
    if _in_window(windows, [write.step for write in result.checkpoints]):
        found.add(Flag.checkpoint_in_window)
    if _in_window(windows, [point.step for point in result.evaluations]):
        found.add(Flag.eval_in_window)
    if len(result.parts) > 1:
        found.add(Flag.resumed)
    if not all(_is_finite(point.losses) for point in result.losses):
        found.add(Flag.diverged)
    return found


def _is_finite(losses: Metrics) -> bool:
    try:
        return all(map(math.isfinite, losses.values()))  # type: ignore[arg-type]
    except TypeError:  # None, which stands for what is not
        return False


def _measured_windows(result: TrainResult) -> list[tuple[int, int]]:
    """First and last measured step of each part."""
    if not result.parts:  # a record from before parts were kept
        first = 2 + len(result.warmup_step_s)
        return [(first, first + len(result.compute_s) - 1)]
    return [
        (part.first_measured, part.last_measured)
        for part in result.parts
        if part.first_measured is not None and part.last_measured is not None
    ]


def _in_window(windows: list[tuple[int, int]], steps: list[int]) -> bool:
    """Whether something happened after one of these steps, and a measured step followed on it."""
    return any(first <= step < last for first, last in windows for step in steps)


def _as_float(value: int | None) -> float | None:
    return None if value is None else float(value)
