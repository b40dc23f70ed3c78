"""Where training starts: ``train.init`` to the prefix of a checkpoint, without TensorFlow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odbench.config.spec import RunSpec
from odbench.errors import ConfigError, InputError
from odbench.pipeline.architectures import CLASSIFICATION, DETECTION, EXTRACTOR_ATTRIBUTES
from odbench.pipeline.bundle import INDEX, OBJECT_GRAPH, Bundle, read_bundle

SCRATCH = "scratch"
PRETRAINED = "pretrained"

_WHERE = "train.init"
_STATE = "checkpoint"  # TensorFlow's list of the checkpoints in a folder
_TRAIN_DIR = "train"  # of a run folder
_ZOO_DIR = "checkpoint"  # of an unpacked tarball
_RESULTS = (("stages/train.json", "result"), ("record.json", "train"))  # of a run folder
_DATA_FILE = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
_LATEST = re.compile(r'^\s*model_checkpoint_path:\s*"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class StartingPoint:
    """A checkpoint that training starts from, known to be readable."""

    bundle: Bundle
    holds: str  # classification: an image classifier's backbone; detection: a whole detector
    architectures: tuple[str, ...]  # whose detectors it can be

    @property
    def prefix(self) -> Path:
        """Absolute path of the checkpoint, without ``.index``."""
        return self.bundle.prefix

    @property
    def digest(self) -> str:
        """Identity of what is restored, wherever it lies."""
        return self.bundle.digest


def starting_point(spec: RunSpec, fetch: Callable[[str], Path]) -> StartingPoint | None:
    """The checkpoint that a run starts from; None from scratch.

    Args:
        spec: Its model is a resolved one.
        fetch: From the name of a model of the zoo to the prefix of its published checkpoint.

    Raises:
        InputError: No such checkpoint, or one that cannot be read or started from.
    """
    init = spec.train.init
    if init == SCRATCH:
        return None
    if init == PRETRAINED:
        _check_published(spec)
        prefix = fetch(spec.model.name)
    else:
        prefix = find_checkpoint(init)
    return inspect(read_bundle(prefix.absolute()))


def find_checkpoint(text: str) -> Path:
    """The prefix of a checkpoint from what a user has.

    Args:
        text: A prefix such as ``DIR/ckpt-1000``, one of its files, a folder of checkpoints (the
            latest is taken), a run folder (its best, else its last) or an unpacked zoo model.

    Raises:
        ConfigError: None of them is there; it names what was looked for.
    """
    path = Path(text).expanduser().absolute()
    tried: list[str] = []
    for prefix in _candidates(path):
        index = prefix.with_name(prefix.name + INDEX)
        if index.is_file():
            return prefix
        tried.append(str(index))
    if path.is_dir():
        tried.append(f"{path}/*{INDEX}")
    raise ConfigError(
        "no checkpoint is there",
        where=_WHERE,
        value=text,
        allowed="scratch, pretrained, or a path: a checkpoint's prefix, a folder of checkpoints, "
        "a run folder, an unpacked model of the zoo",
        fix="looked for " + ", ".join(dict.fromkeys(tried)),
    )


def inspect(bundle: Bundle) -> StartingPoint:
    """What a checkpoint holds, by the names of its tensors.

    Raises:
        InputError: TensorFlow 1 wrote it, or it is no checkpoint of a detector or a backbone.
    """
    where = str(bundle.prefix)
    if not bundle.object_based:
        raise InputError(
            "a checkpoint of TensorFlow 1, which TensorFlow 2 cannot start from",
            where=where,
            value=_first(bundle),
            fix="take the checkpoint of a TensorFlow 2 model",
        )
    if _has(bundle, "feature_extractor/"):
        return StartingPoint(bundle, CLASSIFICATION, tuple(EXTRACTOR_ATTRIBUTES))
    fits = [name for name, part in EXTRACTOR_ATTRIBUTES.items() if _has(bundle, f"model/{part}/")]
    if not fits:
        raise InputError(
            "neither the checkpoint of a detector nor of a classifier's backbone",
            where=where,
            value=_first(bundle),
            allowed="tensors below model/_feature_extractor or feature_extractor, as training "
            "and the zoo write them",
            fix="a SavedModel's variables are none: take the checkpoint that it was exported from",
        )
    return StartingPoint(bundle, DETECTION, tuple(fits))


def _check_published(spec: RunSpec) -> None:
    if not spec.model.zoo:
        raise ConfigError(
            f"there is no published checkpoint of {spec.model.name}: it is no model of the zoo",
            where=_WHERE,
            value=PRETRAINED,
            allowed=f"{SCRATCH}, or the path of a checkpoint",
            fix="give a checkpoint of your own, or choose a model of the zoo: model=NAME",
        )


def _candidates(path: Path) -> Iterator[Path]:
    """Prefixes that a path can mean, the likeliest first."""
    yield path
    if path.name.endswith(INDEX):
        yield path.with_name(path.name.removesuffix(INDEX))
    if match := _DATA_FILE.fullmatch(path.name):
        yield path.with_name(match[1])
    if path.is_dir():
        yield from _of_run(path)
        yield from _of_folder(path / _TRAIN_DIR)
        yield from _of_folder(path)
        yield from _of_folder(path / _ZOO_DIR)


def _of_run(folder: Path) -> Iterator[Path]:
    """The best checkpoint that a run's results name, then the last."""
    for file, key in _RESULTS:
        try:
            body: Any = json.loads((folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        result = body.get(key) if isinstance(body, dict) else None
        for name in ("best_checkpoint", "checkpoint"):
            if isinstance(result, dict) and isinstance(result.get(name), str):
                yield folder / result[name]


def _of_folder(folder: Path) -> Iterator[Path]:
    """The latest checkpoint by TensorFlow's own list, then by number and time."""
    state = folder / _STATE
    text = state.read_text(encoding="utf-8", errors="replace") if state.is_file() else ""
    if match := _LATEST.search(text):
        yield folder / match[1]
    found = [path for path in folder.glob(f"*{INDEX}") if path.is_file()]
    for path in sorted(found, key=_age, reverse=True):
        yield path.with_name(path.name.removesuffix(INDEX))


def _age(index: Path) -> tuple[int, float]:
    number = re.search(r"-(\d+)$", index.stem)
    return int(number[1]) if number else -1, index.stat().st_mtime


def _has(bundle: Bundle, start: str) -> bool:
    return any(name.startswith(start) for name in bundle.tensors)


def _first(bundle: Bundle) -> str:
    names = [name for name in bundle.tensors if name != OBJECT_GRAPH]
    return "holds " + ", ".join(names[:3])
