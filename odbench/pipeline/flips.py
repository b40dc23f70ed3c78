"""Augmentations that mirror or turn keypoints: which keypoint takes another one's place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from odbench.errors import PipelineError
from odbench.pipeline.fields import Editor, get
from odbench.pipeline.parse import ROOT

_OPTIONS = "train_config.data_augmentation_options"

# Field of each augmentation that must know; the API stops at the first picture without it.
_PERMUTED = {
    "random_horizontal_flip": "keypoint_flip_permutation",
    "random_vertical_flip": "keypoint_flip_permutation",
    "random_rotation90": "keypoint_rot_permutation",
}

_SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left"}


def fit_flips(editor: Editor, names: Sequence[str]) -> None:
    """Set the permutation of every horizontal flip; check those of other turns.

    Args:
        editor: Of a pipeline whose augmentation is set.
        names: The keypoints of a record, in order.

    Raises:
        PipelineError: The permutation is not known, and none that fits is given.
    """
    for index, option in enumerate(get(editor.proto, _OPTIONS)):
        for kind in option.keys() & _PERMUTED.keys():
            path = f"{_OPTIONS}[{index}].{kind}.{_PERMUTED[kind]}"
            derived = mirrored(names) if kind == "random_horizontal_flip" else None
            if derived is not None:
                editor.set(path, derived)
            else:
                _check_given(path, get(editor.proto, path), names)


def mirrored(names: Sequence[str]) -> list[int] | None:
    """Place of the keypoint that each one becomes in a mirror: ``left`` and ``right`` swapped.

    A name without a side stays. None where the names do not tell: they are numbers, or one of a
    pair is missing.
    """
    if all(name.isdigit() for name in names):
        return None
    places = {name.lower(): place for place, name in enumerate(names)}
    found = [places.get(_swapped(name.lower())) for name in names]
    known = [place for place in found if place is not None]
    return known if sorted(known) == list(range(len(names))) else None


def _swapped(name: str) -> str:
    return _SIDE.sub(lambda match: _OTHER[match[1]], name)


def _check_given(path: str, given: list[Any], names: Sequence[str]) -> None:
    """Accept a permutation of the right length, as somebody wrote it."""
    if sorted(given) == list(range(len(names))):
        return
    raise PipelineError(
        "it is not known which keypoint takes which one's place",
        where=f"{ROOT}.{path}",
        value=str(given) if given else f"none, of keypoints {', '.join(names[:20])}",
        allowed=f"each of 0..{len(names) - 1} once",
        fix="give it, or leave the augmentation out: augmentation=none",
    )
