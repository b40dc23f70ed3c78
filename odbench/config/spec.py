"""``RunSpec``: everything that one run is told, as typed dataclasses.

Hydra composes it from ``conf/`` and the command line; these classes are its schema, so a wrong
key, type or choice fails while composing. ``__post_init__`` only checks ranges and combinations,
and raises :class:`~odbench.errors.ConfigError` with the full configuration path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from omegaconf import MISSING

from odbench.config.checks import check
from odbench.config.dataset_spec import DatasetSpec
from odbench.errors import ConfigError


class BackendName(Enum):
    """Which engine carries out a run."""

    tfod = "tfod"
    replay = "replay"


class ScoringEngine(Enum):
    """Which implementation of COCO's evaluation scores the detections."""

    pycocotools = "pycocotools"
    faster_coco_eval = "faster_coco_eval"


class CheckpointChoice(Enum):
    """Which checkpoint of a training is evaluated and exported."""

    last = "last"
    best = "best"  # by AP of the evaluations on the way, train.eval_every_steps


class ReplayFault(Enum):
    """What the replay backend does wrong, on demand; ``ignore`` hangs and ignores signals."""

    none = "none"
    fail = "fail"
    oom = "oom"
    hang = "hang"
    ignore = "ignore"
    kill = "kill"


@dataclass
class ModelSpec:
    """A detection model, as the fields of ``TrainEvalPipelineConfig``."""

    name: str = MISSING  # zoo name, without what follows from _coco17 on
    family: str = MISSING  # ssd, ssd_fpn, efficientdet, faster_rcnn, mask_rcnn, centernet
    zoo: bool = True  # false: not a model of the published TF2 zoo
    composed_from: str | None = None  # nearest sibling, where no configuration was published
    path: str | None = None  # of a pipeline.config; model=from_pipeline alone
    pipeline: dict[str, Any] = field(default_factory=dict)  # protobuf JSON mapping, snake_case


@dataclass
class TrainSpec:
    """The train stage."""

    batch_size: int = 8  # images per step
    num_steps: int | None = None  # null: first step + timing.warmup_steps + timing.measured_steps
    # scratch: random weights; pretrained: the zoo's checkpoint of the model; else a path: a
    # checkpoint prefix, a folder of checkpoints, or a run folder
    init: str = "scratch"
    checkpoint_every_steps: int | None = None  # null: only the final checkpoint
    eval_every_steps: int | None = None  # evaluate and checkpoint on the way; null: never
    early_stopping_patience: int | None = None  # evaluations without a better AP; null: never stop
    early_stopping_min_delta: float = 0.0  # AP, 0..1, by which an evaluation must be better
    # APs, 0..1: the training ends after its k-th evaluation on the way if that is below the k-th of
    # these; a search sets them; null: never
    prune_below: list[float] | None = None
    loss_every_steps: int = 20  # how often the losses are read and logged

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self.batch_size >= 1, "train.batch_size", self.batch_size, "an integer >= 1")
        steps = self.num_steps
        check(steps is None or steps >= 1, "train.num_steps", steps, ">= 1, or null")
        every = self.checkpoint_every_steps
        check(every is None or every >= 1, "train.checkpoint_every_steps", every, ">= 1, or null")
        check(self.loss_every_steps >= 1, "train.loss_every_steps", self.loss_every_steps, ">= 1")
        check(bool(self.init.strip()), "train.init", self.init, "scratch, pretrained, or a path")
        every = self.eval_every_steps
        check(every is None or every >= 1, "train.eval_every_steps", every, ">= 1, or null")
        patience = self.early_stopping_patience
        path = "train.early_stopping_patience"
        check(patience is None or patience >= 1, path, patience, ">= 1, or null")
        check(
            patience is None or every is not None,
            path,
            patience,
            "null where train.eval_every_steps is null",
            fix="set train.eval_every_steps too",
        )
        check(
            self.prune_below is None or every is not None,
            "train.prune_below",
            self.prune_below,
            "null where train.eval_every_steps is null",
            fix="set train.eval_every_steps too",
        )
        delta = self.early_stopping_min_delta
        check(0 <= delta < 1, "train.early_stopping_min_delta", delta, "0 <= x < 1")


