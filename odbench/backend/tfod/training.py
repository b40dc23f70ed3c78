"""Our own training on the API's building blocks: exactly the steps that were asked for.

The API's ``train_loop`` runs whole blocks of 100 steps, times them with tracing, summaries and
checkpoint writes inside, and need not leave a final checkpoint. Our loop is
:func:`odbench.backend.loop.train_loop`; here is what it drives.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from object_detection import inputs, model_lib_v2
from object_detection.builders import model_builder, optimizer_builder

from odbench.backend import Job
from odbench.backend.checkpoints import BEST_DIR, CHECKPOINT_DIR, keep_best
from odbench.backend.course import Course
from odbench.backend.loop import Scorer, train_loop
from odbench.backend.tfod import restoring
from odbench.backend.tfod.inference import Evaluator
from odbench.backend.tfod.session import finite, synchronize
from odbench.config.spec import RunSpec
from odbench.events import EventLog
from odbench.measure.timer import StepSample, Timer
from odbench.results import InferenceResult, Stage, TrainResult

TOTAL_LOSS = "Loss/total_loss"

# Last checkpoints that are kept: two, since one may be cut off by a kill.
_KEPT = 2


@dataclass
class _Trainer:
    """Model, optimiser, input and step function of one run."""

    step: Callable[[Any], dict[str, Any]]
    dataset: Any
    batches: Iterator[Any]
    learning_rate: Callable[[], Any]
    model: Any
    manager: Any
    global_step: Any


def train(
    job: Job, pipeline: Any, seeds: dict[str, int], log: EventLog, score: Scorer
) -> TrainResult:
    """Train to ``num_steps`` of the run, from its last checkpoint where there is one.

    The model, the optimiser and the global step go on from there. The input begins anew, with
    another seed: what ``tf.data`` had shuffled and prefetched is not in a checkpoint, so a
    resumed training sees its pictures in another order than one without a break.

    Args:
        job: The run; checkpoints go to ``train/`` below its folder.
        pipeline: ``TrainEvalPipelineConfig``.
        seeds: What :func:`~odbench.backend.tfod.session.set_seeds` set, for the record.
        log: Progress, losses and evaluations go there.
        score: Scores the evaluations on the way.
    """
    course = Course(job.spec, job.run_dir)
    if course.resumed:
        tf.random.set_seed(course.seed)
    started = time.perf_counter()
    trainer = _build(job.spec, pipeline, job.run_dir / CHECKPOINT_DIR)
    synchronize()
    build_s = time.perf_counter() - started
    log.emit("built", stage=Stage.train, build_s=build_s)
    engine = _Engine(job, pipeline, trainer)
    if course.kept.checkpoint:
        course.set_up(build_s=build_s, restore_s=engine.go_on_from(course.kept.checkpoint))
    else:
        start = restoring.restore(trainer.model, pipeline.train_config, trainer.dataset, log)
        course.set_up(
            build_s=build_s,
            restore_s=start.restore_s if start else None,
            batch_size=pipeline.train_config.batch_size,
            seeds=seeds,
            restored_from=job.spec.train.init if start else None,
            restored_variables=start.variables if start else None,
        )
    return train_loop(job.spec, engine, course, log, score)


def _build(spec: RunSpec, pipeline: Any, checkpoint_dir: Path) -> _Trainer:
    config = pipeline.train_config
    model = model_builder.build(pipeline.model, is_training=True, add_summaries=False)
    dataset = inputs.train_input(
        train_config=config,
        train_input_config=pipeline.train_input_reader,
        model_config=pipeline.model,
        model=model,
    ).repeat()
    global_step = tf.Variable(0, trainable=False, dtype=tf.int64, name="global_step")
    optimizer, (rate,) = optimizer_builder.build(config.optimizer, global_step=global_step)

    def step(batch: Any) -> dict[str, Any]:
        features, labels = batch
        losses: dict[str, Any] = model_lib_v2.eager_train_step(
            model,
            features,
            labels,
            config.unpad_groundtruth_tensors,
            optimizer,
            training_step=global_step,
            add_regularization_loss=config.add_regularization_loss,
            clip_gradients_value=config.gradient_clipping_by_norm or None,
        )
        global_step.assign_add(1)
        return losses

    checkpoint = tf.train.Checkpoint(step=global_step, model=model, optimizer=optimizer)
    return _Trainer(
        step=tf.function(step, jit_compile=spec.runtime.xla or None),
        dataset=dataset,
        batches=iter(dataset),
        learning_rate=rate if callable(rate) else lambda: rate,
        model=model,
        manager=tf.train.CheckpointManager(checkpoint, str(checkpoint_dir), max_to_keep=_KEPT),
        global_step=global_step,
    )


class _Engine:
    """A trainer as :func:`~odbench.backend.loop.train_loop` drives it."""

    def __init__(self, job: Job, pipeline: Any, trainer: _Trainer) -> None:
        self._job = job
        self._pipeline = pipeline
        self._trainer = trainer
        self._timer = Timer(synchronize)
        self._evaluator: Evaluator | None = None
        self._restored: Any = None

    def go_on_from(self, checkpoint: str) -> float:
        """Restore a checkpoint of this run; seconds.

        Most variables do not exist yet: they get their values as the first step creates them.
        """
        seconds, self._restored = self._timer.call(
            lambda: self._trainer.manager.checkpoint.restore(str(self._job.run_dir / checkpoint))
        )
        return seconds

    def step(self) -> StepSample[Any]:
        sample = self._timer.step(lambda: next(self._trainer.batches), self._trainer.step)
        if self._restored is not None:
            self._restored.assert_consumed()  # every value of the checkpoint found its variable
            self._restored = None
        return sample

    def losses(self, result: Any) -> tuple[float | None, dict[str, float | None]]:
        rate = finite(self._trainer.learning_rate())
        return rate, {name: finite(value) for name, value in result.items()}

    def save(self, step: int) -> tuple[float, str]:
        seconds, path = self._timer.call(lambda: self._trainer.manager.save(checkpoint_number=step))
        return seconds, str(Path(path).relative_to(self._job.run_dir))

    def keep_best(self, prefix: str) -> str:
        best = keep_best(self._job.run_dir, prefix)
        folder = self._job.run_dir / CHECKPOINT_DIR / BEST_DIR
        # the API's exporter finds a checkpoint by this file alone; a bare name lets it be moved
        tf.compat.v1.train.update_checkpoint_state(str(folder), Path(best).name)
        return best

    def evaluate(self, prefix: str) -> InferenceResult:
        with _undisturbed():
            if self._evaluator is None:
                split = self._job.dataset.splits["val"]
                self._evaluator = Evaluator(self._job.spec, self._pipeline, split)
            return self._evaluator.run(str(self._job.run_dir / prefix))

    def parameters(self) -> int:
        return sum(int(np.prod(v.shape)) for v in self._trainer.model.trainable_variables)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave behind what a training reads from the process as it was.

    The model of an evaluation is another one, with variables of its own. TensorFlow's own random
    numbers are drawn by what the first step has traced and seeded; nothing draws them outside.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        tf.keras.backend.set_learning_phase(True)
