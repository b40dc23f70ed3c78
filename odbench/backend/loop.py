"""The training loop that both backends run: steps, losses, checkpoints, evaluations on the way.

Nothing but a step is inside a step's clock. An evaluation is made of the checkpoint of its step,
so whatever interrupts it loses no step.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Protocol

from odbench.backend.course import Course
from odbench.backend.stopping import best_point, has_stalled, is_pruned
from odbench.config.spec import RunSpec
from odbench.events import TRAIN_FROM, EventLog
from odbench.measure.timer import StepSample
from odbench.results import EvalPoint, InferenceResult, LossPoint, Stage, TrainResult

# The twelve COCO numbers of an inference over the validation split, 0..1.
Scorer = Callable[[InferenceResult], dict[str, float | None]]

# With fewer measured steps than this a projection has no interval: early stopping waits for them.
_MIN_MEASURED = 2


class Engine(Protocol):
    """What trains: one model, its optimiser and its input, at some step."""

    def step(self) -> StepSample[Any]:
        """Train one step."""
        ...

    def losses(self, result: Any) -> tuple[float | None, dict[str, float | None]]:
        """Learning rate and losses of a step's result; None: not finite."""
        ...

    def save(self, step: int) -> tuple[float, str]:
        """Write a checkpoint: its seconds, and its prefix relative to the run folder."""
        ...

    def keep_best(self, prefix: str) -> str:
        """Keep a checkpoint as the best one; returns its new prefix."""
        ...

    def evaluate(self, prefix: str) -> InferenceResult:
        """Run a checkpoint over the validation split; the training is not disturbed."""
        ...

    def parameters(self) -> int | None:
        """Number of trainable parameters, after the first step."""
        ...


def train_loop(
    spec: RunSpec, engine: Engine, course: Course, log: EventLog, score: Scorer
) -> TrainResult:
    """Train from where the course stands to the last step, or until it stops early.

    Early stopping only ever follows an evaluation, with at least two measured steps behind it
    (fewer where fewer were asked for). The learning-rate schedule knows nothing of it.

    Args:
        spec: The run.
        engine: Stands at the course's step.
        course: Takes what happens.
        log: Progress, losses and evaluations go there.
        score: Scores an evaluation.

    Raises:
        KeyboardInterrupt: A signal came. The step was finished and a checkpoint written, but for
            the first step of a process, which may take minutes and is given up.
    """
    log.emit(TRAIN_FROM, stage=Stage.train, step=course.step)
    with Hold() as hold:
        _Loop(spec, engine, course, log, score, hold).run()
    return course.result()


class Hold:
    """Signals wait while this is entered: a step is never cut in two.

    One that came is in :attr:`came`, and raises :class:`KeyboardInterrupt` at the end.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.came = False
        self._holding = True
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Hold:
        self._before = {number: signal.signal(number, self._take) for number in self._SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.came and error is None:
            raise KeyboardInterrupt

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let signals through inside, one that waited first of all."""
        if self.came:
            raise KeyboardInterrupt
        self._holding = False
        try:
            yield
        finally:
            self._holding = True

    def _take(self, signum: int, frame: FrameType | None) -> None:
        self.came = True
        if not self._holding:
            raise KeyboardInterrupt


@dataclass
class _Loop:
    """One part of one training."""

    spec: RunSpec
    engine: Engine
    course: Course
    log: EventLog
    score: Scorer
    hold: Hold

    def run(self) -> None:
        """Train; a part that a break left unfinished may lack the evaluation of its last step."""
        self._finish_step()
        while self.course.step < self.spec.num_steps and not self.course.kept.stopped_early:
            self._step()
            if self.hold.came:
                self._save()
                raise KeyboardInterrupt
            self._finish_step()

    def _step(self) -> None:
        course, log = self.course, self.log
        first = course.part_begins
        with self.hold.released() if first else nullcontext():
            sample = self.engine.step()
        course.add_step(sample)
        step = course.step
        if first:
            log.emit("first_step", stage=Stage.train, step=step, first_step_s=sample.total_s)
            course.note(parameters=self.engine.parameters())
        if step in (1, self.spec.num_steps) or step % self.spec.train.loss_every_steps == 0:
            rate, losses = self.engine.losses(sample.result)
            course.add_loss(LossPoint(step, rate, losses))
            log.emit("loss", stage=Stage.train, step=step, learning_rate=rate, losses=losses)
        log.progress(Stage.train, step, self.spec.num_steps, step_s=round(sample.total_s, 6))

    def _finish_step(self) -> None:
        """Checkpoint and evaluate where it is time to."""
        step = self.course.step
        if step == 0:
            return
        if self._due(self.spec.train.eval_every_steps, at_end=True) and not self.course.evaluated:
            self._evaluate()
        elif step == self.spec.num_steps or self._due(
            self.spec.train.checkpoint_every_steps, at_end=False
        ):
            self._save()

    def _due(self, every: int | None, *, at_end: bool) -> bool:
        step = self.course.step
        return every is not None and (step % every == 0 or (at_end and step == self.spec.num_steps))

    def _save(self) -> None:
        """Write a checkpoint of this step, unless there is one."""
        if not self.course.saved:
            self.course.add_checkpoint(*self.engine.save(self.course.step))
            self.course.write()

    def _evaluate(self) -> None:
        course = self.course
        started = time.perf_counter()
        self._save()
        prefix = str(course.kept.checkpoint)
        with self.hold.released():
            metrics = self.score(self.engine.evaluate(prefix))
        point = EvalPoint(course.step, time.perf_counter() - started, metrics, prefix)
        best = best_point([*course.kept.evaluations, point]) is point
        course.add_evaluation(point, self.engine.keep_best(prefix) if best else None)
        self._stop_early()
        course.write()
        self.log.emit(
            "eval_point",
            stage=Stage.train,
            step=point.step,
            total=self.spec.num_steps,
            AP=metrics.get("AP"),
            AP50=metrics.get("AP50"),
            best=best,
            wall_s=round(point.wall_s, 6),
        )

    def _stop_early(self) -> None:
        train, kept = self.spec.train, self.course.kept
        needed = min(_MIN_MEASURED, self.spec.timing.measured_steps)
        if self.course.step >= self.spec.num_steps or len(kept.compute_s) < needed:
            return
        patience, points = train.early_stopping_patience, kept.evaluations
        stalled = patience is not None and has_stalled(
            points, patience, train.early_stopping_min_delta
        )
        if stalled or is_pruned(points, train.prune_below):
            self.course.note(stopped_early=True)
