"""Which pictures are held out: by picture, never by box, and the same on every machine.

The division begins with the iterative stratification of Sechidis, Tsoumakas and Vlahavas, "On the
Stratification of Multi-Label Data", ECML PKDD 2011, for two subsets: the rarest class is shared
out first, each of its pictures to the side that lacks most of it. Pictures of the same content are
one unit. With many rare classes that leaves val without most of them and too small, so it is
followed by three steps, in this order of what counts: the share that was asked for, within a
tolerance; train has every class; val has every class that is in two units.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from odbench.dataset.catalogue import Catalogue, Keys, sorted_keys
from odbench.dataset.source import SPLITS, TRAIN, VAL
from odbench.dataset.types import Finding

TOLERANCE = 0.25  # of the pictures that are to be held out, or one picture
_OTHER = {TRAIN: VAL, VAL: TRAIN}


def split_pool(catalogue: Catalogue, val_fraction: float, seed: int) -> dict[str, Keys]:
    """Divide pictures into train and val; depends on their content, names and the seed only.

    The number of pictures held out is within a quarter, or one picture, of what was asked for,
    unless large groups of identical pictures leave no such division. Both sides get a picture
    wherever there are two different ones. Within that, a class of one picture is in train, and
    every other one in both as far as the others allow.

    Args:
        catalogue: Of the pictures, in any order.
        val_fraction: Share to hold out, 0..1 exclusive.
        seed: Other seeds give other divisions.

    Returns:
        Keys by split, sorted.
    """
    units = _units(catalogue, seed)
    division = _Division(units, val_fraction)
    division.share_out()
    division.cover()
    division.balance()
    return sorted_keys(catalogue, SPLITS, lambda number: division.side[units.of[number]])


def overlaps(catalogue: Catalogue, keys: Mapping[str, Iterable[str]]) -> list[Finding]:
    """Pictures of the same content on both sides of a split that nobody chose by content.

    Args:
        catalogue: Of all pictures.
        keys: By split, in order.
    """
    digests = {entry.key: entry.digest for same in catalogue.alike() for entry in same}
    if not digests:
        return []
    held_out: dict[str, list[str]] = defaultdict(list)
    for key in keys[VAL]:
        if key in digests:
            held_out[digests[key]].append(key)
    return [
        Finding("train_val_overlap", key, f"the same picture as {other} in val", "kept in both")
        for key in keys[TRAIN]
        if key in digests
        for other in held_out.get(digests[key], ())
    ]


@dataclass(frozen=True)
class _Units:
    """Pictures of the same content, which stay together; numbered as they are taken.

    Columns of numbers, since most units are single pictures, and there are as many as these.
    """

    size: array[int]  # pictures of each unit
    labels: array[int]  # which of the sets each has
    label_sets: list[frozenset[str]]
    of: array[int]  # the unit of each picture


def _units(catalogue: Catalogue, seed: int) -> _Units:
    import numpy as np

    count = len(catalogue)
    head = array("i", range(count))  # first picture of the unit of each
    size, labels, rank = array("i"), array("i"), array("Q")
    sets: dict[frozenset[str], int] = {}
    groups = {numbers[0]: numbers for numbers in catalogue.numbers_alike()}
    for first, numbers in groups.items():
        for number in numbers:
            head[number] = first
    for number, entry in enumerate(catalogue.pictures()):
        entries = [entry]
        if head[number] != number:
            entries = []
        elif number in groups:
            entries = catalogue.entries(groups[number])
        size.append(len(entries))
        names = frozenset(name for entry in entries for name in entry.labels)
        labels.append(sets.setdefault(names, len(sets)))
        rank.append(_rank(min((entry.key for entry in entries), default=""), seed))
    # Large groups first, while there is room for them on both sides; those without pictures last.
    order = np.lexsort((np.asarray(rank), -np.asarray(size)))
    place = np.empty(count, np.intc)
    place[order] = np.arange(count, dtype=np.intc)
    order = order[: count - size.count(0)]
    return _Units(
        size=array("i", np.asarray(size)[order].tobytes()),
        labels=array("i", np.asarray(labels)[order].tobytes()),
        label_sets=list(sets),
        of=array("i", place[np.asarray(head)].tobytes()),
    )


def _rank(key: str, seed: int) -> int:
    """Seeded hash: the order in which units of a size are taken."""
    digest = hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")


class _Division:
    """Two sides being filled with units."""

    def __init__(self, units: _Units, val_fraction: float) -> None:
        self._size = units.size
        self._units = range(len(units.size))
        self._label_sets = units.label_sets
        self._label_set = units.labels
        self.side: list[str] = [""] * len(units.size)  # of each unit; empty: of neither yet
        self._of_label: dict[str, array[int]] = defaultdict(lambda: array("i"))
        for unit in self._units:
            for label in self._labels(unit):
                self._of_label[label].append(unit)
        self._has = {split: Counter[str]() for split in SPLITS}  # units of a label on a side
        self._filled = dict.fromkeys(SPLITS, 0)  # units on a side
        self._pictures = dict.fromkeys(SPLITS, 0)
        self._share = {VAL: val_fraction, TRAIN: 1 - val_fraction}
        self._set_sizes(sum(units.size), val_fraction)

    def _labels(self, unit: int) -> frozenset[str]:
        return self._label_sets[self._label_set[unit]]

    def _set_sizes(self, pictures: int, val_fraction: float) -> None:
        """How many pictures each side shall have, and how many at the most."""
        asked = pictures * val_fraction
        slack = max(1.0, TOLERANCE * asked)
        val = max(0, min(max(1, round(asked)), pictures - 1))
        least = min(val, max(1, math.ceil(asked - slack)))
        most = max(val, min(pictures - 1, math.floor(asked + slack)))
        self._target = {VAL: val, TRAIN: pictures - val}
        self._most = {VAL: most, TRAIN: pictures - least}

    def share_out(self) -> None:
        """Rarest label first, each unit to the side that lacks most of that label and has room."""
        left = {label: len(units) for label, units in self._of_label.items()}
        while left:
            label = min(left, key=lambda name: (left[name], name))
            count = len(self._of_label[label])
            for unit in self._of_label[label]:
                if self.side[unit]:
                    continue
                lacking = {s: count * self._share[s] - self._has[s][label] for s in SPLITS}
                order = sorted(SPLITS, key=lambda s: (-lacking[s], self._excess(s)))
                self._put(unit, next((s for s in order if self._has_room(s, unit)), order[0]))
                for name in self._labels(unit) & left.keys():
                    left[name] -= 1
            del left[label]
        for unit in self._units:
            if not self.side[unit]:
                self._put(unit, min(SPLITS, key=self._excess))

    def cover(self) -> None:
        """Give train, then val, the classes that it has nothing of.

        Train gives up none of its own for that; val, where it is full, fewer than it gets.
        """
        for split in SPLITS:
            while any(self._take(unit, gain, split) for unit, gain in self._wanted(split)):
                pass

    def balance(self) -> None:
        """Come to the wanted number of pictures.

        As near as goes without taking a class's share away; then, where that is beyond the
        tolerance, by what loses the fewest classes. Neither side is left empty.
        """
        for split in SPLITS:
            self._lighten(split, self._target[split], self._fits_and_is_spare)
        most_labels = max(map(len, self._label_sets), default=0)
        for fits in (self._fits, self._brings_nearer):
            for loss in range(most_labels + 1):
                for split in SPLITS:
                    self._lighten(split, self._most[split], fits, loss)
        for split in SPLITS:
            if not self._filled[split] and len(self._units) > 1:
                self._move(min(self._units, key=lambda unit: (self._loss(unit), self._size[unit])))

    def _wanted(self, split: str) -> list[tuple[int, int]]:
        """Units with labels that a side has nothing of, and how many; those with most first."""
        lacking = [name for name in self._of_label if not self._has[split][name]]
        units = {unit for name in lacking for unit in self._of_label[name]}
        gains = [
            (unit, sum(not self._has[split][name] for name in self._labels(unit)))
            for unit in units
            if split == TRAIN or not self._loss(unit)
        ]
        return sorted(gains, key=lambda item: (-item[1], self._size[item[0]], item[0]))

    def _take(self, unit: int, gain: int, split: str) -> bool:
        """Move a unit to a side, another one back where it is full; False where that cannot be."""
        self._move(unit)
        if self._pictures[split] <= self._most[split]:
            return True
        best, least = None, gain
        for other in self._units:
            if self.side[other] == split and other is not unit and self._swaps(other, split):
                loss = self._loss(other)
                if loss < least:
                    best, least = other, loss
                if not loss:
                    break
        self._move(unit if best is None else best)
        return best is not None

    def _swaps(self, unit: int, split: str) -> bool:
        """Whether both sides have their size when a unit leaves one."""
        left = self._pictures[split] - self._size[unit]
        return left <= self._most[split] and self._has_room(_OTHER[split], unit)

    def _lighten(self, split: str, limit: int, may: Callable[[int], bool], loss: int = 0) -> None:
        """Move units that lose so many labels while a side has more than so many pictures."""
        for unit in self._units:
            if self._pictures[split] <= limit or self._filled[split] < 2:
                return
            if self.side[unit] == split and may(unit) and self._loss(unit) <= loss:
                self._move(unit)

    def _fits_and_is_spare(self, unit: int) -> bool:
        """Whether its side has enough of all its labels without it, and is too large by it."""
        side = self.side[unit]
        return self._fits(unit) and all(
            self._has[side][name] > math.floor(len(self._of_label[name]) * self._share[side])
            for name in self._labels(unit)
        )

    def _fits(self, unit: int) -> bool:
        return self._size[unit] <= self._excess(self.side[unit])

    def _brings_nearer(self, unit: int) -> bool:
        return self._size[unit] < 2 * self._excess(self.side[unit])

    def _has_room(self, split: str, unit: int) -> bool:
        return self._pictures[split] + self._size[unit] <= self._most[split]

    def _excess(self, split: str) -> int:
        """Pictures beyond what a side shall have."""
        return self._pictures[split] - self._target[split]

    def _loss(self, unit: int) -> int:
        """Labels that its side would have nothing of without it."""
        has = self._has[self.side[unit]]
        return sum(has[name] == 1 for name in self._labels(unit))

    def _move(self, unit: int) -> None:
        side = self.side[unit]
        self._filled[side] -= 1
        self._pictures[side] -= self._size[unit]
        self._has[side].subtract(self._labels(unit))
        self._put(unit, _OTHER[side])

    def _put(self, unit: int, split: str) -> None:
        self.side[unit] = split
        self._filled[split] += 1
        self._pictures[split] += self._size[unit]
        self._has[split].update(self._labels(unit))
