"""What kinds of errors cost AP50: TIDE (Bolya et al., ECCV 2020, arXiv:2008.08115, section 2).

Every detection that found nothing has one reason, in this order: *localisation* (of its class an
object overlaps by 0.1 to 0.5), *classification* (of another class one overlaps by 0.5),
*duplicate* (its object was found by a better one), *background* (nothing overlaps by more than
0.1), *both* (the rest). Objects that no such detection could have found are *missed*. What a kind
costs is what AP50 rises by where an oracle mends that kind alone: a detection moved onto its
object or to its class is a hit where that object was not found and none better could be mended for
it, else it is taken away; objects that were missed are no longer asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from odbench.evaluation.boxes import (
    Bools,
    Detected,
    Floats,
    Ints,
    Objects,
    Scene,
    interpolated_precision,
)

LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH, MISSED = ERROR_TYPES = (
    "localisation",
    "classification",
    "duplicate",
    "background",
    "both",
    "missed",
)

_HIT = 0.5  # IoU from which a detection finds an object
_NEAR = 0.1  # IoU from which it is at it


@dataclass(frozen=True)
class Errors:
    """The errors of a set of detections."""

    lost: dict[str, float | None]  # AP50 by kind, 0..1; None: no object to find
    counts: dict[str, int]  # detections by kind; of missed: objects


def error_types(scene: Scene) -> Errors:
    """Find the kind of every error, and what each kind costs."""
    detected, objects = scene.detected, scene.objects
    kinds, targets = _reasons(scene)
    repairs = _repairs(detected, objects, kinds, targets)
    wanted = np.bincount(objects.kind[objects.counted], minlength=scene.kinds)
    counts_at_all = detected.hit | detected.false
    base = _ap50(detected.kind, detected, detected.hit, counts_at_all, wanted)
    lost: dict[str, float | None] = {}
    for number, name in enumerate(ERROR_TYPES[:-1]):
        mended = (kinds == number) & repairs
        kept = counts_at_all & ((kinds != number) | mended)
        to = detected.kind.copy()
        to[mended] = objects.kind[targets[mended]]
        lost[name] = _gain(_ap50(to, detected, detected.hit | mended, kept, wanted), base)
    missed = _missed(objects, targets)
    left = wanted - np.bincount(objects.kind[missed], minlength=scene.kinds)
    lost[MISSED] = _gain(_ap50(detected.kind, detected, detected.hit, counts_at_all, left), base)
    counts = {name: int((kinds == number).sum()) for number, name in enumerate(ERROR_TYPES)}
    return Errors(lost, counts | {MISSED: int(missed.sum())})


def _missed(objects: Objects, targets: Ints) -> Bools:
    """The objects that nobody found and no mended detection could find."""
    usable = np.zeros(len(objects.found), bool)
    usable[targets[targets >= 0]] = True
    return objects.counted & ~objects.found & ~usable


def _reasons(scene: Scene) -> tuple[Ints, Ints]:
    """Of each detection the index of its kind of error, and the object it was meant for; or -1."""
    detected, objects = scene.detected, scene.objects
    kinds, targets = (np.full(len(detected.kind), -1) for _ in range(2))
    for _, found, every in scene.by_image():
        wrong, there = found[detected.false[found]], every[objects.counted[every]]
        if not len(there):
            kinds[wrong] = ERROR_TYPES.index(BACKGROUND)
        elif len(wrong):
            overlap = scene.overlaps(wrong, there)
            same = detected.kind[wrong][:, None] == objects.kind[there][None]
            kinds[wrong], near = _kind(overlap, same, objects.found[there])
            targets[wrong] = np.where(near >= 0, there[near], -1)
    return kinds, targets


def _kind(overlap: Floats, same: Bools, taken: Bools) -> tuple[Ints, Ints]:
    """Of detections [D] by their overlaps [D, G]: the kind, and the index of the object meant."""
    alike, other = overlap * same, overlap * ~same
    near, best = alike.max(axis=1), other.max(axis=1)
    conditions = {
        LOCALISATION: (near >= _NEAR) & (near <= _HIT),
        CLASSIFICATION: best >= _HIT,
        DUPLICATE: (alike * taken).max(axis=1) >= _HIT,
        BACKGROUND: overlap.max(axis=1) <= _NEAR,
    }
    numbers = [ERROR_TYPES.index(name) for name in conditions]
    kinds = np.select(list(conditions.values()), numbers, ERROR_TYPES.index(BOTH))
    meant = [alike.argmax(axis=1), other.argmax(axis=1)]
    return kinds, np.select([kinds == numbers[0], kinds == numbers[1]], meant, -1)


def _repairs(detected: Detected, objects: Objects, kinds: Ints, targets: Ints) -> Bools:
    """Whether a detection becomes a hit when mended: the best for an object that nobody found."""
    repairs = np.zeros(len(kinds), bool)
    candidates = np.flatnonzero(targets >= 0)
    candidates = candidates[~objects.found[targets[candidates]]]
    falling = candidates[np.argsort(-detected.score[candidates], kind="stable")]
    _, first = np.unique(targets[falling], return_index=True)
    repairs[falling[first]] = True
    return repairs


def _ap50(kind: Ints, detected: Detected, hit: Bools, kept: Bools, objects: Ints) -> float | None:
    """Mean AP at IoU 0.5 over the classes that have objects."""
    order = np.lexsort((detected.image, -detected.score))
    order = order[kept[order]]
    values = [
        interpolated_precision(hit[order][kind[order] == number], int(count)).mean()
        for number, count in enumerate(objects)
        if count
    ]
    return float(np.mean(values)) if values else None


def _gain(fixed: float | None, base: float | None) -> float | None:
    if base is None:
        return None
    return (1.0 if fixed is None else fixed) - base  # None: nothing is left to be missed
