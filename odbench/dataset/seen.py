"""Sources that were surveyed before and have not changed since: their hash, without reading them.

What is remembered is the state of every file of a source: path, inode, size, and both times, of
its content and of its inode, the latter of which nobody can set back. A source that was written
to a moment ago is not remembered, since a further write could leave the same times.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISDIR

import odbench
from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.plan import CONVERSION_VERSION, Plan
from odbench.records import write_json

SETTLED_S = 2.0  # coarser than the clocks of file systems

_NOT_ASKED = ("workers", "strict", "shapes", "name")  # what changes no converted byte


@dataclass(frozen=True)
class State:
    """The files of a source as they are now."""

    key: str  # of these files and of what is asked
    settled: bool  # none of them was written to just now


def source_state(spec: DatasetSpec) -> State | None:
    """Look at the files of a source without opening them; None where it has none."""
    if spec.kind is DatasetKind.shapes or spec.dir is None:
        return None
    asked = {key: value for key, value in asdict(spec).items() if key not in _NOT_ASKED}
    asked |= {"kind": spec.kind.value, "cwd": str(Path.cwd())}
    asked |= {"conversion": CONVERSION_VERSION, "odbench": odbench.__version__}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    newest, now = 0, time.time_ns()
    root = Path(spec.dir).expanduser()
    images = [] if spec.images_dir is None else [root / Path(spec.images_dir).expanduser()]
    given = [Path(name).expanduser() for name in (spec.split_file, spec.label_map) if name]
    given += [root / name for name in spec.annotations.values()]
    # a source that is one file has its pictures beside it
    for top in [root.parent if root.is_file() else root, *images, *given]:
        for path, stat in _files(top):
            times = (stat.st_mtime_ns, stat.st_ctime_ns)
            line = f"{path}\0{stat.st_ino} {stat.st_size} {times}\n"
            digest.update(os.fsencode(line))
            newest = max(newest, *times)
    return State(digest.hexdigest(), newest < now - SETTLED_S * 1e9)


class Seen:
    """The hashes that are remembered, one small file for each state of a source."""

    def __init__(self, cache_dir: Path) -> None:
        self._folder = cache_dir.expanduser().absolute() / "seen"

    def recall(self, state: State | None) -> str | None:
        """The hash of the data set that a source in this state gives."""
        if state is None or not state.settled:
            return None
        try:
            known = json.loads(self._path(state).read_bytes())["hash"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return known if isinstance(known, str) else None

    def remember(self, state: State | None, plan: Plan) -> None:
        """Keep the hash, unless a picture lies where :func:`source_state` does not look."""
        if state is None or not state.settled or not _all_inside(plan):
            return
        with contextlib.suppress(OSError):  # then it is surveyed again
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(self._path(state), {"hash": plan.hash})

    def _path(self, state: State) -> Path:
        return self._folder / f"{state.key[:32]}.json"


def _all_inside(plan: Plan) -> bool:
    keys = plan.survey.catalogue or ()
    return bool(keys) and not any(key.startswith("/") or ".." in key.split("/") for key in keys)


def _files(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below a folder, or that file, in a fixed order; links are followed once."""
    if top.is_file():
        yield str(top), top.stat()
        return
    entered: set[tuple[int, int]] = set()
    folders = [str(top)]
    while folders:
        folder = folders.pop()
        try:
            stat = os.stat(folder)  # noqa: PTH116
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone: there may be many
        except OSError:  # the survey says what is wrong with it
            continue
        if (stat.st_dev, stat.st_ino) in entered:
            continue
        entered.add((stat.st_dev, stat.st_ino))
        yield folder, stat
        below = []
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            with contextlib.suppress(OSError):  # a dangling link
                stat = os.stat(path)  # noqa: PTH116
                if S_ISDIR(stat.st_mode):
                    below.append(path)
                else:
                    yield path, stat
        folders += reversed(below)
