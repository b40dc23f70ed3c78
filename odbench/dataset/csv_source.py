"""CSV files of boxes, one box a row.

Two styles: with a header (``filename,width,height,class,xmin,ymin,xmax,ymax`` in any order, the
size may be missing), and without one (``path,x1,y1,x2,y2,class``, as keras-retinanet reads it,
where empty fields make a picture without boxes). Rows of one picture need not be neighbours.
"""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern

from odbench.config.dataset_spec import CSV_FIELDS, DatasetSpec
from odbench.dataset.annotated import AnnotatedPicture, AnnotatedSource
from odbench.dataset.files import SplitFiles, files_by_split, named_files, source_root
from odbench.dataset.going_on import one_of_many
from odbench.dataset.types import Box, Finding
from odbench.errors import DatasetError

DELIMITERS = (",", ";", "\t")

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+\Z")

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_REQUIRED = ("filename", "class", *_CORNERS)
_NO_HEADER = {"filename": 0, "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4, "class": 5}


@dataclass
class CsvPicture:
    """The rows of one picture."""

    name: str
    where: str  # file and line of its first row
    size: tuple[int, int] | None = None  # (width, height) as the rows have it
    # Of each box; as columns, since those of a whole file are in memory.
    labels: list[str] = field(default_factory=list)
    corners: array[float] = field(default_factory=lambda: array("d"))  # four of each
    lines: array[int] = field(default_factory=lambda: array("Q"))

    @property
    def objects(self) -> list[tuple[Box, str]]:
        """Each box, and its file and line."""
        path, _, _ = self.where.rpartition(":")
        sides = iter(self.corners)
        return [
            (Box(label, *corners), f"{path}:{line}")
            for label, line, *corners in zip(
                self.labels, self.lines, sides, sides, sides, sides, strict=True
            )
        ]


class CsvSource(AnnotatedSource):
    """CSV files and the pictures that they name."""

    kind = "csv"

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__(spec)
        self._columns = dict(spec.csv_columns)

    def files(self) -> SplitFiles:
        """The CSV files of the source."""
        root, one = source_root(self._spec)
        if one is not None:
            return SplitFiles(pool=[one])
        return named_files(self._spec, root) or files_by_split(
            find_csv_files(root, self._columns), root
        )

    def read(self, path: Path, findings: list[Finding]) -> Iterator[AnnotatedPicture]:
        """The pictures that one file names, in its order."""
        pictures, found = read_csv(path, self._columns)
        findings += found
        for picture in pictures:
            yield AnnotatedPicture(picture.name, picture.where, picture.size, picture.objects)


def find_csv_files(root: Path, columns: Mapping[str, str]) -> list[Path]:
    """The CSV files at the top of a folder, or one below, that hold boxes by their first row.

    Raises:
        DatasetError: There is none.
    """
    files = [path for path in sorted(_candidates(root)) if holds_boxes(path, columns)]
    if not files:
        raise DatasetError(
            "no CSV file of boxes in the folder",
            where="dataset.dir",
            value=root,
            allowed=f"a header with {', '.join(_REQUIRED)}, or rows of path,x1,y1,x2,y2,class",
            fix="name other columns: dataset.csv_columns={filename: NAME, class: NAME}",
        )
    return files


def holds_boxes(path: Path, columns: Mapping[str, str] | None = None) -> bool:
    """Whether the first row of a file looks like boxes."""
    try:
        with path.open("rb") as file:
            text = _decode(file.read(1 << 16), path, cut=True)
        rows = _rows(text, path)
        _, first = next(rows, (0, []))
    except (OSError, DatasetError):
        return False
    if columns and set(columns.values()) <= {cell.strip() for cell in first}:
        return True
    return _positions(first, columns or {}) is not None or _is_bare(first)


def read_csv(
    path: Path, columns: Mapping[str, str] | None = None
) -> tuple[list[CsvPicture], list[Finding]]:
    """The pictures of a file in the order of their first rows.

    Args:
        path: UTF-8, with or without a byte-order mark; delimiter comma, semicolon or tab.
        columns: Names of columns that are not called as usual.

    Raises:
        DatasetError: The file cannot be read, lacks a column, or a row is not a box; with line.
    """
    try:
        text = _decode(path.read_bytes(), path)
    except OSError as error:
        raise DatasetError(f"cannot read the CSV: {error.strerror}", where=str(path)) from error
    rows = _rows(text, path)
    number, first = next(rows, (1, []))
    if not first:
        raise DatasetError("empty CSV file", where=str(path))
    positions = _positions(first, columns or {})
    pictures: dict[str, CsvPicture] = {}
    findings: list[Finding] = []
    if positions is None:
        positions = _bare_positions(first, columns or {}, f"{path}:{number}")
        _add_row(pictures, first, positions, f"{path}:{number}", findings)
    for line, row in rows:
        with one_of_many():
            _add_row(pictures, row, positions, f"{path}:{line}", findings)
    if not pictures:
        raise DatasetError("CSV file without a row of a picture", where=str(path))
    return list(pictures.values()), findings


def _rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields; empty lines are passed over."""
    head = next((line for line in _lines(text) if line.strip()), "")
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.reader(_lines(text), delimiter=delimiter, strict=True)
    try:
        before = 0
        for row in reader:
            line, before = before + 1, reader.line_num
            if any(cell.strip() for cell in row):
                yield line, [cell.strip() for cell in row]
    except csv.Error as error:
        raise DatasetError("not CSV", where=f"{path}:{reader.line_num}", value=error) from error


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends, without a second copy of the whole text."""
    return (found.group() for found in _LINE.finditer(text))


def _positions(header: list[str], columns: Mapping[str, str]) -> dict[str, int] | None:
    """Column of each field; None where the row is not a header that has what is needed."""
    names = [cell if columns else cell.lower() for cell in header]
    found = {}
    for name in CSV_FIELDS:
        wanted = columns.get(name, name)
        if wanted in names:
            found[name] = names.index(wanted)
        elif wanted in (lowered := [cell.lower() for cell in header]):
            found[name] = lowered.index(wanted)
    return found if all(name in found for name in _REQUIRED) else None


def _bare_positions(row: list[str], columns: Mapping[str, str], where: str) -> dict[str, int]:
    if _is_bare(row) and not columns:
        return _NO_HEADER
    missing = [columns.get(name, name) for name in _REQUIRED]
    raise DatasetError(
        "neither a header with the columns that are needed nor a row without one",
        where=where,
        value=", ".join(row)[:200],
        allowed=f"{', '.join(missing)}; or path,x1,y1,x2,y2,class",
        fix="name the columns: dataset.csv_columns={filename: NAME, class: NAME}",
    )


def _is_bare(row: list[str]) -> bool:
    if len(row) != len(_NO_HEADER) or not row[0]:
        return False
    return not any(row[1:]) or all(_is_number(cell) for cell in row[1:5])


def _add_row(
    pictures: dict[str, CsvPicture],
    row: list[str],
    positions: Mapping[str, int],
    where: str,
    findings: list[Finding],
) -> None:
    cells = {name: row[at] if at < len(row) else "" for name, at in positions.items()}
    name = cells["filename"]
    if not name:
        raise DatasetError("row without the name of a picture", where=where, value=row)
    picture = pictures.setdefault(name, CsvPicture(name, where))
    size = _size(cells, where)
    if size is not None and picture.size is not None and size != picture.size:
        value = "{}x{}, {}x{} before".format(*size, *picture.size)
        findings.append(Finding("size_contradiction", where, value, "took the first"))
    picture.size = picture.size or size
    if not any(cells[key] for key in ("class", *_CORNERS)):
        return  # a picture without boxes
    if not cells["class"]:
        raise DatasetError(
            "box without a class name", where=where, fix="name the class, or remove the row"
        )
    corners = [_number(cells[side], side, where) for side in _CORNERS]
    picture.labels.append(intern(cells["class"]))
    picture.corners.extend(corners)
    picture.lines.append(int(where.rpartition(":")[2]))


def _size(cells: Mapping[str, str], where: str) -> tuple[int, int] | None:
    if not (cells.get("width") and cells.get("height")):
        return None
    width, height = (_number(cells[side], side, where) for side in ("width", "height"))
    return int(width), int(height)


def _number(text: str, field_name: str, where: str) -> float:
    if not _is_number(text):
        raise DatasetError(
            f"{field_name} is not a number",
            where=where,
            value=repr(text),
            allowed="a number of pixels",
        )
    return float(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _decode(data: bytes, path: Path, cut: bool = False) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if cut and error.start > len(data) - 4:  # a character that the cut went through
            return data[: error.start].decode("utf-8-sig")
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            "the CSV is not UTF-8", where=f"{path}:{line}", value=data[error.start : error.end]
        ) from error


def _candidates(root: Path) -> Iterator[Path]:
    for path in [*root.glob("*"), *root.glob("*/*")]:
        if path.suffix.lower() in (".csv", ".tsv") and path.is_file():
            yield path
