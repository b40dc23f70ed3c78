"""What of a record goes into MLflow: parameters, metrics, loss curves, tags. No MLflow here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from odbench import derive
from odbench.evaluation.names import class_ap_keys
from odbench.events import EVENTS_FILE, lasting_events
from odbench.records import StoredRun
from odbench.results import Edit, LossPoint, RunRecord, Status
from odbench.tracking.masking import mask

# Longest values that MLflow takes, in characters.
PARAM_LENGTH = 6000
TAG_LENGTH = 8000

# Values of a spec, or whole parts of it, that a number depends on.
_PARAMS = (
    "model.name",
    "model.family",
    "dataset.name",
    "dataset.kind",
    "train",
    "optimizer",
    "eval.enabled",
    "eval.engine",
    "eval.score_threshold",
    "export.enabled",
    "timing",
    "runtime",
    "backend",
    "seed",
)
_LEFT_OUT = ("runtime.timeout_s", "runtime.grace_s")

# A run that was ended from outside, by the time limit or the user, is KILLED.
MLFLOW_STATUS = {
    Status.ok: "FINISHED",
    Status.failed: "FAILED",
    Status.oom: "FAILED",
    Status.timeout: "KILLED",
    Status.interrupted: "KILLED",
    Status.pruned: "KILLED",
}


@dataclass(frozen=True)
class Point:
    """One value of one metric; ``time_ms`` since 1970, UTC."""

    key: str
    value: float
    time_ms: int
    step: int


def params(record: RunRecord) -> dict[str, str]:
    """The parameters that matter, flattened: ``train.batch_size``, ``timing.warmup_steps``."""
    values: dict[str, Any] = {}
    for path in _PARAMS:
        values.update(_flatten(path, _at(record.spec, path)))
    for path in _LEFT_OUT:
        values.pop(path, None)
    values["train.num_steps"] = _num_steps(record)  # asked for; it may have stopped early
    asked = _at(record.spec, "eval.batch_size") or record.batch_size
    values["eval.batch_size"] = record.eval.batch_size if record.eval else asked
    values["dataset.hash"] = record.dataset.hash
    values["augmentation"] = _augmentation(_at(record.spec, "augmentation.options"))
    if _at(record.spec, "model.zoo"):
        values["model.published_batch_size"] = _published_batch(record)
    return {key: as_text(value)[:PARAM_LENGTH] for key, value in sorted(values.items())}


def _num_steps(record: RunRecord) -> int:
    given = _at(record.spec, "train.num_steps")
    if given is not None:
        return int(given)
    return 1 + sum(int(_at(record.spec, f"timing.{k}_steps") or 0) for k in ("warmup", "measured"))


def metrics(record: RunRecord) -> list[Point]:
    """Every derived metric that was measured, and each class's AP, at the end of the run."""
    _, end = times_ms(record)
    values = derive.metrics(record)
    if record.eval is not None and record.eval.complete:
        keys = class_ap_keys(list(record.eval.per_class))
        values |= {keys[name]: ap for name, ap in record.eval.per_class.items()}
    return [
        Point(key, value, end, 0)
        for key, value in values.items()
        if value is not None and math.isfinite(value)
    ]


def curves(run: StoredRun) -> list[Point]:
    """Losses, learning rate and AP by step, from the events: a run that was killed has some, too.

    Steps that a break lost and a resume trained again are there once.
    """
    seen = list(_loss_events(run))
    if not seen and run.record.train is not None:
        _, end = times_ms(run.record)
        seen = [(end, point) for point in run.record.train.losses]
    losses = [point for time_ms, losses in seen for point in _points(losses, time_ms)]
    return [*losses, *_evaluations(run)]


def ended(record: RunRecord) -> str:
    """How and when a run ended: another text once it was resumed."""
    return f"{record.status} after {record.wall_s:.3f} s"


def tag_texts(values: dict[str, Any]) -> dict[str, str]:
    """Tag values as MLflow takes them, without anybody's password."""
    return {key: mask(as_text(value))[:TAG_LENGTH] for key, value in values.items()}


def times_ms(record: RunRecord) -> tuple[int, int]:
    """Start and end of a run, milliseconds since 1970, UTC."""
    start = datetime.fromisoformat(record.started_at).timestamp()
    return int(start * 1000), int((start + record.wall_s) * 1000)


def as_text(value: Any) -> str:
    """A value as YAML writes it: ``true``, ``null``, plain strings."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _at(body: dict[str, Any], path: str) -> Any:
    value: Any = body
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _flatten(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield path, value
        return
    for key, item in value.items():
        yield from _flatten(f"{path}.{key}", item)


def _augmentation(options: list[dict[str, Any]] | None) -> str:
    if options is None:
        return "as published"
    return ", ".join(name for option in options for name in option) or "off"


def _published_batch(record: RunRecord) -> Any:
    """Batch size of the model's published configuration: what the run's edit replaced."""
    edits: dict[str, Edit] = {edit.field: edit for edit in record.edits}
    edit = edits.get("train_config.batch_size")
    return record.batch_size if edit is None else edit.old


def _loss_events(run: StoredRun) -> Iterator[tuple[int, LossPoint]]:
    for event in lasting_events(run.dir / EVENTS_FILE):
        step, time_s = event.get("step"), event.get("t")
        if event.get("event") != "loss" or not isinstance(step, int) or time_s is None:
            continue
        point = LossPoint(step, event.get("learning_rate"), event.get("losses") or {})
        yield int(time_s * 1000), point


def _evaluations(run: StoredRun) -> Iterator[Point]:
    """AP and AP50 of the evaluations on the way."""
    for event in lasting_events(run.dir / EVENTS_FILE):
        if event.get("event") != "eval_point" or not isinstance(event.get("step"), int):
            continue
        for name in ("AP", "AP50"):
            value = event.get(name)
            if value is not None and math.isfinite(value):
                time_ms = int(event.get("t", 0) * 1000)
                yield Point(f"train/eval_{name}", value, time_ms, event["step"])


def _points(point: LossPoint, time_ms: int) -> Iterator[Point]:
    values = {_loss_key(name): value for name, value in point.losses.items()}
    values["train/learning_rate"] = point.learning_rate
    for key, value in values.items():
        if value is not None and math.isfinite(value):
            yield Point(key, value, time_ms, point.step)


def _loss_key(name: str) -> str:
    """``Loss/RPNLoss/localization_loss`` becomes ``train/loss/RPNLoss/localization_loss``."""
    parts = re.sub(r"[^\w\-. /]", "_", name.removeprefix("Loss/")).split("/")
    return "/".join(["train/loss", *(part for part in parts if part.strip("."))])
