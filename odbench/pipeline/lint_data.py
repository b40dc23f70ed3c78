"""Rules on what is read and written: readers, records, label maps, paths, augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.dataset.label_map import read_label_map
from odbench.errors import DatasetError
from odbench.pipeline.fields import effective, flatten, get, which
from odbench.pipeline.lint_types import (
    PLACEHOLDER,
    LintContext,
    LintFinding,
    Severity,
    is_local,
)

_OUTPUTS = ("eval_config.visualization_export_dir", "eval_config.export_path")
_FLIPS = {
    "random_horizontal_flip": "keypoint_flip_permutation",
    "random_vertical_flip": "keypoint_flip_permutation",
    "random_rotation90": "keypoint_rot_permutation",
}


def placeholders(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """No path still waits to be filled in."""
    for path, value in flatten(proto).items():
        if any(PLACEHOLDER.search(str(item)) for item in _listed(value)):
            yield LintFinding(
                "placeholders",
                path,
                value,
                "a placeholder of the published file",
                "give the path, or leave the field out where odbench sets it",
            )


def readers(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """There is one reader to train on and one to evaluate on, and each names its source."""
    count = len(proto.eval_input_reader)
    if not proto.HasField("train_input_reader"):
        yield _reader_finding("train_input_reader", None, "nothing to train on is read")
    if count == 0:
        yield _reader_finding("eval_input_reader", None, "nothing to evaluate on is read")
    if count > 1:
        yield LintFinding(
            "readers",
            "eval_input_reader",
            f"{count} readers",
            "more than one reader to evaluate",
            "keep one: a run evaluates on one data set",
        )
    for path in _reader_paths(proto):
        source = which(proto, path, "input_reader")
        if source is None:
            yield _reader_finding(f"{path}.tf_record_input_reader", None, "no source is named")
        elif source != "tf_record_input_reader":
            yield _reader_finding(f"{path}.{source}", "set", "only TFRecords can be read")
        elif not get(proto, f"{path}.{source}.input_path"):
            yield _reader_finding(f"{path}.{source}.input_path", None, "no record file is named")


def records(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The record files exist."""
    for reader in _reader_paths(proto):
        path = f"{reader}.tf_record_input_reader.input_path"
        missing = [p for p in get(proto, path) if is_local(p) and not _matches(p)]
        if missing:
            yield LintFinding(
                "records",
                path,
                missing,
                "no such file",
                "correct the path; a relative one starts where the command is run",
            )


def label_maps(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The label maps can be read, and the model has as many classes as they name."""
    for reader in _reader_paths(proto):
        path = f"{reader}.label_map_path"
        name = str(effective(proto, path))
        if not name:
            yield _label_finding(path, None, "no label map is named", "give the classes' .pbtxt")
        if not is_local(name):
            continue
        try:
            ids = read_label_map(Path(name))
        except DatasetError as error:
            fix = "correct the path, or the file"
            yield _label_finding(path, name, error.what, fix)
            continue
        yield from _compare_classes(proto, path, max(ids.values()))


def outputs(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """Folders to be written are not left over from another machine."""
    for path in _OUTPUTS:
        name = str(effective(proto, path))
        if is_local(name) and not Path(name).parent.is_dir():
            yield LintFinding(
                "outputs",
                path,
                name,
                "a folder of another training or machine: its parent does not exist here",
                "remove the field, or give a folder that can be made",
                Severity.warning,
            )


def augmentation(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """Each step of the augmentation names one, and what it needs is read."""
    points = int(effective(proto, "train_input_reader.num_keypoints"))
    scores = effective(proto, "train_input_reader.load_multiclass_scores")
    count = len(get(proto, "train_config.data_augmentation_options"))
    for i in range(count):
        path = f"train_config.data_augmentation_options[{i}]"
        step = which(proto, path, "preprocessing_step")
        if step is None:
            yield _step_finding(path, None, "names no augmentation", "name one, or remove it")
        elif step in _FLIPS:
            yield from _check_flip(proto, f"{path}.{step}.{_FLIPS[step]}", points)
        elif step == "convert_class_logits_to_softmax" and not scores:
            fix = "set train_input_reader.load_multiclass_scores: true, or remove the step"
            yield _step_finding(f"{path}.{step}", "set", "no class scores are read", fix)


def _check_flip(proto: TrainEvalPipelineConfig, path: str, points: int) -> Iterator[LintFinding]:
    order = get(proto, path)
    reader = "train_input_reader.num_keypoints"
    if order and not points:
        fix = f"set {reader} to {len(order)}, or remove the field"
        what = "swaps keypoints, and none are read: it has no effect"
        yield LintFinding("augmentation", path, order, what, fix, Severity.warning)
    elif order and len(order) != points:
        fix = f"name each of the {points} keypoints of {reader} once"
        yield _step_finding(path, order, f"names {len(order)} keypoints of {points}", fix)
    elif points and not order:
        fix = "say which keypoint each becomes, by index"
        yield _step_finding(path, None, "keypoints are read, and it cannot turn them", fix)


def _compare_classes(
    proto: TrainEvalPipelineConfig, path: str, largest: int
) -> Iterator[LintFinding]:
    model = which(proto, "model", "model")
    if model is None or model == "experimental_model":
        return
    classes = int(effective(proto, f"model.{model}.num_classes"))
    if largest > classes:
        yield _label_finding(
            path,
            largest,
            f"its largest id is beyond the {classes} classes of the model",
            f"set model.{model}.num_classes to {largest}",
        )
    elif largest < classes:
        yield _label_finding(
            path,
            largest,
            f"its largest id is below the {classes} classes of the model: the others learn nothing",
            f"set model.{model}.num_classes to {largest}",
            Severity.warning,
        )


def _reader_paths(proto: TrainEvalPipelineConfig) -> list[str]:
    train = ["train_input_reader"] if proto.HasField("train_input_reader") else []
    return [*train, *(f"eval_input_reader[{i}]" for i in range(len(proto.eval_input_reader)))]


def _matches(path: str) -> bool:
    if Path(path).exists():
        return True
    anchor = Path(path).anchor  # a pattern is matched below the root, or from here
    return any(Path(anchor or ".").glob(str(Path(path).relative_to(anchor))))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _reader_finding(path: str, value: Any, what: str) -> LintFinding:
    fix = "name the record files: tf_record_input_reader { input_path: ... }"
    return LintFinding("readers", path, value, what, fix)


def _label_finding(
    path: str, value: Any, what: str, fix: str, severity: Severity = Severity.error
) -> LintFinding:
    return LintFinding("label_maps", path, value, what, fix, severity)


def _step_finding(path: str, value: Any, what: str, fix: str) -> LintFinding:
    return LintFinding("augmentation", path, value, what, fix)
