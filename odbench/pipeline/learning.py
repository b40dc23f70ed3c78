"""Learning rate and schedule, fitted to the batch size and the number of steps of a run.

A published schedule belongs to its published batch size and number of steps: the rates are scaled
linearly with the batch (Goyal et al. 2017, arXiv:1706.02677) and everything that is counted in
steps is stretched with the training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from google.protobuf.message import Message

from odbench.config.spec import RunSpec
from odbench.errors import PipelineError
from odbench.pipeline.fields import Editor, effective, get, which
from odbench.pipeline.parse import ROOT

_OPTIMIZER = "train_config.optimizer"

_COSINE = "cosine_decay_learning_rate"
_MANUAL = "manual_step_learning_rate"

# By kind of schedule: the base rate, and the rates that move with it.
_RATES = {
    "constant_learning_rate": ("learning_rate",),
    "exponential_decay_learning_rate": (
        "initial_learning_rate",
        "burnin_learning_rate",
        "min_learning_rate",
    ),
    _MANUAL: ("initial_learning_rate",),
    _COSINE: ("learning_rate_base", "warmup_learning_rate"),
}
_COSINE_STEPS = ("total_steps", "warmup_steps", "hold_base_rate_steps")


def fit_learning_rate(editor: Editor, spec: RunSpec) -> None:
    """Fit rates and schedule of ``editor.base`` to a run; the edits go to the editor.

    Raises:
        PipelineError: No optimiser or schedule, or a schedule that cannot be trained.
    """
    path, kind = _find_schedule(editor.base)
    if kind == _COSINE:
        _check_cosine(editor.base, path)
    if kind == _MANUAL:
        _check_manual(editor.base, path)
    if spec.optimizer.scale_schedule:
        _stretch_schedule(editor, path, kind, spec.num_steps)
    _scale_rates(editor, _rate_paths(editor.base, path, kind), spec)


def _find_schedule(base: Message) -> tuple[str, str]:
    """Path and kind of the schedule, such as ``...learning_rate.cosine_decay_learning_rate``."""
    path = _OPTIMIZER
    for oneof, inner in (("optimizer", ".learning_rate"), ("learning_rate", "")):
        member = which(base, path, oneof)
        if member is None:
            raise PipelineError(
                f"no {oneof.replace('_', ' ')} is set",
                where=f"{ROOT}.{path}",
                allowed=f"one member of the oneof {oneof}",
                fix=f"set one field of {ROOT}.{path}",
            )
        path = f"{path}.{member}{inner}"
    return path, path.rpartition(".")[2]


def _scale_rates(editor: Editor, paths: list[str], spec: RunSpec) -> None:
    """Set the base rate ``paths[0]`` and let the others keep their ratio to it."""
    old = [float(effective(editor.base, path)) for path in paths]
    asked = spec.optimizer.learning_rate
    if asked is not None:
        ratio = asked / old[0] if old[0] else 1.0
    elif spec.optimizer.scale_to_batch:
        ratio = spec.train.batch_size / _published(editor.base, "batch_size")
    else:
        return
    new = [rate * ratio for rate in old]
    if asked is not None:
        new[0] = asked
    for path, before, after in zip(paths, old, new, strict=True):
        if after != before:
            editor.set(path, after)


def _rate_paths(base: Message, path: str, kind: str) -> list[str]:
    paths = [f"{path}.{name}" for name in _RATES[kind]]
    if kind == _MANUAL:
        count = len(get(base, f"{path}.schedule"))
        paths += [f"{path}.schedule[{i}].learning_rate" for i in range(count)]
    return paths


def _stretch_schedule(editor: Editor, path: str, kind: str, num_steps: int) -> None:
    if kind == "constant_learning_rate":
        return
    published = _published(editor.base, "num_steps")

    def stretched(name: str) -> int:
        steps = int(effective(editor.base, f"{path}.{name}"))
        return max(1, round(steps * num_steps / published)) if steps else 0

    if kind == _COSINE:
        new = _cosine_steps(*map(stretched, _COSINE_STEPS))
    elif kind == "exponential_decay_learning_rate":
        new = {name: stretched(name) for name in ("decay_steps", "burnin_steps")}
    else:
        count = len(get(editor.base, f"{path}.schedule"))
        names = [f"schedule[{i}].step" for i in range(count)]
        new = dict(zip(names, _increasing(map(stretched, names)), strict=True))
    for name, steps in new.items():
        if steps != effective(editor.base, f"{path}.{name}"):
            editor.set(f"{path}.{name}", steps)


def _cosine_steps(total: int, warmup: int, hold: int) -> dict[str, int]:
    """Warm-up and held steps cut so that one step is left to decay in."""
    warmup = min(warmup, total - 1)
    hold = min(hold, total - 1 - warmup)
    return dict(zip(_COSINE_STEPS, (total, warmup, hold), strict=True))


def _increasing(steps: Iterable[int]) -> Iterator[int]:
    """Steps that fell on one another moved on: boundaries must increase strictly."""
    last = 0
    for step in steps:
        last = max(step, last + 1)
        yield last


def _check_cosine(base: Message, path: str) -> None:
    total, warmup, hold = (int(effective(base, f"{path}.{name}")) for name in _COSINE_STEPS)
    if warmup + hold >= total:
        raise PipelineError(
            "the warm-up does not end before the schedule does",
            where=f"{ROOT}.{path}.warmup_steps",
            value=f"{warmup}" if not hold else f"{warmup}, with hold_base_rate_steps={hold}",
            allowed=f"less than total_steps={total} together with hold_base_rate_steps",
            fix="set both to go together; train.num_steps stretches the published ones",
        )
    rate, start = (float(effective(base, f"{path}.{name}")) for name in _RATES[_COSINE])
    if warmup and start > rate:
        raise PipelineError(
            "the warm-up starts above the base learning rate",
            where=f"{ROOT}.{path}.warmup_learning_rate",
            value=f"{start:g}",
            allowed=f"<= learning_rate_base={rate:g}",
            fix="set both, or optimizer.learning_rate, which scales both",
        )


def _check_manual(base: Message, path: str) -> None:
    steps = [int(item.get("step", 0)) for item in get(base, f"{path}.schedule")]
    if any(b <= a for a, b in pairwise([0, *steps])):
        raise PipelineError(
            "the steps of the schedule do not increase",
            where=f"{ROOT}.{path}.schedule",
            value=", ".join(map(str, steps)),
            allowed="strictly increasing steps >= 1",
            fix="order the schedule by step",
        )


def _published(base: Message, name: str) -> int:
    value = int(effective(base, f"train_config.{name}"))
    if value < 1:
        raise PipelineError(
            "learning rate and schedule are scaled from it, so it must be set",
            where=f"{ROOT}.train_config.{name}",
            value=value,
            allowed=">= 1",
            fix="set it, or optimizer.scale_schedule=false and optimizer.scale_to_batch=false",
        )
    return value
