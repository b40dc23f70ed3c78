"""What is taken for what, and which pictures go well: at IoU 0.5, from a score on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from odbench.evaluation.boxes import Ints, Scene
from odbench.results import PictureQuality

IOU = 0.5
PICTURES = 16  # at most that many of the worst, and as many of the best


def confusion(scene: Scene, threshold: float) -> Ints:
    """Counts [true class or background, detected class or missed]; the last of each is the other.

    Objects and detections are paired one to one, pairs of one class first, then by overlap.
    Detections in a crowd of their class count nowhere, nor does the crowd.
    """
    counts = np.zeros((scene.kinds + 1, scene.kinds + 1), dtype=np.int64)
    for _, truths, guesses in _pairs(scene, threshold):
        np.add.at(counts, (truths, guesses), 1)
    return counts


def picture_quality(
    scene: Scene, threshold: float, names: list[tuple[int, str]]
) -> list[PictureQuality]:
    """The worst pictures, the worst first, then the best, the best first; no picture twice.

    Judged by the F1 of objects and detections; a picture without either is perfect. Of equals the
    one with more objects goes first.

    Args:
        scene: Both sides.
        threshold: Detections from this score on count.
        names: Id and file name of each image, by id.
    """
    found = []
    for index, truths, guesses in _pairs(scene, threshold):
        objects = int((truths < scene.kinds).sum())
        right = int((truths == guesses).sum())
        false = int((guesses < scene.kinds).sum()) - right
        found.append(PictureQuality(*names[index], objects, right, false))
    worst = sorted(found, key=lambda p: (_f1(p), -p.objects, p.image_id))
    best = sorted(found, key=lambda p: (-_f1(p), -p.objects, p.image_id))
    shown = worst[: min(PICTURES, (len(found) + 1) // 2)]
    taken = {picture.image_id for picture in shown}
    return shown + [p for p in best if p.image_id not in taken][:PICTURES]


def _f1(picture: PictureQuality) -> float:
    total = picture.objects + picture.found + picture.false
    return 2 * picture.found / total if total else 1.0


def _pairs(scene: Scene, threshold: float) -> Iterator[tuple[int, Ints, Ints]]:
    """Of each image its pairs of true class and detected class, ``scene.kinds`` for neither."""
    detected, objects = scene.detected, scene.objects
    for index, every, there in scene.by_image():
        found = every[detected.score[every] >= threshold]
        overlap = scene.overlaps(found, there)
        same = detected.kind[found][:, None] == objects.kind[there][None]
        counted = objects.counted[there]
        possible = np.argwhere((overlap >= IOU) & counted)
        rows, columns = possible.T
        order = np.lexsort((-overlap[rows, columns], ~same[rows, columns]))
        partner = np.full(len(found), -1)
        free = counted.copy()
        for row, column in possible[order]:
            if partner[row] < 0 and free[column]:
                partner[row], free[column] = column, False
        in_crowd = ((overlap >= IOU) & same & ~counted).any(axis=1)
        shown = (partner >= 0) | ~in_crowd
        kinds = np.append(objects.kind[there], scene.kinds)  # the last for a partner of -1
        truths = np.append(kinds[partner[shown]], objects.kind[there][free])
        guesses = np.append(detected.kind[found][shown], np.full(free.sum(), scene.kinds))
        yield index, truths, guesses
