"""The identity of a run: a hash of what changes its results, and of nothing else.

An allow-list, because a field that is forgotten here only joins two runs visibly different in
their records, while a path or a device name hashed by accident would run finished work again.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from typing import Any

from odbench.config.spec import RunSpec

_FIELDS: dict[str, tuple[str, ...]] = {
    "model": ("name", "pipeline"),
    "train": (
        "batch_size",
        "num_steps",
        "init",
        "eval_every_steps",
        "early_stopping_patience",
        "early_stopping_min_delta",
    ),
    "optimizer": ("learning_rate", "scale_to_batch", "scale_schedule"),
    "augmentation": ("options",),
    "eval": ("enabled", "batch_size", "score_threshold"),
    "export": ("enabled", "checkpoint"),
    "timing": (
        "warmup_steps",
        "measured_steps",
        "latency_enabled",
        "latency_warmup",
        "latency_samples",
    ),
    "runtime": ("intra_op_threads", "inter_op_threads", "xla", "deterministic"),
}


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, Enum) else value


def stable_hash(value: Any) -> str:
    """SHA-256 of JSON values, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(
    spec: RunSpec, dataset_hash: str, protocol_version: int, start: str | None = None
) -> str:
    """Sixteen hexadecimal digits that equal those of every run with the same results.

    Args:
        spec: The run.
        dataset_hash: Of what it trains on and evaluates.
        protocol_version: Of the way of measuring.
        start: Digest of the checkpoint that it starts from, in place of where that lies.
    """
    parts = _parts(spec, dataset_hash, protocol_version, start)
    parts["seed"] = spec.seed
    if spec.repeat:
        parts["repeat"] = spec.repeat
    return stable_hash(parts)[:16]


def variant(
    spec: RunSpec, dataset_hash: str, protocol_version: int, start: str | None = None
) -> str:
    """As :func:`fingerprint`, but the same for all repeats of a run, whatever their seeds."""
    return stable_hash(_parts(spec, dataset_hash, protocol_version, start))[:16]


def _parts(
    spec: RunSpec, dataset_hash: str, protocol_version: int, start: str | None
) -> dict[str, Any]:
    parts: dict[str, Any] = {
        group: {name: _plain(getattr(getattr(spec, group), name)) for name in names}
        for group, names in _FIELDS.items()
    }
    if start is not None:
        parts["train"]["init"] = start
    parts["backend"] = spec.backend.name
    parts["dataset_hash"] = dataset_hash
    parts["protocol_version"] = protocol_version
    if spec.backend.name == "replay":
        parts["replay"] = [spec.replay.step_s, spec.replay.quality, spec.replay.fault.name]
        if spec.replay.overfit_from_step is not None:
            parts["replay"].append(spec.replay.overfit_from_step)
    return parts
