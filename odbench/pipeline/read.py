"""Reading ``pipeline.config`` back."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.errors import PipelineError


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
        line = error.GetLine()
        where = f"{path}:{line}" if line else str(path)
        raise PipelineError(f"not a pipeline configuration: {error}", where=where) from error