@dataclass
class OptimizerSpec:
    """What is changed in the model's published optimiser."""

    learning_rate: float | None = None  # null: the published one, scaled to the batch size
    scale_to_batch: bool = True  # linear scaling rule, Goyal et al. 2017, arXiv:1706.02677
    scale_schedule: bool = True  # stretch decay and warm-up to train.num_steps

    def __post_init__(self) -> None:
        """Check the ranges."""
        rate = self.learning_rate
        check(rate is None or rate > 0, "optimizer.learning_rate", rate, "> 0, or null")


@dataclass
class AugmentationSpec:
    """What is changed in the model's published data augmentation."""

    # null: as published; else the list of train_config.data_augmentation_options
    options: list[dict[str, Any]] | None = None


@dataclass
class EvalSpec:
    """The eval stage."""

    enabled: bool = True
    batch_size: int | None = None  # images per inference batch; null: train.batch_size
    engine: ScoringEngine = ScoringEngine.pycocotools
    score_threshold: float = 0.0  # detections below it are not kept
    gallery_images: int = 6  # evaluation pictures kept with their boxes drawn

    def __post_init__(self) -> None:
        """Check the ranges."""
        size = self.batch_size
        check(size is None or size >= 1, "eval.batch_size", size, ">= 1, or null")
        check(
            0 <= self.score_threshold < 1,
            "eval.score_threshold",
            self.score_threshold,
            "0 <= x < 1",
        )
        check(0 <= self.gallery_images <= 64, "eval.gallery_images", self.gallery_images, "0..64")


@dataclass
class ExportSpec:
    """The export stage."""

    enabled: bool = True
    # What is exported is what the eval stage evaluated: AP and latency belong to one model.
    checkpoint: CheckpointChoice = CheckpointChoice.last


@dataclass
class TimingSpec:
    """The protocol by which times are taken."""

    warmup_steps: int = 10  # train steps after the first one, before the measured ones
    measured_steps: int = 1000  # train steps whose times are kept; 1000 need no projection
    latency_enabled: bool = True
    latency_warmup: int = 10  # calls of the exported model before the measured ones
    latency_samples: int = 100  # measured calls; p99 needs 100

    def __post_init__(self) -> None:
        """Check the ranges."""
        path = "timing"
        check(self.warmup_steps >= 0, f"{path}.warmup_steps", self.warmup_steps, ">= 0")
        check(self.measured_steps >= 1, f"{path}.measured_steps", self.measured_steps, ">= 1")
        check(self.latency_warmup >= 1, f"{path}.latency_warmup", self.latency_warmup, ">= 1")
        check(self.latency_samples >= 1, f"{path}.latency_samples", self.latency_samples, ">= 1")


@dataclass
class RuntimeSpec:
    """Where and how a run is carried out."""

    device: str = "auto"  # auto, cpu, gpu:N; auto takes the first free GPU, else the CPU
    side_by_side: bool = False  # measure beside other such runs on the device; flagged
    timeout_s: float | None = None  # wall time of one run; null: none
    grace_s: float = 20.0  # from the request to end until the child is killed
    intra_op_threads: int | None = None  # null: TensorFlow's own choice
    inter_op_threads: int | None = None
    xla: bool = False  # compile the train step
    deterministic: bool = False  # op determinism: repeatable, slower

    def __post_init__(self) -> None:
        """Check device syntax and ranges."""
        head, _, index = self.device.partition(":")
        known = self.device in ("auto", "cpu") or (head == "gpu" and index.isdigit())
        check(known, "runtime.device", self.device, "auto, cpu, or gpu:N such as gpu:0")
        limit = self.timeout_s
        check(limit is None or limit > 0, "runtime.timeout_s", limit, "> 0, or null")
        check(self.grace_s > 0, "runtime.grace_s", self.grace_s, "> 0")
        for name in ("intra_op_threads", "inter_op_threads"):
            threads = getattr(self, name)
            check(threads is None or threads >= 1, f"runtime.{name}", threads, ">= 1, or null")


