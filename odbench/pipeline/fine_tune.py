"""The fields of ``pipeline.config`` that say what training starts from."""

from __future__ import annotations

from odbench.errors import PipelineError
from odbench.pipeline.architectures import (
    CLASSIFICATION,
    DETECTION,
    FINE_TUNE_TYPES,
    FULL,
    architecture_of,
    extractor_of,
)
from odbench.pipeline.fields import Editor, get
from odbench.pipeline.from_file import PLACEHOLDER
from odbench.pipeline.lint_extractors import EXTRACTORS
from odbench.pipeline.parse import ROOT
from odbench.pipeline.starting import StartingPoint

_CHECKPOINT = "train_config.fine_tune_checkpoint"
_TYPE = f"{_CHECKPOINT}_type"
_VERSION = f"{_CHECKPOINT}_version"


def set_start(editor: Editor, start: StartingPoint | None) -> None:
    """Set checkpoint, type and version; clear them where training starts from random weights.

    Raises:
        PipelineError: A checkpoint of another architecture, a type that is none or that the
            checkpoint does not hold, or a checkpoint named although training starts from scratch.
    """
    if start is None:
        _check_none_named(editor)
        for name in (_CHECKPOINT, _TYPE, _VERSION):
            editor.clear(name)
        return
    kind = _type(editor, start)
    editor.set(_CHECKPOINT, str(start.prefix))
    editor.set(_TYPE, kind)
    editor.set(_VERSION, "V2")


def _check_none_named(editor: Editor) -> None:
    named = get(editor.base, _CHECKPOINT)
    if named and PLACEHOLDER not in named:
        raise PipelineError(
            "a checkpoint is named, and train.init=scratch starts from random weights",
            where=f"{ROOT}.{_CHECKPOINT}",
            value=named,
            allowed="not set",
            fix=f"start from it: train.init={named}; or leave it out: {ROOT}.{_CHECKPOINT}=null",
        )


def _type(editor: Editor, start: StartingPoint) -> str:
    """What the checkpoint holds; ``full`` where it is asked for, as no published model does."""
    asked = get(editor.base, _TYPE) or start.holds
    if asked not in FINE_TUNE_TYPES:
        raise PipelineError(
            f"{architecture_of(editor.base)} knows no such type",
            where=f"{ROOT}.{_TYPE}",
            value=asked,
            allowed=", ".join(FINE_TUNE_TYPES),
            fix="null takes what the checkpoint holds"
            + ("; detection restores what fine_tune did" if asked == "fine_tune" else ""),
        )
    _check_architecture(editor, start)
    if asked != FULL:
        return start.holds
    if start.holds != DETECTION:
        raise PipelineError(
            "the checkpoint holds the backbone of a classifier and no heads",
            where=f"{ROOT}.{_TYPE}",
            value=f"{asked}, of {start.prefix}",
            allowed=start.holds,
            fix=f"{ROOT}.{_TYPE}=null",
        )
    return FULL


def _check_architecture(editor: Editor, start: StartingPoint) -> None:
    architecture, extractor = architecture_of(editor.base), extractor_of(editor.base)
    if architecture not in start.architectures:
        raise PipelineError(
            f"the checkpoint is of another architecture than the model's, {architecture}",
            where="train.init",
            value=f"{start.prefix}: a detector of {' or '.join(start.architectures)}",
            allowed=f"a checkpoint of {architecture} with the extractor {extractor}",
            fix="choose the model that the checkpoint was trained as",
        )
    if start.holds == CLASSIFICATION and not EXTRACTORS[architecture][extractor].classifier:
        raise PipelineError(
            f"{extractor} cannot start from a classifier's checkpoint",
            where="train.init",
            value=start.prefix,
            allowed="a detector's checkpoint",
            fix="such as train.init=pretrained",
        )
