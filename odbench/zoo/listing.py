"""The catalogue with the state of the cache: chosen rows, as JSON and as tables."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from odbench.errors import ConfigError
from odbench.zoo.address import PUBLISHED_AT
from odbench.zoo.cached import CONFIG_FILE, Place, damage, place_of, read_origin
from odbench.zoo.catalogue import OUTPUTS, PUBLISHED, Parameters, ZooEntry, catalogue

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

State = Literal["cached", "damaged", "not cached", "not buildable"]

_ABSENT = "\u2013"  # an en dash: no value, never 0


@dataclass(frozen=True)
class Row:
    """A model of the zoo, and what of it is cached."""

    entry: ZooEntry
    state: State
    place: Place
    checkpoint: str | None = None  # path of its prefix
    checkpoint_bytes: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The row as JSON values; null is what is not known."""
        body = asdict(self.entry)
        figures = ("speed_ms", "AP", "AP_mask", "AP_keypoint")
        published = {key: body.pop(key) for key in figures}
        parameters = body.pop("parameters") or {"count": None, "classes": None}
        return {
            **body,
            "address": PUBLISHED_AT + self.entry.path,
            "published": published,
            "parameters": parameters["count"],
            "parameters_classes": parameters["classes"],
            "state": self.state,
            "checkpoint": self.checkpoint,
            "checkpoint_bytes": self.checkpoint_bytes,
        }


@dataclass(frozen=True)
class Wanted:
    """Which rows are listed."""

    pattern: str | None = None  # part of the name, or with *, ? and [] all of it
    family: str | None = None
    min_ap: float | None = None  # of boxes, 0..1
    max_ms: float | None = None
    cached: bool = False
    outputs: str | None = None

    def __post_init__(self) -> None:
        """Check what is chosen from a set, and the range of AP."""
        _one_of("--family", self.family, {entry.family: None for entry in catalogue()})
        _one_of("--outputs", self.outputs, OUTPUTS)
        if self.min_ap is not None and not 0 <= self.min_ap <= 1:
            raise ConfigError("not an AP", where="--min-ap", value=self.min_ap, allowed="0 to 1")

    def admits(self, row: Row) -> bool:
        """Whether a row is listed; a figure that is not published fulfils no bound."""
        entry, unknown = row.entry, float("nan")
        return (
            (self.pattern is None or _matches(entry.name, self.pattern))
            and self.family in (None, entry.family)
            and (self.min_ap is None or (entry.AP or unknown) >= self.min_ap)
            and (self.max_ms is None or (entry.speed_ms or unknown) <= self.max_ms)
            and (not self.cached or row.state == "cached")
            and (self.outputs is None or self.outputs in entry.outputs)
        )


def row_of(entry: ZooEntry, cache_dir: Path) -> Row:
    """A model and its state in the cache."""
    place = place_of(entry.name, cache_dir)
    if not entry.buildable:
        return Row(entry, "not buildable", place)
    origin = read_origin(place)
    if origin is None:
        return Row(entry, "damaged" if place.folder.is_dir() else "not cached", place)
    if damage(place, origin) is not None:
        return Row(entry, "damaged", place)
    prefix = str(place.folder / origin.checkpoint)
    return Row(entry, "cached", place, prefix, origin.checkpoint_bytes)


def chosen(wanted: Wanted, cache_dir: Path) -> list[Row]:
    """The rows that are wanted, in the zoo's order."""
    rows = (row_of(entry, cache_dir) for entry in catalogue())
    return [row for row in rows if wanted.admits(row)]


def render_list(rows: Sequence[Row], width: int) -> Group:
    """Lay rows out for so many columns of text; what the figures are above, the notes below."""
    from rich.console import Group
    from rich.text import Text

    shown = [
        column
        for column in _COLUMNS
        if width >= column.from_width and (not column.seldom or any(map(column.cell, rows)))
    ]
    table = _table()
    for column in shown:
        table.add_column(
            column.heading, justify=column.justify, no_wrap=column.whole, overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(column.cell(row) or _ABSENT) for column in shown))
    notes = [f"* {row.entry.name}: {row.entry.note}" for row in rows if row.entry.note]
    reasons = [
        f"{row.entry.name}: not buildable: {row.entry.not_buildable}"
        for row in rows
        if not row.entry.buildable
    ]
    title = (
        f"{len(rows)} of {len(catalogue())} models of the TF2 zoo. "
        f"ms and AP (of boxes, masks, keypoints): {PUBLISHED}."
    )
    return Group(Text(title, style="bold"), table, Text("\n".join([*notes, *reasons])))


