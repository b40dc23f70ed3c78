"""Our own training loop on the API's building blocks: exactly the steps that were asked for.

The API's ``train_loop`` runs whole blocks of 100 steps, times them with tracing, summaries and
checkpoint writes inside, and need not leave a final checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from object_detection import inputs, model_lib_v2
from object_detection.builders import model_builder, optimizer_builder

from odbench.backend.tfod.session import finite, synchronize
from odbench.config.spec import RunSpec
from odbench.events import EventLog
from odbench.measure.timer import StepSample, Timer
from odbench.results import CheckpointWrite, LossPoint, Stage, TrainResult

CHECKPOINT_DIR = "train"
TOTAL_LOSS = "Loss/total_loss"


@dataclass
class _Trainer:
    """Model, optimiser, input and step function of one run."""

    step: Callable[[Any], dict[str, Any]]
    batches: Iterator[Any]
    learning_rate: Callable[[], Any]
    model: Any
    manager: Any
    global_step: Any


@dataclass
class _Samples:
    """What the loop has seen so far."""

    first_step_s: float = 0.0
    warmup_step_s: list[float] = field(default_factory=list)
    input_wait_s: list[float] = field(default_factory=list)
    compute_s: list[float] = field(default_factory=list)
    checkpoints: list[CheckpointWrite] = field(default_factory=list)
    losses: list[LossPoint] = field(default_factory=list)


def train(
    spec: RunSpec, pipeline: Any, run_dir: Path, seeds: dict[str, int], log: EventLog
) -> TrainResult:
    """Train exactly ``spec.num_steps`` steps and leave a final checkpoint.

    Args:
        spec: The run.
        pipeline: ``TrainEvalPipelineConfig``.
        run_dir: Checkpoints go to ``train/`` below it.
        seeds: What :func:`~odbench.backend.tfod.session.set_seeds` set, for the record.
        log: Progress and losses go there.
    """
    started = time.perf_counter()
    trainer = _build(spec, pipeline, run_dir / CHECKPOINT_DIR)
    synchronize()
    build_s = time.perf_counter() - started
    log.emit("built", stage=Stage.train, build_s=build_s)
    samples = _loop(spec, trainer, log)
    return TrainResult(
        num_steps=int(trainer.global_step.numpy()),
        batch_size=pipeline.train_config.batch_size,
        build_s=build_s,
        restore_s=None,
        first_step_s=samples.first_step_s,
        warmup_step_s=samples.warmup_step_s,
        input_wait_s=samples.input_wait_s,
        compute_s=samples.compute_s,
        checkpoints=samples.checkpoints,
        losses=samples.losses,
        parameters=sum(int(np.prod(v.shape)) for v in trainer.model.trainable_variables),
        checkpoint=str(Path(trainer.manager.latest_checkpoint).relative_to(run_dir)),
        seeds=seeds,
    )


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
        batches=iter(dataset),
        learning_rate=rate if callable(rate) else lambda: rate,
        model=model,
        manager=tf.train.CheckpointManager(checkpoint, str(checkpoint_dir), max_to_keep=2),
        global_step=global_step,
    )


def _loop(spec: RunSpec, trainer: _Trainer, log: EventLog) -> _Samples:
    timer = Timer(synchronize)
    samples = _Samples()
    total = spec.num_steps
    for step in range(1, total + 1):
        sample = timer.step(lambda: next(trainer.batches), trainer.step)
        _keep(spec, samples, step, sample)
        if step == 1:
            log.emit("first_step", stage=Stage.train, first_step_s=sample.total_s)
        if step in (1, total) or step % spec.train.loss_every_steps == 0:
            _read_losses(trainer, samples, step, sample.result, log)
        every = spec.train.checkpoint_every_steps
        if step == total or (every is not None and step % every == 0):
            seconds, _ = timer.call(lambda: trainer.manager.save(checkpoint_number=step))  # noqa: B023
            samples.checkpoints.append(CheckpointWrite(step, seconds))
        log.progress(Stage.train, step, total, step_s=round(sample.total_s, 6))
    return samples


def _keep(spec: RunSpec, samples: _Samples, step: int, sample: StepSample[Any]) -> None:
    """File a step's times: the first step, the warm-up, the measured window, or neither."""
    if step == 1:
        samples.first_step_s = sample.total_s
    elif step <= 1 + spec.timing.warmup_steps:
        samples.warmup_step_s.append(sample.total_s)
    elif len(samples.compute_s) < spec.timing.measured_steps:
        samples.input_wait_s.append(sample.input_wait_s)
        samples.compute_s.append(sample.compute_s)


def _read_losses(
    trainer: _Trainer, samples: _Samples, step: int, losses: dict[str, Any], log: EventLog
) -> None:
    values = {name: finite(value) for name, value in losses.items()}
    rate = finite(trainer.learning_rate())
    samples.losses.append(LossPoint(step, rate, values))
    log.emit("loss", stage=Stage.train, step=step, learning_rate=rate, losses=values)
