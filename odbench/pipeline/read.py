"""Reading ``pipeline.config`` files, with errors that say what a field is called now."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.errors import PipelineError

# The one table of fields that older configurations have and the API's protos do not, by message
# and name: what became of it, and what to do. The linter reads it, too.
OLD_FIELDS = {
    ("SsdFeatureExtractor", "batch_norm_trainable"): (
        "removed",
        "remove it; to freeze the normalisation set model.ssd.freeze_batchnorm: true",
    ),
    ("Ssd", "weight_regression_loss_by_score"): ("removed", "remove it"),
    ("FasterRcnn", "first_stage_only"): ("replaced", "write number_of_stages: 1 for true, 2 else"),
    **{
        ("ObjectDetection", name): ("moved", f"write it in object_center_params {{ {name}: ... }}")
        for name in (
            "classification_loss",
            "heatmap_bias_init",
            "min_box_overlap_iou",
            "max_box_predictions",
        )
    },
    # names of the API's Python dictionaries, often taken for those of the file
    ("TrainEvalPipelineConfig", "train_input_config"): ("misnamed", "call it train_input_reader"),
    ("TrainEvalPipelineConfig", "eval_input_config"): ("misnamed", "call it eval_input_reader"),
    ("TrainEvalPipelineConfig", "eval_input_configs"): ("misnamed", "call it eval_input_reader"),
    ("TrainEvalPipelineConfig", "graph_rewriter_config"): ("misnamed", "call it graph_rewriter"),
}

_FIELD = re.compile(r'Message type "([\w.]+)" has no field named "(\w+)"')
_ENUM = re.compile(r'Enum type "([\w.]+)" has no value named (\w+)')


def read_pipeline(path: Path) -> TrainEvalPipelineConfig:
    """The message of a ``pipeline.config`` file.

    Raises:
        PipelineError: The file is missing, or is not text of that message; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"cannot read it: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"not a text file: {error}", where=str(path)) from error
    try:
        return text_format.Parse(text, TrainEvalPipelineConfig())
    except text_format.ParseError as error:
        raise _parse_error(path, error) from error


def renamed(message: str, field: str) -> str | None:
    """What became of a field that a message does not have, or None where that is not known.

    Args:
        message: Name of its type, such as ``SsdFeatureExtractor``.
        field: Its name in an older configuration.
    """
    if (message, field) in OLD_FIELDS:
        became, advice = OLD_FIELDS[message, field]
        return f"it was {became}: {advice}"
    owners = [kind.name for kind in _messages() if field in kind.fields_by_name]
    return f"it is a field of {' and of '.join(sorted(owners))}" if 0 < len(owners) <= 3 else None


def _parse_error(path: Path, error: text_format.ParseError) -> PipelineError:
    line = error.GetLine()
    where = f"{path}:{line}" if line else str(path)
    text = str(error)
    if match := _FIELD.search(text):
        return _unknown_field(where, match[1].rpartition(".")[2], match[2])
    if match := _ENUM.search(text):
        return _unknown_value(where, match[1].rpartition(".")[2], match[2])
    return PipelineError(f"not a pipeline configuration: {error}", where=where)


def _unknown_field(where: str, message: str, field: str) -> PipelineError:
    names = next((list(k.fields_by_name) for k in _messages() if k.name == message), [])
    near = difflib.get_close_matches(field, names, n=2)
    became = renamed(message, field)
    guess = f"did you mean {' or '.join(near)}?" if near else None
    return PipelineError(
        f"{message} has no field {field}",
        where=where,
        value=field,
        allowed=", ".join(sorted(names)) or None,
        fix="; ".join(filter(None, [became, None if became else guess])) or None,
    )


def _unknown_value(where: str, enum: str, value: str) -> PipelineError:
    kinds = (field.enum_type for kind in _messages() for field in kind.fields if field.enum_type)
    kind = next((kind for kind in kinds if kind.name == enum), None)
    names = list(kind.values_by_name) if kind else []
    near = difflib.get_close_matches(value.upper(), names, n=1)
    return PipelineError(
        f"no such value of {enum}",
        where=where,
        value=value,
        allowed=", ".join(names) or None,
        fix=f"did you mean {near[0]}?" if near else None,
    )


def _messages() -> Iterator[Descriptor]:
    """Every type of message in a ``pipeline.config``, each once."""
    waiting: list[Descriptor] = [TrainEvalPipelineConfig.DESCRIPTOR]
    seen: set[str] = set()
    while waiting:
        kind = waiting.pop()
        if kind.full_name in seen:
            continue
        seen.add(kind.full_name)
        yield kind
        waiting += [field.message_type for field in kind.fields if field.message_type]
