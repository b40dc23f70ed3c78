"""Where the files of a Pascal VOC data set lie: devkit trees and flat folders.

A devkit folder has ``Annotations/``, ``JPEGImages/`` and, where it names its splits,
``ImageSets/Main/*.txt``; a ``VOCdevkit`` holds one for each year. A flat folder has pictures and
XML side by side, as labelImg writes them, at its top or in sub-folders named after the splits.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from odbench.dataset.names import Names
from odbench.dataset.picture import SUFFIXES
from odbench.dataset.source import TRAIN, VAL
from odbench.dataset.types import Finding
from odbench.errors import DatasetError

# The first name that is there is taken as the validation split.
_VAL_NAMES = ("val", "valid", "validation", "test")

_SHAPE_HINT = (
    "give a folder of pictures with XML beside them (also in train/ and val/), a folder with "
    "Annotations/ and JPEGImages/, or a VOCdevkit with VOC20xx folders"
)


class PictureFolder:
    """The pictures of one folder, found by the stem of their names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._within = within(folder)
        names = os.listdir(folder)  # noqa: PTH208 - tens of thousands of them
        self._next = 0  # behind those that were asked for last
        self._names = Names(sorted(n for n in names if _stem_and_suffix(n)[1] in SUFFIXES))

    def only(self, annotation: str) -> str | None:
        """The picture of an annotation where it can be told from its name alone."""
        names = self._of_stem(_stem_and_suffix(_last(annotation))[0])
        return self._within + names[0] if len(names) == 1 else None

    def find(self, annotation: str, named: str | None) -> str:
        """The picture of an annotation: of the same stem, else the one that it names.

        Raises:
            DatasetError: There is none, or there are several.
        """
        stem, _ = _stem_and_suffix(_last(annotation))
        same_stem = self._of_stem(stem)
        # Only the last part: files carry the paths of the machine that they were made on.
        name = Path((named or "").replace("\\", "/")).name if len(same_stem) != 1 else ""
        chosen = [other for other in same_stem if other == name] or same_stem
        if not chosen and name:
            chosen = [other for other in self._of_stem(Path(name).stem) if other == name]
        if len(chosen) == 1:
            return self._within + chosen[0]
        raise DatasetError(
            "several pictures for one annotation" if chosen else "picture is missing",
            where=annotation,
            value=", ".join(chosen) or name or stem,
            fix=f"put one picture {stem}.jpg or .png into {self.folder}",
        )

    def pictures(self) -> Iterator[str]:
        """The paths of all pictures, those of one stem together."""
        for name in self._names:
            same_stem = self._of_stem(_stem_and_suffix(name)[0])
            if name == same_stem[0]:
                yield from (self._within + other for other in same_stem)

    def _of_stem(self, stem: str) -> list[str]:
        """The names of a stem, sorted; they lie beside each other, with few others between."""
        begin, found = f"{stem}.", []
        names, at = self._names, self._next  # most are asked for in their order
        if not (at < len(names) and names[at] >= begin and (not at or names[at - 1] < begin)):
            at = bisect_left(names, begin)
        for self._next in range(at, len(names)):
            name = names[self._next]
            if not name.startswith(begin):
                break
            if _stem_and_suffix(name)[0] == stem:
                found.append(name)
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """One annotation and the folder that its picture lies in."""

    annotation: str  # path
    pictures: PictureFolder


