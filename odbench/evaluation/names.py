"""The names of the detection metrics; no other module maps them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum


class IouType(StrEnum):
    """What of a detection is compared with the ground truth."""

    bbox = "bbox"
    segm = "segm"  # instance masks
    keypoints = "keypoints"


# In the order of ``COCOeval.stats``. AP without a number averages IoU 0.50 to 0.95 by 0.05; AR
# has the number of detections per image that it is limited to. Small is below 32 x 32 pixels,
# large above 96 x 96 (https://cocodataset.org/#detection-eval).
COCO_METRICS: tuple[str, ...] = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR1",
    "AR10",
    "AR100",
    "AR_small",
    "AR_medium",
    "AR_large",
)

# In the order of ``COCOeval.stats`` for keypoints: at most 20 detections per image, object keypoint
# similarity in place of IoU, no small objects (https://cocodataset.org/#keypoints-eval).
KEYPOINT_METRICS: tuple[str, ...] = (
    "AP",
    "AP50",
    "AP75",
    "AP_medium",
    "AP_large",
    "AR",
    "AR50",
    "AR75",
    "AR_medium",
    "AR_large",
)

CLASS_AP_PREFIX = "eval/AP_class/"

# Longest metric key that MLflow takes, in characters.
MAX_KEY_LENGTH = 250

# Room for the number that tells two classes of the same sanitised name apart.
_SUFFIX_ROOM = 10


def metric_names(iou_type: IouType) -> tuple[str, ...]:
    """COCO's numbers for boxes and masks (twelve) or keypoints (ten), in its order."""
    return KEYPOINT_METRICS if iou_type is IouType.keypoints else COCO_METRICS


def class_ap_keys(classes: Sequence[str]) -> dict[str, str]:
    """MLflow metric key of each class's AP, ``eval/AP_class/<sanitised name>``.

    What MLflow refuses in a key becomes ``_``. Where two names come out alike, the one that was
    legal as it stood keeps the plain key and the others, in alphabetical order, get ``_2``,
    ``_3`` and so on: the keys depend on the set of names alone, not on their order.

    Args:
        classes: Class names; a repeated name counts once.

    Returns:
        Key by class name, in the order of ``classes``.
    """
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(classes), key=lambda name: (_sanitise(name) != name, name)):
        keys[name] = _free(CLASS_AP_PREFIX + _sanitise(name), taken)
        taken.add(keys[name])
    return {name: keys[name] for name in classes}


def _sanitise(name: str) -> str:
    clean = re.sub(r"[^\w\-. ]", "_", name)[: MAX_KEY_LENGTH - len(CLASS_AP_PREFIX) - _SUFFIX_ROOM]
    if clean in ("", ".", ".."):  # these are no name of their own in a path
        return "_" * max(1, len(clean))
    return clean


def _free(key: str, taken: set[str]) -> str:
    candidate, number = key, 1
    while candidate in taken:
        number += 1
        candidate = f"{key}_{number}"
    return candidate
