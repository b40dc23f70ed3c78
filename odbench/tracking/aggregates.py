"""What the repeats of a variant, and the variants of a sweep, come to. No MLflow here.

A metric of a variant is the mean over its repeats, under the metric's own name, so that pages sort
variants as they sort runs; those that models are chosen by have ``_low`` and ``_high`` (95 %
interval of the mean, from three repeats on), ``_best`` and ``_n`` beside them. Counted are the
repeats that ended well, all of them where none did. A sweep has the numbers of its best variant by
AP, of those without a flag where there are any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from odbench import derive
from odbench.config.fingerprint import stable_hash
from odbench.measure.comparing import repeated
from odbench.records import StoredRun
from odbench.results import Status
from odbench.tracking import content
from odbench.tracking.naming import by_variant, is_repeat, run_name, variant_name

# Metrics that models are chosen by, and which end of them is the better one.
CHOSEN_BY = {
    "eval/AP": max,
    "eval/AP50": max,
    "eval/mask_AP": max,
    "eval/keypoint_AP": max,
    "train/time_1000_steps_s": min,
    "train/images_per_s": max,
    "train/peak_ram_bytes": min,
    "latency/p50_ms": min,
    "latency/p99_ms": min,
    "export/size_bytes": min,
}

# Bounds of one run's projection: those of the mean over repeats stand in their place.
_OF_ONE_RUN = ("train/time_1000_steps_low_s", "train/time_1000_steps_high_s")


def counted(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """The repeats whose numbers count: those that ended well, all where none did."""
    return [run for run in runs if run.record.status is Status.ok] or list(runs)


def variant_metrics(runs: Sequence[StoredRun]) -> dict[str, float]:
    """Metrics of a variant by its repeats, see the module's text; units as of a run's."""
    measured = [derive.metrics(run.record) for run in counted(runs)]
    found: dict[str, float] = {}
    # The first one is what MLflow's comparison draws, unless it is told otherwise.
    for key in dict.fromkeys((*CHOSEN_BY, *(key for metrics in measured for key in metrics))):
        values = [value for metrics in measured if (value := metrics.get(key)) is not None]
        summary = repeated(values)
        if summary.mean is None or key in _OF_ONE_RUN:
            continue
        found[key] = summary.mean
        if key in CHOSEN_BY:
            found |= {f"{key}_n": float(summary.n), f"{key}_best": CHOSEN_BY[key](values)}
            if summary.low is not None and summary.high is not None:
                low = max(0.0, summary.low)  # nothing that is measured here is below 0
                found |= {f"{key}_low": low, f"{key}_high": summary.high}
    found["repeats/runs"] = float(len(runs))
    found["repeats/ok"] = float(sum(run.record.status is Status.ok for run in runs))
    return found


def records_tag(runs: Sequence[StoredRun]) -> str:
    """Another text whenever a run is added, or ended in another way."""
    return stable_hash(sorted([r.record.run_id, content.ended(r.record)] for r in runs))[:16]


def ended_status(runs: Sequence[StoredRun]) -> str:
    """MLflow's status of what several runs came to."""
    counts = Counter(run.record.status for run in runs)
    if counts[Status.interrupted]:
        return "KILLED"
    return "FINISHED" if len(runs) == counts[Status.ok] + counts[Status.pruned] else "FAILED"


def statuses(runs: Sequence[StoredRun]) -> str:
    """How runs ended: ``ok`` of one, else such as ``2 ok, 1 oom``."""
    counts = Counter(str(run.record.status) for run in runs)
    if len(runs) == 1:
        return str(runs[0].record.status)
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def best_repeat(runs: Sequence[StoredRun]) -> StoredRun:
    """The repeat with the highest AP, the first of equals and of those without any."""
    return max(counted(runs), key=lambda run: derive.metrics(run.record).get("eval/AP") or -1.0)


def named_variants(runs: Sequence[StoredRun]) -> list[tuple[str, list[StoredRun]]]:
    """The variants of a sweep by what they are called in MLflow; a run alone is its own."""
    found: dict[str, tuple[str, list[StoredRun]]] = {}
    repeats = by_variant([run for run in runs if is_repeat(run.record)])
    for run in runs:
        key = run.record.variant if is_repeat(run.record) else run.record.run_id
        if key in found:
            continue
        if is_repeat(run.record):
            found[key] = (variant_name(run), repeats[key])
        else:
            found[key] = (run_name(run), [run])
    return list(found.values())


def sweep_summary(runs: Sequence[StoredRun]) -> tuple[dict[str, float], dict[str, str]]:
    """Metrics and tags of a sweep: runs by status, and its best variant's numbers."""
    counts = Counter(run.record.status for run in runs)
    values = {f"sweep/{status}": float(counts[status]) for status in Status}
    values["sweep/runs"] = float(len(runs))
    scored = {
        name: (metrics, variant)
        for name, variant in named_variants(runs)
        if "eval/AP" in (metrics := variant_metrics(variant))
    }
    if not scored:
        return values, {}
    best = max(scored, key=lambda name: _rank(scored[name][1], scored[name][0]["eval/AP"]))
    metrics, variant = scored[best]
    values["sweep/best_AP"] = metrics["eval/AP"]
    values |= {key: metrics[key] for key in CHOSEN_BY if key in metrics}
    return values, content.tag_texts({"odbench.best": best, "odbench.flags": flags_text(variant)})


def flags_text(runs: Sequence[StoredRun]) -> str:
    """The flags of the repeats that count, ``none`` without any."""
    found = dict.fromkeys(flag for run in counted(runs) for flag in derive.flags(run.record))
    return ",".join(found) or "none"


def _rank(runs: Sequence[StoredRun], ap: float) -> tuple[bool, bool, float]:
    """Runs that ended well before others, without a flag before others, then by AP."""
    ok = any(run.record.status is Status.ok for run in runs)
    return ok, flags_text(runs) == "none", ap
