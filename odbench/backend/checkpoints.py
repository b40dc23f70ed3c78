"""Which checkpoints of a training are kept, and where: the last ones, and the best beside them.

A checkpoint is known by its path prefix, such as ``train/ckpt-200``, and consists of every file
whose name goes on from it with a dot.
"""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

from odbench.config.spec import CheckpointChoice
from odbench.errors import RunError
from odbench.results import TrainResult

CHECKPOINT_DIR = "train"
BEST_DIR = "best"  # below it: where the last ones are replaced, the best stays


def checkpoint_files(prefix: Path) -> list[Path]:
    """The files of a checkpoint."""
    return sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.*"))


def keep_best(run_dir: Path, prefix: str) -> str:
    """Keep a checkpoint as the best, in place of the one that was; returns its new prefix.

    The files are linked, so that they take no room twice as long as they are the last ones too.
    """
    source = run_dir / prefix
    folder = source.parent / BEST_DIR
    folder.mkdir(exist_ok=True)
    kept = [_link(path, folder / path.name) for path in checkpoint_files(source)]
    for path in folder.iterdir():
        if path not in kept:
            path.unlink()
    return str((folder / source.name).relative_to(run_dir))


def _link(source: Path, target: Path) -> Path:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
    return target


def chosen_checkpoint(trained: TrainResult, choice: CheckpointChoice) -> str:
    """The checkpoint that is evaluated and exported, relative to the run folder.

    Raises:
        RunError: There is none.
    """
    best = choice is CheckpointChoice.best
    found = trained.best_checkpoint if best else trained.checkpoint
    if found is None:
        raise RunError(
            "the training left no such checkpoint", where="export.checkpoint", value=choice.name
        )
    return found
