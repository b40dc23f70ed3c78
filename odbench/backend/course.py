"""What a training has come to: kept as it goes, written beside each checkpoint, read by a resume.

The state *is* a :class:`~odbench.results.TrainResult`, so a resumed training continues the very
lists of the earlier part, as they were at its last checkpoint: what came after that is trained
again and counted once.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from odbench.backend.checkpoints import CHECKPOINT_DIR, checkpoint_files
from odbench.config.spec import RunSpec
from odbench.errors import RunError
from odbench.measure.timer import StepSample
from odbench.records import write_json
from odbench.results import CheckpointWrite, EvalPoint, LossPoint, TrainPart, TrainResult

PROGRESS_FILE = "progress.json"


def read_course(run_dir: Path) -> TrainResult | None:
    """How far the training in a run folder had come at its last checkpoint; None: not so far.

    Raises:
        RunError: The checkpoint is gone, or what was written beside it cannot be read.
    """
    path = run_dir / CHECKPOINT_DIR / PROGRESS_FILE
    fix = f"remove {path.parent}, to train from the first step again"
    try:
        kept = TypeAdapter(TrainResult).validate_python(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, ValidationError) as error:
        raise RunError(
            "cannot be read, so there is nothing to go on from", where=str(path), fix=fix
        ) from error
    if kept.checkpoint is None or not checkpoint_files(run_dir / kept.checkpoint):
        raise RunError(
            "the checkpoint to go on from is gone",
            where=str(run_dir),
            value=kept.checkpoint,
            fix=fix,
        )
    return kept


class Course:
    """The course of one training, over all its parts.

    Args:
        spec: The run.
        run_dir: Its folder; an earlier part is looked for in it.
    """

    def __init__(self, spec: RunSpec, run_dir: Path) -> None:
        self._timing = spec.timing
        self._file = run_dir / CHECKPOINT_DIR / PROGRESS_FILE
        self._began = time.perf_counter()
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._part: TrainPart | None = None
        self._setup: dict[str, Any] = {}
        earlier = read_course(run_dir)
        self.resumed = earlier is not None
        self.kept = earlier or _nothing(spec.train.batch_size)
        # The input begins anew in every part: with the first one's seed it would be the same again.
        self.seed = (spec.seed + self.kept.num_steps) % 2**31

    @property
    def step(self) -> int:
        """Steps trained so far; 0 before the first."""
        return self.kept.num_steps

    @property
    def part_begins(self) -> bool:
        """Whether the next step is the first one of this process."""
        return self._part is None

    @property
    def saved(self) -> bool:
        """Whether there is a checkpoint of the step that the training has come to."""
        writes = self.kept.checkpoints
        return bool(writes) and writes[-1].step == self.step

    @property
    def evaluated(self) -> bool:
        """Whether the step that the training has come to was evaluated."""
        points = self.kept.evaluations
        return bool(points) and points[-1].step == self.step

    def set_up(self, *, build_s: float, restore_s: float | None, **facts: Any) -> None:
        """Take note of what was built.

        Args:
            build_s: Seconds.
            restore_s: Seconds; None: nothing was restored.
            facts: Other fields of :class:`TrainResult`, taken over in the first part alone.
        """
        self._setup = {"build_s": build_s, "restore_s": restore_s}
        if not self.resumed:
            self.kept = replace(self.kept, **self._setup, **facts)

    def add_step(self, sample: StepSample[Any]) -> None:
        """File a step's times: the first step, the warm-up, the measured window, or neither."""
        step = self.step + 1
        part = self._part or self._new_part(step, sample.total_s)
        number = step - part.first_step  # 0 is the one that traces
        if 0 < number <= self._timing.warmup_steps:
            if not self.resumed:
                self.kept.warmup_step_s.append(sample.total_s)
        elif number > 0 and len(self.kept.compute_s) < self._timing.measured_steps:
            self.kept.input_wait_s.append(sample.input_wait_s)
            self.kept.compute_s.append(sample.compute_s)
            first = part.first_measured or step
            part = replace(part, first_measured=first, last_measured=step)
        self._part = replace(part, last_step=step)
        self.kept = replace(self.kept, num_steps=step)

    def _new_part(self, step: int, first_step_s: float) -> TrainPart:
        if not self.resumed:
            self.kept = replace(self.kept, first_step_s=first_step_s)
        return TrainPart(
            first_step=step,
            last_step=step,
            started_at=self._started_at,
            wall_s=0.0,
            first_step_s=first_step_s,
            seed=self.seed,
            **self._setup,
        )

    def add_loss(self, point: LossPoint) -> None:
        """Take the losses of a step."""
        self.kept.losses.append(point)

    def add_checkpoint(self, write_s: float, prefix: str) -> None:
        """Take a checkpoint of this step, given by its path relative to the run folder."""
        self.kept.checkpoints.append(CheckpointWrite(self.step, write_s))
        self.kept = replace(self.kept, checkpoint=prefix)

    def add_evaluation(self, point: EvalPoint, kept_best: str | None) -> None:
        """Take an evaluation; ``kept_best`` is where its checkpoint is kept if it is the best."""
        self.kept.evaluations.append(point)
        if kept_best is not None:
            self.kept = replace(self.kept, best_checkpoint=kept_best)

    def note(self, **facts: Any) -> None:
        """Set other fields of the result."""
        self.kept = replace(self.kept, **facts)

    def write(self) -> None:
        """Write all of it atomically; a resume goes on from what was written last."""
        write_json(self._file, TypeAdapter(TrainResult).dump_python(self.result(), mode="json"))

    def result(self) -> TrainResult:
        """The training as it stands."""
        if self._part is None:
            return self.kept
        part = replace(self._part, wall_s=time.perf_counter() - self._began)
        return replace(self.kept, parts=[*self.kept.parts, part])


def _nothing(batch_size: int) -> TrainResult:
    """A training of no steps."""
    return TrainResult(
        num_steps=0,
        batch_size=batch_size,
        build_s=0.0,
        restore_s=None,
        first_step_s=0.0,
        warmup_step_s=[],
        input_wait_s=[],
        compute_s=[],
        checkpoints=[],
        losses=[],
        parameters=None,
        checkpoint=None,
    )
