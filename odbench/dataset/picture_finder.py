"""Where the picture lies that an annotation file names."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath

from odbench.dataset.files import split_word
from odbench.dataset.picture import SUFFIXES
from odbench.errors import DatasetError


class PictureFinder:
    """Finds the pictures of one annotation file.

    Looked at in turn: beside the file, in ``images/`` and in a folder of its split's name; the
    same beside its folder; then anywhere in the data set where the name is there once.

    Args:
        annotation: The file that names pictures.
        root: Folder of the data set.
        images_dir: The only folder to look into, relative to ``root``; None: as above.
    """

    def __init__(self, annotation: Path, root: Path, images_dir: str | None = None) -> None:
        self._root = root
        self._annotation = annotation
        self._only = None if images_dir is None else root / Path(images_dir).expanduser()
        self._folders = [self._only] if self._only else self._near()
        if self._only is not None and not self._only.is_dir():
            raise DatasetError("no such folder", where="dataset.images_dir", value=self._only)

    def find(self, name: str, where: str) -> Path:
        """The file of a picture.

        Args:
            name: As the annotation has it; a path of another machine counts by its last part.
            where: File and line of the annotation.

        Raises:
            DatasetError: It is not there, or several pictures have the name.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        parts = [str(wanted), wanted.name] if len(wanted.parts) > 1 else [wanted.name]
        if "\0" in name or not wanted.name:
            raise _not_found("not a name of a picture", where, name, self._folders)
        try:
            for part in parts:
                for folder in self._folders:
                    if (folder / part).is_file():
                        return folder / part
        except (OSError, ValueError):  # a name that no file can have
            raise _not_found("picture is missing", where, name, self._folders) from None
        found = [] if self._only else self._everywhere.get(wanted.name, [])
        if len(found) == 1:
            return found[0]
        what = "several pictures have this name" if found else "picture is missing"
        raise _not_found(what, where, name, found or self._folders)

    def _near(self) -> list[Path]:
        word = split_word(self._annotation, self._root)
        homes = [self._annotation.parent]
        if homes[0] != self._root and homes[0].is_relative_to(self._root):
            homes.append(homes[0].parent)
        return [
            folder
            for home in homes
            for name in ("", "images", *((word, f"images/{word}") if word else ()))
            if (folder := home / name).is_dir()
        ]

    @cached_property
    def _everywhere(self) -> dict[str, list[Path]]:
        index: dict[str, list[Path]] = {}
        for path in sorted(self._root.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                index.setdefault(path.name, []).append(path)
        return index


def _not_found(what: str, where: str, name: str, places: list[Path]) -> DatasetError:
    return DatasetError(
        what,
        where=where,
        value=repr(name),
        allowed="looked in " + ", ".join(map(str, places[:6])),
        fix="put the whole file there, or name its folder: dataset.images_dir=PATH",
    )
