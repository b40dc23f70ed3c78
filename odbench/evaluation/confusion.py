"""What is taken for what, at IoU 0.5 and from a score on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from odbench.evaluation.boxes import Ints, Scene

IOU = 0.5


def confusion(scene: Scene, threshold: float) -> Ints:
    """Counts [true class or background, detected class or missed]; the last of each is the other.

    Objects and detections are paired one to one, pairs of one class first, then by overlap.
    Detections in a crowd of their class count nowhere, nor does the crowd.
    """
    counts = np.zeros((scene.kinds + 1, scene.kinds + 1), dtype=np.int64)
    for _, truths, guesses in pairs(scene, threshold):
        np.add.at(counts, (truths, guesses), 1)
    return counts


def pairs(scene: Scene, threshold: float) -> Iterator[tuple[int, Ints, Ints]]:
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
