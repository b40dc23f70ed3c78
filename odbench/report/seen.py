"""The same evaluation pictures as several variants see them: which, and where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from odbench.analyses import PICTURES_DIR, SeenPicture
from odbench.report.comparison import Row
from odbench.report.variants import Variant

_BEGIN, _END = b"\xff\xd8", b"\xff\xd9"  # of a JPEG


@dataclass(frozen=True)
class SideBySide:
    """Pictures that all of some variants keep, the worst by their mean first."""

    variants: list[Variant]
    pictures: list[list[SeenPicture]]  # of each picture how each of the variants sees it
    left_out: int  # variants that keep pictures, too


def side_by_side(variants: Sequence[Variant], limit: int, pictures: int) -> SideBySide:
    """Lay the first variants side by side: half of the pictures the worst, half the best.

    Args:
        variants: The most interesting first. Of repeats the first is looked at.
        limit: How many of them at most.
        pictures: How many pictures at most.
    """
    shown: list[tuple[Variant, dict[int, SeenPicture]]] = []
    left_out = 0
    for variant in variants:
        if len(shown) == limit:  # counted, without looking at thousands of them
            analysis = variant.record.analysis
            left_out += analysis is not None and len(analysis.pictures) > 0
        elif found := _kept(variant):
            shown.append((variant, found))
    common = set.intersection(*(set(found) for _, found in shown)) if shown else set()
    seen = [[found[image] for _, found in shown] for image in sorted(common)]
    seen.sort(key=lambda views: sum(view.f1 for view in views))
    if len(seen) > pictures:
        seen = seen[: (pictures + 1) // 2] + seen[len(seen) - pictures // 2 :]
    return SideBySide([variant for variant, _ in shown], seen, left_out)


def _kept(variant: Variant) -> dict[int, SeenPicture]:
    analysis = variant.record.analysis
    return {} if analysis is None else {p.image_id: p for p in analysis.pictures if p.size}


def keepers(rows: Iterable[Row]) -> list[Row]:
    """The runs that have kept pictures whole: none whose record came alone."""
    return [row for row in rows if (row.run.dir / PICTURES_DIR).is_dir()]


def small_picture(image_id: int, rows: Iterable[Row]) -> bytes | None:
    """The JPEG that one of these runs has kept; all of them are on the same data."""
    for row in rows:
        try:
            data = (row.run.dir / PICTURES_DIR / f"{image_id}.jpg").read_bytes()
        except OSError:
            continue
        if data.startswith(_BEGIN) and data.endswith(_END):
            return data
    return None


def in_words(seen: SeenPicture) -> str:
    """How well it was detected."""
    return f"{seen.found} of {seen.objects} found, {seen.false} false"
