"""What is wrong with a ``pipeline.config``, all of it, before a training finds out.

A rule is a function from the message to its findings; the first line of its docstring says what
it asks for. :data:`RULES` has them all, in the order of the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.errors import PipelineError
from odbench.pipeline import (
    lint_checkpoint,
    lint_data,
    lint_fields,
    lint_model,
    lint_schedule,
    lint_train,
)
from odbench.pipeline.lint_text import parse_tolerantly
from odbench.pipeline.lint_types import LintContext, LintFinding, Rule, Severity

RULES: tuple[Rule, ...] = (
    lint_model.architecture,
    lint_model.extractor,
    lint_model.num_classes,
    lint_model.input_size,
    lint_model.pyramid_levels,
    lint_model.keypoint_label_map,
    lint_model.masks,
    lint_model.quantization,
    lint_data.placeholders,
    lint_data.readers,
    lint_data.records,
    lint_data.label_maps,
    lint_data.outputs,
    lint_data.augmentation,
    lint_train.batch_size,
    lint_train.num_steps,
    lint_train.replicas,
    lint_train.moving_average,
    lint_train.bfloat16,
    lint_schedule.optimizer,
    lint_schedule.cosine,
    lint_schedule.manual_steps,
    lint_schedule.burn_in,
    lint_checkpoint.checkpoint_type,
    lint_checkpoint.checkpoint_version,
    lint_checkpoint.checkpoint_file,
    lint_fields.deprecated,
)


@dataclass(frozen=True)
class LintReport:
    """What the linter found in one configuration."""

    source: str
    findings: Sequence[LintFinding]

    @property
    def errors(self) -> list[LintFinding]:
        """What stops or falsifies a training."""
        return [finding for finding in self.findings if finding.severity is Severity.error]

    @property
    def warnings(self) -> list[LintFinding]:
        """What may be meant as it is."""
        return [finding for finding in self.findings if finding.severity is Severity.warning]

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "ok": not self.errors,
            "source": self.source,
            "errors": [finding.as_json() for finding in self.errors],
            "warnings": [finding.as_json() for finding in self.warnings],
        }


def lint_proto(proto: TrainEvalPipelineConfig, context: LintContext) -> list[LintFinding]:
    """What the rules find in a message."""
    return [finding for rule in RULES for finding in rule(proto, context)]


def lint_text(text: str, source: str, context: LintContext) -> LintReport:
    """What is wrong with the text of a ``pipeline.config``, unknown fields among it.

    Args:
        text: In protobuf text format.
        source: Where it is from, for the report.
        context: See there.
    """
    proto, findings = parse_tolerantly(text)
    if proto is not None:
        findings += lint_proto(proto, context)
    return LintReport(source, findings)


def lint_file(path: Path, context: LintContext) -> LintReport:
    """What is wrong with a ``pipeline.config`` file.

    Raises:
        PipelineError: The file cannot be read, or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"cannot read it: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"not a text file: {error}", where=str(path)) from error
    return lint_text(text, str(path), context)
