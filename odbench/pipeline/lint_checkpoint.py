"""Rules on the checkpoint that a training starts from.

What each architecture accepts is in ``restore_from_objects`` of the API's meta-architectures, and
what a checkpoint must be in ``model_lib_v2.load_fine_tune_checkpoint``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.pipeline.fields import effective, get, which
from odbench.pipeline.lint_extractors import EXTRACTORS
from odbench.pipeline.lint_types import LintContext, LintFinding, Severity, is_local

TYPES = ("classification", "detection", "full")  # of every architecture of TensorFlow 2
_PATH = "train_config.fine_tune_checkpoint"


def checkpoint_type(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The architecture can restore the parts that are asked for."""
    if not get(proto, _PATH):
        return
    path, model = f"{_PATH}_type", which(proto, "model", "model")
    kind = str(effective(proto, path))
    if not kind:
        old = effective(proto, "train_config.from_detection_checkpoint")
        kind = "detection" if old else "classification"
        what = f"not set: {kind} is taken"
        yield LintFinding("checkpoint_type", path, None, what, "set it", Severity.warning)
    if kind == "fine_tune" and model == "center_net":
        what = "CenterNet no longer accepts it"
        yield LintFinding("checkpoint_type", path, kind, what, "detection does the same")
    elif kind not in TYPES:
        what = "no such type of checkpoint"
        yield LintFinding("checkpoint_type", path, kind, what, f"take one of {', '.join(TYPES)}")
    if kind == "classification" and model in EXTRACTORS:
        name = str(effective(proto, f"model.{model}.feature_extractor.type"))
        extractor = EXTRACTORS[model].get(name)
        if extractor is not None and not extractor.classifier:
            what = f"{name} has no classification backbone to restore"
            yield LintFinding("checkpoint_type", path, kind, what, "take detection")


def checkpoint_version(
    proto: TrainEvalPipelineConfig, context: LintContext
) -> Iterator[LintFinding]:
    """The checkpoint is said to be one of TensorFlow 2."""
    path = f"{_PATH}_version"
    # the generated enum's names, as the text has them
    if get(proto, _PATH) and get(proto, path) != "V2":
        given = get(proto, path)
        what = "not set, which means V1: " if given is None else ""
        yield LintFinding(
            "checkpoint_version",
            path,
            given,
            f"{what}TensorFlow 2 restores checkpoints of version V2 alone",
            "set fine_tune_checkpoint_version: V2, with a checkpoint of TensorFlow 2",
        )


def checkpoint_file(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The checkpoint exists, and is not one of TensorFlow 1."""
    name = str(effective(proto, _PATH))
    if not is_local(name):
        return
    if Path(name).is_dir():
        if not (Path(name) / "checkpoint").is_file():
            what = "a folder without a checkpoint in it"
            fix = "name the checkpoint in it, such as FOLDER/ckpt-0"
            yield LintFinding("checkpoint_file", _PATH, name, what, fix)
    elif Path(f"{name}.meta").is_file():
        what = "a checkpoint of TensorFlow 1: it has a .meta file"
        fix = "take the model's checkpoint of the TF2 zoo"
        yield LintFinding("checkpoint_file", _PATH, name, what, fix)
    elif not Path(f"{name}.index").is_file():
        fix = "give the prefix, without .index or .data-00000-of-00001"
        yield LintFinding("checkpoint_file", _PATH, name, f"no such checkpoint: {name}.index", fix)
