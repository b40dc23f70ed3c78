"""A rule on fields that the API calls deprecated."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.pipeline.lint_types import LintContext, LintFinding, Severity

# What to use instead; the descriptors say only that a field is deprecated.
_INSTEAD = {
    "train_config.from_detection_checkpoint": "set fine_tune_checkpoint_type",
    "train_config.max_number_of_boxes": "set train_input_reader.max_number_of_boxes",
}


def deprecated(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """No field is set that the API calls deprecated."""
    if context.of_run:
        return  # it came with the published model, and the run records what it changed of that
    for path, value in _deprecated(proto, ""):
        yield LintFinding(
            "deprecated",
            path,
            value,
            "the API calls it deprecated: it may have no effect",
            _INSTEAD.get(path, "remove it"),
            Severity.warning,
        )


def _deprecated(message: Message, prefix: str) -> Iterator[tuple[str, object]]:
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if field.GetOptions().deprecated:
            yield path, value if field.message_type is None else "set"
        elif field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        elif field.is_repeated:
            for i, item in enumerate(value):
                yield from _deprecated(item, f"{path}[{i}].")
        else:
            yield from _deprecated(value, f"{path}.")