@dataclass
class TrackingSpec:
    """Where runs are logged."""

    enabled: bool = True
    uri: str | None = None  # MLflow tracking URI; null: SQLite under paths.runs_dir
    experiment: str = "odbench"
    tags: dict[str, str] = field(default_factory=dict)  # added to every run

    def __post_init__(self) -> None:
        """Refuse a password: the specification is written to disk with every run."""
        try:
            secret = self.uri is not None and urlsplit(self.uri).password is not None
        except ValueError:
            secret = False
        if secret:
            raise ConfigError(
                "the address holds a password, which would be written down with every run",
                where="tracking.uri",
                fix="leave it out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
                "or for PostgreSQL PGPASSWORD or ~/.pgpass",
            )


@dataclass
class PathsSpec:
    """Where things are written."""

    runs_dir: str = "runs"
    reports_dir: str | None = "reports"  # null: no report after a run
    cache_dir: str | None = None  # converted data sets; null: the user's cache folder


@dataclass
class ReplaySpec:
    """What the replay backend plays back: no TensorFlow, for tests and trials.

    A fault strikes once: a resumed run goes past it.
    """

    step_s: float = 0.01  # reported time of a step; nothing waits that long
    wait_s: float = 0.0  # real time slept in a step, to have something to interrupt
    quality: float = 0.8  # 0..1, how near the detections come to the ground truth
    fault: ReplayFault = ReplayFault.none
    fault_stage: str = "train"
    fault_at_step: int = 5  # of the train stage
    overfit_from_step: int | None = None  # from here on the detections get worse; null: never

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self.step_s > 0, "replay.step_s", self.step_s, "> 0")
        check(self.wait_s >= 0, "replay.wait_s", self.wait_s, ">= 0")
        check(0 <= self.quality <= 1, "replay.quality", self.quality, "0..1")
        peak = self.overfit_from_step
        check(peak is None or peak >= 1, "replay.overfit_from_step", peak, ">= 1, or null")
        stages = ("train", "eval", "export", "latency")
        check(self.fault_stage in stages, "replay.fault_stage", self.fault_stage, ", ".join(stages))


@dataclass
class RunSpec:
    """One run."""

    model: ModelSpec = MISSING
    dataset: DatasetSpec = MISSING
    train: TrainSpec = MISSING
    optimizer: OptimizerSpec = MISSING
    augmentation: AugmentationSpec = MISSING
    eval: EvalSpec = MISSING
    export: ExportSpec = MISSING
    timing: TimingSpec = MISSING
    runtime: RuntimeSpec = MISSING
    tracking: TrackingSpec = MISSING
    paths: PathsSpec = field(default_factory=PathsSpec)
    replay: ReplaySpec = field(default_factory=ReplaySpec)
    backend: BackendName = BackendName.tfod
    seed: int = 0
    repeats: int = 1  # runs of each variant, interleaved with the other variants of a sweep
    repeat: int = 0  # which of them this is, 0-based; a sweep sets it
    same_seed: bool = False  # of all repeats; else the seed of a repeat is seed + repeat
    name: str | None = None  # of the run in MLflow and in reports; null: from what varies

    def __post_init__(self) -> None:
        """Check what two parts must agree on."""
        if self.train.eval_every_steps is None:
            check(
                self.export.checkpoint is CheckpointChoice.last,
                "export.checkpoint",
                self.export.checkpoint.name,
                "last, where train.eval_every_steps is null",
                fix="set train.eval_every_steps, so that there is a best one",
            )
        check(0 <= self.seed < 2**31, "seed", self.seed, "0..2147483647")
        check(1 <= self.repeats <= 1000, "repeats", self.repeats, "1..1000")
        check(0 <= self.repeat < 1000, "repeat", self.repeat, "0..999")
        first_measured = 2 + self.timing.warmup_steps
        steps = self.train.num_steps
        if steps is not None and steps < first_measured:
            raise ConfigError(
                "no step is left to measure: the first step and timing.warmup_steps="
                f"{self.timing.warmup_steps} come before the measured ones",
                where="train.num_steps",
                value=steps,
                allowed=f">= {first_measured}, or null",
                fix="raise train.num_steps or lower timing.warmup_steps",
            )

    @property
    def num_steps(self) -> int:
        """Number of train steps of this run, exactly."""
        if self.train.num_steps is not None:
            return self.train.num_steps
        return 1 + self.timing.warmup_steps + self.timing.measured_steps

    @property
    def eval_batch_size(self) -> int:
        """Images per inference batch of the eval stage."""
        return self.eval.batch_size or self.train.batch_size
