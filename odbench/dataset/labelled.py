"""A picture and the boxes that were read for it, put together and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from odbench.dataset.boxes import describe, fit_box
from odbench.dataset.going_on import one_of_many
from odbench.dataset.orientation import turn_box
from odbench.dataset.picture import Picture
from odbench.dataset.source import PoolEntry
from odbench.dataset.types import Box, Finding, LabelledImage

if TYPE_CHECKING:
    from odbench.dataset.catalogue import Catalogue

Objects = Sequence[tuple[Box, str]]  # each box, and its file and line or element


def label_picture(
    filename: str, picture: Picture, objects: Objects, where: str
) -> tuple[LabelledImage, list[Finding]]:
    """Turn the boxes along with their picture, fit them to it and name what is wrong.

    Args:
        filename: Of the record.
        picture: As it was read.
        objects: On ``picture.label_size``.
        where: Of the annotation, for findings of the whole picture.

    Raises:
        DatasetError: A box lies outside the picture.
    """
    findings: list[Finding] = []
    boxes: list[Box] = []
    seen: set[tuple[str, float, float, float, float]] = set()
    turn, size = picture.label_turn, picture.label_size
    for box, place in objects:
        _, xmin, ymin, xmax, ymax = corners = box[:5]
        inside = 0 <= xmin < xmax <= picture.width and 0 <= ymin < ymax <= picture.height
        if inside and turn == 1 and box.area > 0 and corners not in seen:  # most of them
            seen.add(corners)
            boxes.append(box)
            continue
        turned = box if turn == 1 else turn_box(box, turn, *size)
        fitted: Box | None = None
        with one_of_many():
            fitted, found = fit_box(turned, picture.width, picture.height, place)
            findings += found
        if fitted is None:
            continue
        if (corners := fitted[:5]) in seen:
            action = "dropped: the same class and corners as a box before it"
            findings.append(Finding("duplicate_box", place, describe(box), action))
            continue
        seen.add(corners)
        boxes.append(fitted)
    if not boxes:
        value = f"{len(objects)} boxes in the annotation" if objects else "no box"
        findings.append(Finding("image_without_boxes", where, value, "kept, as background"))
    image = LabelledImage(
        filename, picture.encoded, picture.format, picture.width, picture.height, boxes
    )
    return image, findings


def check_size(size: tuple[int, int] | None, picture: Picture, where: str) -> list[Finding]:
    """Compare the size that an annotation states with that of its picture."""
    real = (picture.width, picture.height)
    if size is None or size in (real, picture.label_size):
        return []
    value = "{}x{} in the annotation, {}x{} in the picture".format(*size, *real)
    action = "took the size of the picture: all boxes fit into it"
    return [Finding("size_mismatch", where, value, action)]


def survey_entry(key: str, digest: str, labels: Iterable[str]) -> PoolEntry:
    """The entry of one picture.

    Args:
        key: Of the picture.
        digest: Its sha256.
        labels: Of its boxes.
    """
    return PoolEntry(key, tuple(sorted(set(labels))), digest)


Corners = tuple[str, float, float, float, float]  # label and sides of a box


def duplicate_pictures(
    catalogue: Catalogue, boxes_of: Callable[[str], Sequence[Corners]]
) -> list[Finding]:
    """Pictures whose files hold the same bytes; nothing is done about them.

    Args:
        catalogue: Of the whole source.
        boxes_of: Gives the boxes of a picture by its key; asked for those pictures alone.
    """
    found = []
    for original, *others in catalogue.alike():
        boxes = sorted(boxes_of(original.key))
        for picture in others:
            differs = sorted(boxes_of(picture.key)) != boxes
            kind = "duplicate_picture_other_boxes" if differs else "duplicate_picture"
            value = f"the same picture as {original.key}" + (
                ", with other boxes" if differs else ""
            )
            found.append(Finding(kind, picture.key, value, "kept"))
    return found