def render_model(row: Row) -> Table:
    """Lay everything known of one model out."""
    from rich.text import Text

    table = _table(header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in _facts(row):
        table.add_row(key, Text(value or _ABSENT))
    return table


@dataclass(frozen=True)
class _Column:
    heading: str
    cell: Callable[[Row], str]  # "": no value
    justify: Literal["left", "right"] = "right"
    whole: bool = True  # never broken, however narrow the terminal
    from_width: int = 0  # of the terminal that it is shown on
    seldom: bool = False  # left out where no row has a value


_COLUMNS = (
    _Column("Model", lambda row: row.entry.name + ("*" if row.entry.note else ""), "left", False),
    _Column("Family", lambda row: row.entry.family, "left", from_width=130),
    _Column("Input", lambda row: _size(row.entry), "left", from_width=100),
    _Column("ms", lambda row: _milliseconds(row.entry.speed_ms)),
    _Column("AP", lambda row: _ap(row.entry.AP)),
    _Column("Mask", lambda row: _ap(row.entry.AP_mask), from_width=90, seldom=True),
    _Column("Kpts", lambda row: _ap(row.entry.AP_keypoint), from_width=90, seldom=True),
    _Column("Params", lambda row: _millions(row.entry.parameters)),
    _Column("Checkpoint", lambda row: _megabytes(row.checkpoint_bytes)),
    _Column("State", lambda row: row.state, "left", whole=False),
)


def _facts(row: Row) -> Iterable[tuple[str, str]]:
    """What is known of a model, by name; "" is what is not."""
    entry, counted = row.entry, row.entry.parameters
    yield "name", entry.name
    yield "title", entry.title
    yield "family", entry.family
    yield "input (height x width)", _size(entry)
    yield "outputs", ", ".join(entry.outputs)
    yield "speed", _published(_milliseconds(entry.speed_ms), " ms")
    yield "AP", _published(_ap(entry.AP), " on COCO 2017 val")
    if "masks" in entry.outputs:
        yield "mask AP", _published(_ap(entry.AP_mask), " on COCO 2017 val")
    if "keypoints" in entry.outputs:
        yield "keypoint AP", _published(_ap(entry.AP_keypoint), " on COCO 2017 val")
    built = counted and f"{counted.count:,} trainable, as built for {counted.classes} classes"
    yield "parameters", built or ""
    yield "tarball", PUBLISHED_AT + entry.path
    yield "state", row.state + (f": {entry.not_buildable}" if entry.not_buildable else "")
    if row.checkpoint is not None:
        yield "checkpoint", f"{row.checkpoint} ({_megabytes(row.checkpoint_bytes)})"
        yield "its config", str(row.place.folder / CONFIG_FILE)
    if entry.note:
        yield "note", entry.note


def _table(header: bool = True) -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_header=header)


def _published(figure: str, unit: str) -> str:
    return f"{figure}{unit}: {PUBLISHED}" if figure else ""


def _size(entry: ZooEntry) -> str:
    return "x".join(map(str, entry.input_size)) if entry.input_size else ""


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _ap(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _millions(parameters: Parameters | None) -> str:
    return "" if parameters is None else f"{parameters.count / 1e6:.2f} M"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f} MB"


def _matches(name: str, pattern: str) -> bool:
    if any(sign in pattern for sign in "*?["):
        return fnmatch.fnmatchcase(name, pattern)
    return pattern in name


def _one_of(option: str, value: str | None, allowed: Iterable[str]) -> None:
    names = list(allowed)
    if value is None or value in names:
        return
    near = difflib.get_close_matches(value, names, n=1)
    raise ConfigError(
        "no such choice",
        where=option,
        value=value,
        allowed=", ".join(names),
        fix=f"did you mean {near[0]}?" if near else None,
    )
