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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from odbench.dataset.source import SPLITS, TRAIN, VAL
from odbench.dataset.types import Finding

if TYPE_CHECKING:
    from odbench.dataset.source import PoolEntry

TOLERANCE = 0.25  # of the pictures that are to be held out, or one picture
_OTHER = {TRAIN: VAL, VAL: TRAIN}


@dataclass(frozen=True, slots=True, eq=False)  # each is one of its own, quick to look up
class _Unit:
    """Pictures of the same content, which stay together."""

    keys: tuple[str, ...]  # sorted
    labels: frozenset[str]
    rank: bytes  # seeded hash: the order in which units are taken


def split_pool(
    entries: Iterable[PoolEntry], val_fraction: float, seed: int
) -> dict[str, list[str]]:
    """Divide pictures into train and val; depends on their content, names and the seed only.

    The number of pictures held out is within a quarter, or one picture, of what was asked for,
    unless large groups of identical pictures leave no such division. Both sides get a picture
    wherever there are two different ones. Within that, a class of one picture is in train, and
    every other one in both as far as the others allow.

    Args:
        entries: Every picture once, in any order.
        val_fraction: Share to hold out, 0..1 exclusive.
        seed: Other seeds give other divisions.

    Returns:
        Keys by split, sorted.
    """
    units = _units(entries, seed)
    division = _Division(units, val_fraction)
    division.share_out()
    division.cover()
    division.balance()
    return {
        split: sorted(key for unit in units if division.side[unit] == split for key in unit.keys)
        for split in SPLITS
    }


def overlaps(entries: Mapping[str, Sequence[PoolEntry]]) -> list[Finding]:
    """Pictures of the same content on both sides of a split that the source names itself."""
    held_out: dict[str, list[str]] = defaultdict(list)
    for entry in entries.get(VAL, ()):
        held_out[entry.digest].append(entry.key)
    return [
        Finding("train_val_overlap", entry.key, f"the same picture as {key} in val", "kept in both")
        for entry in entries.get(TRAIN, ())
        for key in held_out.get(entry.digest, ())
    ]


def _units(entries: Iterable[PoolEntry], seed: int) -> list[_Unit]:
    first: dict[str, PoolEntry] = {}  # by content
    others: dict[str, list[PoolEntry]] = defaultdict(list)  # of few: most pictures are single
    shared: dict[frozenset[str], frozenset[str]] = {}  # each set kept once
    for entry in entries:
        if first.setdefault(entry.digest, entry) is not entry:
            others[entry.digest].append(entry)
    units = []
    for digest, entry in first.items():
        same = (entry, *others.get(digest, ()))
        keys = tuple(sorted(each.key for each in same))
        rank = hashlib.sha256(f"{seed}:{keys[0]}".encode("utf-8", "surrogateescape")).digest()
        labels = frozenset(name for each in same for name in each.labels)
        units.append(_Unit(keys, shared.setdefault(labels, labels), rank))
    # Large groups first, while there is room for them on both sides.
    units.sort(key=lambda unit: (-len(unit.keys), unit.rank, unit.keys))
    return units


class _Division:
    """Two sides being filled with units."""

    def __init__(self, units: list[_Unit], val_fraction: float) -> None:
        self.side: dict[_Unit, str] = {}
        self._units = units
        self._of_label: dict[str, list[_Unit]] = defaultdict(list)
        for unit in units:
            for label in unit.labels:
                self._of_label[label].append(unit)
        self._has = {split: Counter[str]() for split in SPLITS}  # units of a label on a side
        self._filled = dict.fromkeys(SPLITS, 0)  # units on a side
        self._pictures = dict.fromkeys(SPLITS, 0)
        self._share = {VAL: val_fraction, TRAIN: 1 - val_fraction}
        self._set_sizes(sum(len(unit.keys) for unit in units), val_fraction)

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
                if unit in self.side:
                    continue
                lacking = {s: count * self._share[s] - self._has[s][label] for s in SPLITS}
                order = sorted(SPLITS, key=lambda s: (-lacking[s], self._excess(s)))
                self._put(unit, next((s for s in order if self._has_room(s, unit)), order[0]))
                for name in unit.labels & left.keys():
                    left[name] -= 1
            del left[label]
        for unit in self._units:
            if unit not in self.side:
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
        most_labels = max((len(unit.labels) for unit in self._units), default=0)
        for fits in (self._fits, self._brings_nearer):
            for loss in range(most_labels + 1):
                for split in SPLITS:
                    self._lighten(split, self._most[split], fits, loss)
        for split in SPLITS:
            if not self._filled[split] and len(self._units) > 1:
                self._move(min(self._units, key=lambda unit: (self._loss(unit), len(unit.keys))))

    def _wanted(self, split: str) -> list[tuple[_Unit, int]]:
        """Units with labels that a side has nothing of, and how many; those with most first."""
        lacking = [name for name in self._of_label if not self._has[split][name]]
        units = {unit for name in lacking for unit in self._of_label[name]}
        gains = [
            (unit, sum(not self._has[split][name] for name in unit.labels))
            for unit in units
            if split == TRAIN or not self._loss(unit)
        ]
        return sorted(gains, key=lambda item: (-item[1], len(item[0].keys), item[0].rank))

    def _take(self, unit: _Unit, gain: int, split: str) -> bool:
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

    def _swaps(self, unit: _Unit, split: str) -> bool:
        """Whether both sides have their size when a unit leaves one."""
        left = self._pictures[split] - len(unit.keys)
        return left <= self._most[split] and self._has_room(_OTHER[split], unit)

    def _lighten(self, split: str, limit: int, may: Callable[[_Unit], bool], loss: int = 0) -> None:
        """Move units that lose so many labels while a side has more than so many pictures."""
        for unit in self._units:
            if self._pictures[split] <= limit or self._filled[split] < 2:
                return
            if self.side[unit] == split and may(unit) and self._loss(unit) <= loss:
                self._move(unit)

    def _fits_and_is_spare(self, unit: _Unit) -> bool:
        """Whether its side has enough of all its labels without it, and is too large by it."""
        side = self.side[unit]
        return self._fits(unit) and all(
            self._has[side][name] > math.floor(len(self._of_label[name]) * self._share[side])
            for name in unit.labels
        )

    def _fits(self, unit: _Unit) -> bool:
        return len(unit.keys) <= self._excess(self.side[unit])

    def _brings_nearer(self, unit: _Unit) -> bool:
        return len(unit.keys) < 2 * self._excess(self.side[unit])

    def _has_room(self, split: str, unit: _Unit) -> bool:
        return self._pictures[split] + len(unit.keys) <= self._most[split]

    def _excess(self, split: str) -> int:
        """Pictures beyond what a side shall have."""
        return self._pictures[split] - self._target[split]

    def _loss(self, unit: _Unit) -> int:
        """Labels that its side would have nothing of without it."""
        has = self._has[self.side[unit]]
        return sum(has[name] == 1 for name in unit.labels)

    def _move(self, unit: _Unit) -> None:
        side = self.side.pop(unit)
        self._filled[side] -= 1
        self._pictures[side] -= len(unit.keys)
        self._has[side].subtract(unit.labels)
        self._put(unit, _OTHER[side])

    def _put(self, unit: _Unit, split: str) -> None:
        self.side[unit] = split
        self._filled[split] += 1
        self._pictures[split] += len(unit.keys)
        self._has[split].update(unit.labels)
