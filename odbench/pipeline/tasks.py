"""Models that predict more than boxes: masks and keypoints, fitted to the data set.

A keypoint of a record has a place in a list that all classes share; the label map numbers it by
that place (:attr:`odbench.dataset.types.Dataset.keypoint_names`). The API's CenterNet learns the
keypoints of one class by each ``keypoint_estimation_task``.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from odbench.dataset.types import Dataset
from odbench.errors import DatasetError, PipelineError
from odbench.evaluation.keypoints import keypoint_sigmas
from odbench.pipeline.fields import Editor, effective, get
from odbench.pipeline.flips import fit_flips
from odbench.pipeline.parse import ROOT

READERS = ("train_input_reader", "eval_input_reader[0]")

_MASK_HEAD = "model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor"
_KEYPOINT_TASKS = "model.center_net.keypoint_estimation_task"
_CENTER_WEIGHTS = "model.center_net.object_center_params.keypoint_weights_for_center"

_STD = 1.0  # of a keypoint that the model's configuration does not know: the API's default


def predicts_masks(proto: Message) -> bool:
    """Whether a pipeline's model has a head for instance masks."""
    return bool(
        effective(proto, f"{_MASK_HEAD}.predict_instance_masks")
        or get(proto, "model.center_net.mask_estimation_task") is not None
    )


def predicts_keypoints(proto: Message) -> bool:
    """Whether a pipeline's model has a head for keypoints."""
    return bool(get(proto, _KEYPOINT_TASKS))


def fit_task(editor: Editor, dataset: Dataset) -> None:
    """Fit the heads for masks and keypoints to what the data set has; other models stay.

    Raises:
        DatasetError: The data set has no masks, or no keypoints, and the model learns them.
        PipelineError: The keypoint heads, or an augmentation that flips, fit no keypoints of it.
    """
    if predicts_masks(editor.proto):
        _fit_masks(editor, dataset)
    if predicts_keypoints(editor.proto):
        _fit_keypoints(editor, dataset)


def _fit_masks(editor: Editor, dataset: Dataset) -> None:
    if not dataset.has_masks:
        raise DatasetError(
            "the model learns instance masks, and the data set has none",
            where="dataset",
            value=dataset.name,
            allowed="COCO with segmentation, TFRecords with PNG masks, or dataset=shapes",
            fix="choose such a data set, or a model without masks (model=faster_rcnn_...)",
        )
    for reader in READERS:
        editor.set(f"{reader}.load_instance_masks", True)
        editor.set(f"{reader}.mask_type", "PNG_MASKS")  # as the records have them


def _fit_keypoints(editor: Editor, dataset: Dataset) -> None:
    classes = {name: list(points) for name, points in dataset.keypoints.items() if points}
    if not classes:
        raise DatasetError(
            "the model learns keypoints, and the data set has none",
            where="dataset",
            value=dataset.name,
            allowed="COCO JSON with keypoints (person_keypoints_*.json by dataset.annotations), "
            "TFRecords with keypoints, or dataset=shapes",
            fix="choose such a data set, or the model without _kpts in its name",
        )
    _check_classes(classes, dataset)
    names = dataset.keypoint_names
    editor.set("model.center_net.keypoint_label_map_path", str(dataset.label_map))
    editor.set(_KEYPOINT_TASKS, _tasks(editor, classes))
    weights = get(editor.proto, _CENTER_WEIGHTS)
    if weights and len(weights) != len(names):
        editor.clear(_CENTER_WEIGHTS)
    for reader in READERS:
        editor.set(f"{reader}.num_keypoints", len(names))
        if len(get(editor.proto, f"{reader}.keypoint_type_weight")) not in (0, len(names)):
            editor.clear(f"{reader}.keypoint_type_weight")
    _fit_metric(editor, classes)
    fit_flips(editor, names)


def _check_classes(classes: dict[str, list[str]], dataset: Dataset) -> None:
    """Refuse what the API cannot number: a keypoint in two classes, or in one without an id."""
    owner: dict[str, str] = {}
    for label, points in classes.items():
        if label not in dataset.class_ids:
            raise DatasetError(
                "a class without objects has keypoints",
                where=f"dataset {dataset.name}",
                value=label,
                fix="take the class's keypoints out of the annotation file, or add it by "
                "dataset.label_map",
            )
        for point in points:
            if owner.setdefault(point, label) != label:
                raise DatasetError(
                    "two classes share a keypoint's name, which the model's heads cannot",
                    where=f"dataset {dataset.name}",
                    value=f"{point}: {owner[point]}, {label}",
                    fix="name the keypoints apart, such as dog_nose and cat_nose, or keep one "
                    "class with keypoints",
                )


def _tasks(editor: Editor, classes: dict[str, list[str]]) -> list[dict[str, Any]]:
    """One task for each class that has keypoints, made from the model's."""
    given: list[dict[str, Any]] = get(editor.proto, _KEYPOINT_TASKS)
    by_class = {task.get("keypoint_class_name"): task for task in given}
    if len(given) > 1 and by_class.keys() != classes.keys():
        raise PipelineError(
            "the keypoint tasks are of other classes than the data set's keypoints",
            where=f"{ROOT}.{_KEYPOINT_TASKS}",
            value=", ".join(str(name) for name in by_class),
            allowed=", ".join(classes),
            fix="give one task, which is repeated for every class, or one for each class",
        )
    return [
        _task(by_class.get(label, given[0]), label, points, alone=len(classes) == 1)
        for label, points in classes.items()
    ]


def _task(base: dict[str, Any], label: str, points: list[str], *, alone: bool) -> dict[str, Any]:
    """The task of one class; tasks of several need names that differ."""
    task = {**base, "keypoint_class_name": label}
    if not alone and base.get("keypoint_class_name") != label:
        task["task_name"] = f"{base.get('task_name', 'keypoints')}_{label}"
    known = base.get("keypoint_label_to_std", {})
    if known:
        task["keypoint_label_to_std"] = {point: known.get(point, _STD) for point in points}
    return task


def _fit_metric(editor: Editor, classes: dict[str, list[str]]) -> None:
    """The API's own evaluation, should anybody run it on this configuration: as ours."""
    if not get(editor.proto, "eval_config.parameterized_metric"):
        return
    metrics = [
        {
            "coco_keypoint_metrics": {
                "class_label": label,
                "keypoint_label_to_sigmas": dict(zip(points, keypoint_sigmas(points), strict=True)),
            }
        }
        for label, points in classes.items()
    ]
    editor.set("eval_config.parameterized_metric", metrics)
    highest = sum(len(points) for points in classes.values()) - 1
    edges = get(editor.proto, "eval_config.keypoint_edge")
    if any(max(edge.get("start", 0), edge.get("end", 0)) > highest for edge in edges):
        editor.clear("eval_config.keypoint_edge")
