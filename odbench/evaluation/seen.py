"""Which pictures a record keeps the boxes of, so that several runs can be laid side by side.

Some depend on the ground truth alone: every run on the same images has them. To these come the
worst and the best of the run itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from odbench.analyses import SeenPicture
from odbench.evaluation.boxes import Floats, Ints, Scene
from odbench.evaluation.confusion import pairs

SHARED = 16  # evenly spread over the images
EXTREMES = 4  # of the worst, and of the best
BOXES = 30  # of a picture, objects and detections each


def seen_pictures(
    scene: Scene, threshold: float, images: Sequence[dict[str, Any]]
) -> list[SeenPicture]:
    """The pictures that are kept, the worst first; of equals the one with more objects.

    Args:
        scene: Ground truth and detections.
        threshold: Detections from this score on count and are kept.
        images: COCO's entries, by id.
    """
    ranked = sorted(_judged(scene, threshold, images), key=_rank)
    kept = {id(picture) for picture in (*ranked[:EXTREMES], *ranked[-EXTREMES:])}
    shared = {int(images[index]["id"]) for index in spread(len(images))}
    wanted = {p.image_id for p in ranked if id(p) in kept} | shared
    places = {int(entry["id"]): index for index, entry in enumerate(images)}
    boxes = {
        index: (found, there)
        for index, found, there in scene.by_image()
        if int(images[index]["id"]) in wanted
    }
    return [
        _with_boxes(picture, scene, threshold, images[place], boxes[place])
        for picture in ranked
        if (place := places[picture.image_id]) in boxes
    ]


def spread(count: int) -> list[int]:
    """So many of ``range(count)`` as :data:`SHARED` says, evenly apart."""
    if count <= SHARED:
        return list(range(count))
    return [index * count // SHARED for index in range(SHARED)]


def _judged(scene: Scene, threshold: float, images: Sequence[dict[str, Any]]) -> list[SeenPicture]:
    judged = []
    for index, truths, guesses in pairs(scene, threshold):
        right = int((truths == guesses).sum())
        false = int((guesses < scene.kinds).sum()) - right
        objects = int((truths < scene.kinds).sum())
        image, entry = int(images[index]["id"]), images[index]
        judged.append(SeenPicture(image, str(entry.get("file_name", image)), objects, right, false))
    return judged


def _rank(picture: SeenPicture) -> tuple[float, int, int]:
    """By quality; those with many objects tell more, so they are at either end."""
    many = -picture.objects if picture.f1 < 0.5 else picture.objects
    return picture.f1, many, picture.image_id


def _with_boxes(
    picture: SeenPicture,
    scene: Scene,
    threshold: float,
    entry: dict[str, Any],
    indices: tuple[Ints, Ints],
) -> SeenPicture:
    """Keep what is drawn of it; without its size, which COCO files may lack, nothing can be."""
    if "width" not in entry or "height" not in entry:
        return picture
    (found, there), detected, objects = indices, scene.detected, scene.objects
    shown = found[detected.score[found] >= threshold][:BOXES]
    counted = there[objects.counted[there]][:BOXES]
    return replace(
        picture,
        size=[int(entry["width"]), int(entry["height"])],
        truth=_flat(objects.kind[counted], objects.box[counted]),
        detections=_flat(detected.kind[shown], detected.box[shown], detected.score[shown]),
    )


def _flat(kinds: Ints, boxes: Floats, *scores: Floats) -> list[float]:
    columns = [kinds[:, None], boxes.round(1), *(score[:, None].round(2) for score in scores)]
    numbers: list[float] = np.hstack(columns).ravel().tolist()
    return numbers
