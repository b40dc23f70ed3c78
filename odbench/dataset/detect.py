"""``dataset.kind=auto``: which kind of data set a folder or a file holds, by its content."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.coco_source import holds_coco
from odbench.dataset.csv_source import holds_boxes, read_csv
from odbench.dataset.files import source_root
from odbench.dataset.tfrecord_source import is_record
from odbench.errors import DatasetError

_DEPTH = 3  # folders below the root that are looked into: VOCdevkit/VOC2012/Annotations
_FIRST_BYTES = 4096


def detect_kind(spec: DatasetSpec) -> DatasetKind:
    """The kind of the source at ``dataset.dir``.

    Raises:
        DatasetError: There is none or several; what was found is listed.
    """
    root, one = source_root(spec)
    files = [one] if one else _all_files(root)
    found = find_kinds(files)
    if len(found) == 1:
        return next(iter(found))
    if one and one.suffix.lower() == ".json":  # no other kind is: its reader says what is wrong
        return DatasetKind.coco
    listed = ", ".join(f"{kind.value} ({path})" for kind, path in found.items())
    same = _pictures_in_both(files) if set(found) == _TWINS else 0
    fix = "say which: dataset.kind=" + "|".join(kind.value for kind in found or _KINDS)
    place = "file" if one else "folder"
    raise DatasetError(
        f"{'several kinds of' if found else 'no'} annotations in the {place}",
        where="dataset.dir",
        value=(listed or str(spec.dir)) + (f", of the same {same} pictures" if same else ""),
        allowed="XML of Pascal VOC, a CSV of boxes, COCO's JSON, or TFRecords",
        fix=fix + ("; either has all of them" if same else ""),
    )


_TWINS = {DatasetKind.voc, DatasetKind.csv}  # tools write a CSV of the XML beside it


def _pictures_in_both(files: list[Path]) -> int:
    """How many pictures XML and CSV describe, where they are the very same; else 0."""
    named: set[str] = set()
    labelled = {path.stem for path in files if path.suffix.lower() == ".xml"}
    for path in files:
        if path.suffix.lower() in (".csv", ".tsv") and holds_boxes(path):
            try:
                pictures, _ = read_csv(path)
            except DatasetError:  # whoever chooses CSV is told of it
                return 0
            named |= {PurePosixPath(picture.name.replace("\\", "/")).stem for picture in pictures}
    return len(named) if named == labelled else 0


_KINDS = (DatasetKind.voc, DatasetKind.csv, DatasetKind.coco, DatasetKind.tfrecord)


def find_kinds(files: list[Path]) -> dict[DatasetKind, Path]:
    """The kinds that are there, each with the first file that shows it."""
    found: dict[DatasetKind, Path] = {}
    for path in files:
        kind = _kind_of(path, found)
        if kind is not None:
            found[kind] = path
    return found


def _kind_of(path: Path, known: dict[DatasetKind, Path]) -> DatasetKind | None:
    """The kind that a file shows and that is not known yet."""
    suffix = path.suffix.lower()
    if suffix == ".xml" and DatasetKind.voc not in known and _holds_annotation(path):
        return DatasetKind.voc
    if suffix in (".csv", ".tsv") and DatasetKind.csv not in known and holds_boxes(path):
        return DatasetKind.csv
    if suffix == ".json" and DatasetKind.coco not in known and holds_coco(path):
        return DatasetKind.coco
    if DatasetKind.tfrecord not in known and is_record(path):
        return DatasetKind.tfrecord
    return None


def _holds_annotation(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"<annotation" in file.read(_FIRST_BYTES)
    except OSError:
        return False


def _all_files(root: Path) -> list[Path]:
    found: list[Path] = []
    folders = [root]
    for _ in range(_DEPTH + 1):
        entries = [path for folder in folders for path in sorted(folder.iterdir())]
        found += [path for path in entries if path.is_file()]
        folders = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
    return found
