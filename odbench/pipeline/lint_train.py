"""Rules on the training: batch, steps, replicas, what odbench or TensorFlow 2 does not do."""

from __future__ import annotations

from collections.abc import Iterator

from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.pipeline.fields import effective, get
from odbench.pipeline.lint_types import LintContext, LintFinding, Severity


def batch_size(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The batch is set and can be shared evenly by the devices."""
    path = "train_config.batch_size"
    given, size = get(proto, path), int(effective(proto, path))
    if given is None:
        yield LintFinding(
            "batch_size",
            path,
            None,
            f"not set: batches of {size} are trained",
            "set it: learning rates belong to a batch size",
            Severity.warning,
        )
    elif size < 1:
        yield LintFinding("batch_size", path, given, "a batch without an image", "set it to >= 1")
    elif size % context.replicas:
        share = max(size // context.replicas, 1) * context.replicas
        what = f"cannot be shared evenly by {context.replicas} replicas"
        yield LintFinding("batch_size", path, given, what, f"take a multiple, such as {share}")


def num_steps(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """There is a step to train."""
    path = "train_config.num_steps"
    if int(effective(proto, path)) < 1:
        fix = "set the number of steps"
        yield LintFinding("num_steps", path, get(proto, path), "no step is trained", fix)


def replicas(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """A batch chosen for several devices is noticed where it meets fewer of them."""
    if context.of_run:
        return  # the run has chosen batch size and learning rate for itself
    meant = int(effective(proto, "train_config.replicas_to_aggregate"))
    synced = effective(proto, "train_config.sync_replicas")
    if synced and meant > 1 and meant != context.replicas:
        size = int(effective(proto, "train_config.batch_size"))
        yield LintFinding(
            "replicas",
            "train_config.replicas_to_aggregate",
            meant,
            f"TensorFlow 2 does not read it: the batch of {size}, meant for {meant} replicas, "
            f"goes to {context.replicas}",
            "choose batch size and learning rate for the devices at hand",
            Severity.warning,
        )


def moving_average(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """No moving averages of the weights are asked for, which is what not saying so means."""
    path = "train_config.optimizer.use_moving_average"
    if effective(proto, path):
        given = get(proto, path)
        what = "odbench keeps no moving averages of the weights"
        yield LintFinding(
            "moving_average",
            path,
            given,
            what if given else f"not set, which means true, and {what}",
            "set use_moving_average: false",
        )


def bfloat16(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """Images are not cast to a TPU's number format."""
    path = "train_config.use_bfloat16"
    if effective(proto, path):
        yield LintFinding(
            "bfloat16",
            path,
            True,
            "meant for TPUs: elsewhere it only casts the images to fewer digits",
            "remove it; odbench sets it to false",
            Severity.warning,
        )
