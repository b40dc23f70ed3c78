"""Which pictures are held out: by picture, never by box, and the same on every machine.

The division is the iterative stratification of Sechidis, Tsoumakas and Vlahavas, "On the
Stratification of Multi-Label Data", ECML PKDD 2011, for two subsets: the rarest class is shared
out first, each of its pictures to the side that lacks most of it. Two things are added: pictures
of the same content are one unit, and a class of two units or more wants at least one on each side.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from odbench.dataset.source import SPLITS, TRAIN, VAL
from odbench.dataset.types import Finding

if TYPE_CHECKING:
    from odbench.dataset.source import PoolEntry


@dataclass(frozen=True)
class _Unit:
    """Pictures of the same content, which stay together."""

    keys: tuple[str, ...]  # sorted
    labels: frozenset[str]
    rank: str  # seeded hash: the order in which units are taken


def split_pool(
    entries: Iterable[PoolEntry], val_fraction: float, seed: int
) -> dict[str, list[str]]:
    """Divide pictures into train and val; depends on their content, names and the seed only.

    Both sides get a picture wherever there are two different ones, and both sides get every class
    that is in two different pictures, as far as the other classes allow.

    Args:
        entries: Every picture once, in any order.
        val_fraction: Share to hold out, 0..1 exclusive. Where classes are rare the share is
            larger, so that each of them can be evaluated.
        seed: Other seeds give other divisions.

    Returns:
        Keys by split, sorted.
    """
    units = _units(entries, seed)
    division = _Division(units, val_fraction)
    division.share_out()
    division.repair()
    division.trim()
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
    by_content: dict[str, list[PoolEntry]] = defaultdict(list)
    for entry in entries:
        by_content[entry.digest].append(entry)
    units = []
    for same in by_content.values():
        keys = tuple(sorted(entry.key for entry in same))
        rank = hashlib.sha256(f"{seed}:{keys[0]}".encode("utf-8", "surrogateescape")).hexdigest()
        units.append(_Unit(keys, frozenset(n for entry in same for n in entry.labels), rank))
    return sorted(units, key=lambda unit: (unit.rank, unit.keys))


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
        pictures = sum(len(unit.keys) for unit in units)
        self._val_target = min(max(1, round(pictures * val_fraction)), pictures - 1)
        self._share = {VAL: val_fraction, TRAIN: 1 - val_fraction}
        self._lacking = {VAL: float(self._val_target)}  # pictures
        self._lacking[TRAIN] = float(pictures - self._val_target)

    def share_out(self) -> None:
        """Rarest label first, each unit to the side that lacks most of that label."""
        left = {label: len(units) for label, units in self._of_label.items()}
        while left:
            label = min(left, key=lambda name: (left[name], name))
            wanted = self._wanted(len(self._of_label[label]))
            for unit in self._of_label[label]:
                if unit in self.side:
                    continue
                lacking = {s: wanted[s] - self._has[s][label] for s in SPLITS}
                self._put(unit, max(SPLITS, key=lambda s: (lacking[s], self._lacking[s])))
                for name in unit.labels & left.keys():
                    left[name] -= 1
            del left[label]
        for unit in self._units:
            if unit not in self.side:
                self._put(unit, max(SPLITS, key=lambda s: self._lacking[s]))

    def repair(self) -> None:
        """Give each side a unit, and every label where another label does not lose by it."""
        for label in sorted(self._of_label, key=lambda name: (len(self._of_label[name]), name)):
            units = self._of_label[label]
            for split, other in ((VAL, TRAIN), (TRAIN, VAL)):
                if len(units) > 1 and not self._has[split][label]:
                    self._move_one(units, other, split)
        for split, other in ((VAL, TRAIN), (TRAIN, VAL)):
            if len(self._units) > 1 and not self._filled[split]:
                self._move_one(self._units, other, split, whatever=True)

    def trim(self) -> None:
        """Come nearer to the wanted number of pictures without taking a label's share away."""
        heavy = VAL if self._lacking[VAL] < 0 else TRAIN
        light = TRAIN if heavy == VAL else VAL
        for unit in self._units:
            excess = -self._lacking[heavy]
            if excess <= 0:
                return
            if self.side[unit] == heavy and len(unit.keys) <= excess and self._can_spare(unit):
                self._move(unit, light)

    def _wanted(self, count: int) -> dict[str, float]:
        """How many of a label's units each side wants; they sum to ``count``."""
        if count < 2:
            return {VAL: count * self._share[VAL], TRAIN: count * self._share[TRAIN]}
        val = min(max(1.0, count * self._share[VAL]), count - 1.0)
        return {VAL: val, TRAIN: count - val}

    def _can_spare(self, unit: _Unit) -> bool:
        side = self.side[unit]
        return self._filled[side] > 1 and all(
            self._has[side][name] > math.floor(self._wanted(len(self._of_label[name]))[side])
            for name in unit.labels
        )

    def _move_one(self, units: list[_Unit], side: str, to: str, whatever: bool = False) -> None:
        """Move the unit whose labels are least likely to be missed; none where one would be."""
        candidates = [unit for unit in units if self.side[unit] == side]
        kept = [u for u in candidates if all(self._has[side][name] > 1 for name in u.labels)]
        if kept or whatever:
            self._move(min(kept or candidates, key=lambda unit: len(unit.keys)), to)

    def _move(self, unit: _Unit, to: str) -> None:
        side = self.side.pop(unit)
        self._filled[side] -= 1
        self._lacking[side] += len(unit.keys)
        self._has[side].subtract(unit.labels)
        self._put(unit, to)

    def _put(self, unit: _Unit, split: str) -> None:
        self.side[unit] = split
        self._filled[split] += 1
        self._lacking[split] -= len(unit.keys)
        self._has[split].update(unit.labels)