class Entries(Sequence[Entry]):
    """The annotations of some folders; of each no more than its name is in memory."""

    def __init__(self) -> None:
        self._folders: list[tuple[str, Names, PictureFolder]] = []
        self._ends: list[int] = []

    def add(self, folder: Path, names: Iterable[str], pictures: PictureFolder) -> None:
        """Add annotations of a folder."""
        packed = Names(names)
        if packed:
            self._folders.append((within(folder), packed, pictures))
            self._ends.append(len(self) + len(packed))

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        """One of them, from 0, or a list of some."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        begin, names, pictures = self._folders[at := bisect_right(self._ends, index)]
        return Entry(begin + names[index - self._ends[at] + len(names)], pictures)

    def __len__(self) -> int:
        """How many there are."""
        return self._ends[-1] if self._ends else 0


@dataclass
class Layout:
    """The annotations of each split, in order, and those that no split was named for."""

    splits: dict[str, Entries] = field(default_factory=lambda: {TRAIN: Entries(), VAL: Entries()})
    pool: Entries = field(default_factory=Entries)
    folders: list[PictureFolder] = field(default_factory=list)  # where every picture counts
    findings: list[Finding] = field(default_factory=list)


def find_layout(root: Path) -> Layout:
    """Look for annotations; no annotation is opened.

    Raises:
        DatasetError: The folder is missing, holds no annotation, or a split list is wrong.
    """
    if not root.is_dir():
        raise DatasetError(
            "no such folder" if not root.exists() else "not a folder",
            where="dataset.dir",
            value=root,
            fix=_SHAPE_HINT,
        )
    layout = Layout()
    devkits = _devkits(root)
    for devkit in devkits:
        _add_devkit(layout, devkit)
    if not devkits:
        _add_flat(layout, _home(root))
    if layout.pool and any(layout.splits.values()):
        raise DatasetError(
            "some folders name their splits and others do not",
            where="dataset.dir",
            value=root,
            fix="put train.txt and val.txt into every ImageSets/Main, or into none",
        )
    if not layout.pool and not any(layout.splits.values()):
        raise DatasetError(
            "no annotated pictures in the folder", where="dataset.dir", value=root, fix=_SHAPE_HINT
        )
    return layout


def _home(root: Path) -> Path:
    """The folder itself; of one without annotations its only sub-folder, such as ``images/``."""
    folders = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")]
    if len(folders) != 1 or _xml_names(root):
        return root
    names_a_split = folders[0].name.lower() in ("train", "trainval", *_VAL_NAMES)
    return root if names_a_split else folders[0]


def _devkits(root: Path) -> list[Path]:
    for candidates in ([root], sorted(root.glob("VOC*")), sorted(root.glob("VOCdevkit/VOC*"))):
        found = [path for path in candidates if (path / "Annotations").is_dir()]
        if found:
            return found
    return []


def _add_devkit(layout: Layout, devkit: Path) -> None:
    folder = devkit / "JPEGImages"
    if not folder.is_dir():
        raise DatasetError(
            "no folder of pictures beside Annotations/", where="dataset.dir", value=folder
        )
    pictures = PictureFolder(folder)
    annotations = devkit / "Annotations"
    lists = devkit / "ImageSets" / "Main"
    chosen = _split_names({path.stem for path in lists.glob("*.txt")})
    if len(chosen) < 2:
        layout.folders.append(pictures)
        layout.pool.add(annotations, _xml_names(annotations), pictures)
        return
    seen: dict[str, Path] = {}
    for split, name in chosen.items():
        path = lists / f"{name}.txt"
        images = _read_list(path, annotations, seen, layout.findings)
        layout.splits[split].add(annotations, (f"{image}.xml" for image in images), pictures)
    layout.findings += _left_out(lists, annotations, set(seen))


def _left_out(lists: Path, annotations: Path, used: set[str]) -> Iterator[Finding]:
    """Annotations that neither list names: counted by the list that does, else one by one."""
    stems = {_stem_and_suffix(name)[0]: name for name in _xml_names(annotations)}
    left = {stem: name for stem, name in stems.items() if stem not in used}
    for name in ("trainval", *_VAL_NAMES):
        path = lists / f"{name}.txt"
        if left and path.is_file():
            named = left.keys() & {line.strip() for line in _lines(path)}
            if named:
                action = "left out: another list is the validation split"
                yield Finding("split_left_out", str(path), f"{len(named)} images", action)
            left = {stem: xml for stem, xml in left.items() if stem not in named}
    for name in left.values():
        yield Finding("outside_the_splits", within(annotations) + name, name, "left out")


def _add_flat(layout: Layout, root: Path) -> None:
    folders = {path.name.lower(): path for path in sorted(filter(Path.is_dir, root.iterdir()))}
    chosen = _split_names({name for name, path in folders.items() if _xml_names(path)})
    for name in _VAL_NAMES:
        if chosen and name in folders and name not in chosen.values():
            left = len(_xml_names(folders[name]))
            action = "left out: another folder is the validation split"
            if left:
                layout.findings.append(
                    Finding("split_left_out", str(folders[name]), f"{left} images", action)
                )
    for split, name in chosen.items():
        pictures = PictureFolder(folders[name])
        layout.folders.append(pictures)
        entries = layout.splits[split] if len(chosen) == 2 else layout.pool
        entries.add(folders[name], _xml_names(folders[name]), pictures)
    top = _xml_names(root)
    if not chosen:
        pictures = PictureFolder(root)
        layout.folders.append(pictures)
        layout.pool.add(root, top, pictures)
    else:
        layout.findings += [
            Finding("outside_the_splits", within(root) + name, name, "left out") for name in top
        ]


def _split_names(names: set[str]) -> dict[str, str]:
    """Which of the names serve as train and val; trainval only where there is no train."""
    train = next((name for name in ("train", "trainval") if name in names), None)
    val = next((name for name in _VAL_NAMES if name in names), None)
    if train == "trainval" and val != "test":
        val = None  # trainval contains val
    found = {TRAIN: train, VAL: val}
    return {split: name for split, name in found.items() if name is not None}


def _read_list(
    path: Path, annotations: Path, seen: dict[str, Path], findings: list[Finding]
) -> Iterator[str]:
    for number, line in enumerate(_lines(path), start=1):
        image, where = line.strip(), f"{path}:{number}"
        if not image:
            continue
        if seen.get(image) == path:
            findings.append(Finding("named_twice", where, image, "used once"))
            continue
        if image in seen:
            raise DatasetError(
                f"image is also in {seen[image].name}: a split must not hold out what it trains on",
                where=where,
                value=image,
                fix="remove it from one of the lists",
            )
        if not (annotations / f"{image}.xml").is_file():
            raise DatasetError(
                "no annotation for the image",
                where=where,
                value=image,
                fix=f"put {image}.xml into {annotations}, or remove the line",
            )
        seen[image] = path
        yield image


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError("cannot read the split list", where=str(path), value=error) from error


def within(folder: Path) -> str:
    """What the path of a file in a folder begins with."""
    text = str(folder)
    return "" if text == "." else os.path.join(text, "")  # noqa: PTH118 - ends with a slash


def _xml_names(folder: Path) -> list[str]:
    names = os.listdir(folder)  # noqa: PTH208 - tens of thousands of them
    return [name for name in sorted(names) if _stem_and_suffix(name)[1] == ".xml"]


def _stem_and_suffix(name: str) -> tuple[str, str]:
    """As a Path has them, the suffix in small letters; none where one of the two is empty."""
    stem, _, suffix = name.rpartition(".")
    return (stem, f".{suffix.lower()}") if stem and suffix else (name, "")


def _last(path: str) -> str:
    return path.rpartition("/")[2]
