"""Rules on optimiser and learning rate, against the number of steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.pipeline.fields import effective, get, which
from odbench.pipeline.lint_types import LintContext, LintFinding, Severity

_OPTIMIZER = "train_config.optimizer"


def optimizer(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """An optimiser and a learning rate are set."""
    kind = which(proto, _OPTIMIZER, "optimizer")
    if kind is None:
        yield LintFinding(
            "optimizer",
            _OPTIMIZER,
            None,
            "no optimiser is set",
            "set one, such as momentum_optimizer",
        )
    elif _schedule(proto) is None:
        path = f"{_OPTIMIZER}.{kind}.learning_rate"
        yield LintFinding("optimizer", path, None, "no learning rate is set", "set a schedule")


def cosine(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """A cosine decay begins after its warm-up and ends with the training."""
    path = _path_of(proto, "cosine_decay_learning_rate")
    if path is None:
        return
    steps = int(effective(proto, "train_config.num_steps"))
    total, warmup, hold = (
        int(effective(proto, f"{path}.{name}"))
        for name in ("total_steps", "warmup_steps", "hold_base_rate_steps")
    )
    if warmup + hold >= total:
        what = f"with hold_base_rate_steps={hold} it leaves no step of total_steps={total}"
        fix = "shorten it, or lengthen the schedule"
        yield LintFinding("cosine", f"{path}.warmup_steps", warmup, what, fix)
    elif 0 < steps <= warmup:
        what = f"the training of {steps} steps ends within the warm-up"
        fix = "shorten the warm-up"
        yield LintFinding("cosine", f"{path}.warmup_steps", warmup, what, fix, Severity.warning)
    if steps and total != steps:
        what = (
            f"the rate is 0 from there to the end of the training, {steps}"
            if total < steps
            else f"the training ends at {steps}, before the rate has decayed"
        )
        fix = f"set it to train_config.num_steps, {steps}"
        yield LintFinding("cosine", f"{path}.total_steps", total, what, fix, Severity.warning)
    rate, start = (
        float(effective(proto, f"{path}.{name}_{end}"))
        for name, end in (("learning_rate", "base"), ("warmup", "learning_rate"))
    )
    if warmup and start > rate:
        what = f"the warm-up starts above learning_rate_base={rate:g}"
        fix = "start at or below it"
        yield LintFinding("cosine", f"{path}.warmup_learning_rate", start, what, fix)


def manual_steps(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The steps of a schedule by hand increase, and lie within the training."""
    path = _path_of(proto, "manual_step_learning_rate")
    if path is None:
        return
    total = int(effective(proto, "train_config.num_steps"))
    count = len(get(proto, f"{path}.schedule"))
    steps = [int(effective(proto, f"{path}.schedule[{i}].step")) for i in range(count)]
    if any(b <= a for a, b in pairwise([0, *steps])):
        what = "the steps do not increase"
        fix = "order the schedule by step, from 1 on"
        yield LintFinding("manual_steps", f"{path}.schedule", steps, what, fix)
    for i, step in enumerate(steps):
        if total and step >= total:
            what = f"never reached: the training ends at step {total}"
            fix = "lower it, or train longer"
            where = f"{path}.schedule[{i}].step"
            yield LintFinding("manual_steps", where, step, what, fix, Severity.warning)


def burn_in(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """An exponential decay decays in steps, and its burn-in ends within the training."""
    path = _path_of(proto, "exponential_decay_learning_rate")
    if path is None:
        return
    total = int(effective(proto, "train_config.num_steps"))
    decay = int(effective(proto, f"{path}.decay_steps"))
    if decay < 1:
        fix = "set it to >= 1"
        yield LintFinding("burn_in", f"{path}.decay_steps", decay, "no step to decay in", fix)
    burnin = int(effective(proto, f"{path}.burnin_steps"))
    if total and burnin >= total:
        what = f"the training of {total} steps ends within the burn-in"
        where = f"{path}.burnin_steps"
        yield LintFinding("burn_in", where, burnin, what, "shorten it", Severity.warning)


def _schedule(proto: TrainEvalPipelineConfig) -> str | None:
    kind = which(proto, _OPTIMIZER, "optimizer")
    if kind is None:
        return None
    path = f"{_OPTIMIZER}.{kind}.learning_rate"
    member = which(proto, path, "learning_rate")
    return member and f"{path}.{member}"


def _path_of(proto: TrainEvalPipelineConfig, kind: str) -> str | None:
    path = _schedule(proto)
    return path if path is not None and path.endswith(f".{kind}") else None
