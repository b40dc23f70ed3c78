"""What a run leaves behind: frozen result types, and ``RunRecord`` as JSON.

Raw samples are kept; every statistic is derived from them on reading (:mod:`odbench.derive`).
A value that could not be measured is ``None``, never 0. Times are seconds of
``time.perf_counter``, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from operator import add
from typing import Any

from odbench.analyses import Analysis

SCHEMA_VERSION = 1

# Raised whenever the way of measuring changes: results of two versions are not compared.
PROTOCOL_VERSION = 1


class Status(StrEnum):
    """How a run ended."""

    ok = "ok"
    failed = "failed"
    oom = "oom"
    timeout = "timeout"
    interrupted = "interrupted"
    pruned = "pruned"  # ended by a search that saw nothing promising in its intermediate AP


ENDED_WELL = (Status.ok, Status.pruned)


class Stage(StrEnum):
    """The stages of a run, in order."""

    train = "train"
    eval = "eval"
    export = "export"
    latency = "latency"


class Flag(StrEnum):
    """What a reader must know before trusting a number."""

    projection = "projection"  # 1000-step time projected from fewer measured steps
    few_samples = "few_samples"  # fewer samples than a shown percentile needs
    partial_eval = "partial_eval"  # images evaluated differ from images in the set
    busy_device = "busy_device"  # other processes used the measured device meanwhile
    stolen_cpu = "stolen_cpu"  # the hypervisor gave cores of this machine to others meanwhile
    throttled = "throttled"  # the device lowered its clocks meanwhile
    checkpoint_in_window = "checkpoint_in_window"  # a checkpoint was written between timed steps
    eval_in_window = "eval_in_window"  # an evaluation on the way came between timed steps
    resumed = "resumed"  # trained in several parts, with breaks between them
    batch_shrunk = "batch_shrunk"  # a smaller batch was run than was asked for
    diverged = "diverged"  # a loss was not finite
    side_by_side = "side_by_side"  # other runs were allowed on its device meanwhile
    replayed = "replayed"  # played back, not measured


@dataclass(frozen=True)
class Device:
    """Where the computing was done."""

    kind: str  # cpu or gpu
    name: str  # model name as the machine gives it
    index: int | None = None  # of the GPU
    memory_bytes: int | None = None


@dataclass(frozen=True)
class StageUsage:
    """What a stage used, whole stage, everything included."""

    wall_s: float
    cpu_s: float | None = None  # of this process, all threads
    peak_ram_bytes: int | None = None  # highest resident size in the stage
    peak_gpu_bytes: int | None = None  # highest allocated by the framework in the stage
    gpu_energy_j: float | None = None
    other_cpu_cores: float | None = None  # mean number of cores that other processes used
    stolen_cpu_cores: float | None = None  # mean number of cores that the hypervisor kept back
    throttled: bool | None = None


@dataclass(frozen=True)
class LossPoint:
    """Losses after one step; a value that is not finite is None."""

    step: int
    learning_rate: float | None
    losses: dict[str, float | None]  # by the API's names, such as Loss/total_loss


@dataclass(frozen=True)
class CheckpointWrite:
    """One checkpoint written in training."""

    step: int
    write_s: float


@dataclass(frozen=True)
class EvalPoint:
    """One evaluation on the way, outside every timed step."""

    step: int
    wall_s: float  # inference, scoring and the checkpoint before it
    metrics: dict[str, float | None]  # the twelve COCO numbers, 0..1
    checkpoint: str  # path prefix, relative to the run folder; may be gone by now


@dataclass(frozen=True)
class TrainPart:
    """What one process trained without a break; a resumed run has several.

    A part's first step (tracing) and its own warm-up are no measured steps. Its pictures come
    in an order of its own, from ``seed``: where the input stood at a break is not kept.
    """

    first_step: int  # 1-based, inclusive
    last_step: int  # inclusive; steps that a break lost are in no part
    started_at: str  # ISO 8601, UTC
    wall_s: float  # from its start to the end of what followed its last step
    build_s: float
    restore_s: float | None  # None: nothing was restored
    first_step_s: float  # traces or compiles anew
    seed: int  # of the order of pictures and their augmentation
    first_measured: int | None = None  # step; None: no step of this part was measured
    last_measured: int | None = None  # inclusive


@dataclass(frozen=True)
class TrainResult:
    """The train stage, or how far it has come: exactly ``num_steps`` steps.

    The times of build, restore, first step and warm-up are those of the first part; the measured
    steps are those of all parts. No step is in it twice.
    """

    num_steps: int  # that were trained: fewer than asked for where it stopped early
    batch_size: int
    build_s: float  # model, optimiser and input pipeline
    restore_s: float | None  # None: nothing was restored
    first_step_s: float  # includes tracing or compiling
    warmup_step_s: list[float]  # one per warm-up step
    input_wait_s: list[float]  # one per measured step: waiting for the batch
    compute_s: list[float]  # one per measured step: the step itself, device synchronised
    checkpoints: list[CheckpointWrite]
    losses: list[LossPoint]
    parameters: int | None  # trainable
    checkpoint: str | None  # path prefix of the final checkpoint, relative to the run folder
    seeds: dict[str, int] = field(default_factory=dict)
    restored_from: str | None = None  # what training started from, as given; None: random weights
    restored_variables: int | None = None  # how many of the model's variables that set
    evaluations: list[EvalPoint] = field(default_factory=list)
    best_checkpoint: str | None = None  # by AP of the evaluations; relative to the run folder
    stopped_early: bool = False
    parts: list[TrainPart] = field(default_factory=list)

    @property
    def step_s(self) -> list[float]:
        """Seconds of each measured step: input wait and compute."""
        return list(map(add, self.input_wait_s, self.compute_s))


@dataclass(frozen=True)
class InferenceResult:
    """Inference over the evaluation set, before scoring."""

    images_in_set: int
    image_ids: list[int]  # evaluated, in order
    batch_size: int
    build_s: float  # model, restore
    first_batch_s: float  # includes tracing
    input_s: float | None  # waiting for batches, the first one apart; None: there was no other
    inference_s: float | None  # inference, the first batch apart
    # COCO result format: image_id, category_id, bbox, score; segmentation (RLE) and keypoints
    # where the model predicts them
    detections: list[dict[str, Any]]
    postprocess_s: float | None = None  # outputs to detections: masks pasted and encoded
    has_masks: bool = False  # whether the model predicts any
    has_keypoints: bool = False


@dataclass(frozen=True)
class EvalResult:
    """The eval stage."""

    images_in_set: int
    images_evaluated: int
    batch_size: int
    build_s: float
    first_batch_s: float
    input_s: float | None
    inference_s: float | None
    metric_s: float  # scoring
    num_detections: int
    engine: str
    metrics: dict[str, float | None]  # the twelve COCO numbers, 0..1
    per_class: dict[str, float | None]  # AP by class name, 0..1
    detections: str  # path of the detections, relative to the run folder
    mask_metrics: dict[str, float | None] | None = None  # the twelve for masks; None: no masks
    keypoint_metrics: dict[str, float | None] | None = None  # COCO's ten; None: no keypoints
    checkpoint: str | None = None  # that was evaluated, relative to the run folder
    postprocess_s: float | None = None  # outputs to detections; not in inference_s or metric_s

    @property
    def complete(self) -> bool:
        """Whether every image of the set was evaluated, and once."""
        return self.images_evaluated == self.images_in_set


@dataclass(frozen=True)
class ExportResult:
    """The export stage."""

    export_s: float
    size_bytes: int  # every file below saved_model
    files: int
    saved_model: str  # relative to the run folder


@dataclass(frozen=True)
class LatencyResult:
    """The latency stage: the exported model, called on real images."""

    batch_size: int
    load_s: float
    first_call_s: float
    warmup_s: list[float]
    latency_s: list[float]  # one per measured call, input already in memory
    images: int  # different images that were used
    image_sizes: list[list[int]]  # [height, width] of each of them


@dataclass(frozen=True)
class Edit:
    """One change that a run made to the base configuration of its model."""

    field: str  # dotted path in TrainEvalPipelineConfig
    old: Any
    new: Any


@dataclass(frozen=True)
class Gpu:
    """One GPU of the machine."""

    name: str
    memory_bytes: int | None
    driver: str | None


@dataclass(frozen=True)
class Environment:
    """The machine and the software that a number was measured with."""

    host: str
    os: str
    cpu: str
    cores: int  # that this process may use
    ram_bytes: int
    gpus: list[Gpu]
    python: str
    packages: dict[str, str]  # name -> version of what changes results
    odbench: str
    git_commit: str | None  # of odbench's own checkout
    git_dirty: bool | None


@dataclass(frozen=True)
class DatasetSummary:
    """What of the data set goes into a record."""

    name: str
    hash: str
    classes: list[str]
    images: dict[str, int]  # by split
    boxes: dict[str, int]
    findings: dict[str, int]  # warnings by kind, counted


@dataclass(frozen=True)
class RunRecord:
    """One run, from what it was told to how it ended."""

    status: Status
    reason: str | None  # why the status is not ok
    failed_stage: Stage | None
    run_id: str
    name: str
    fingerprint: str
    started_at: str  # ISO 8601, UTC
    wall_s: float
    model: str
    backend: str
    device: Device | None
    dataset: DatasetSummary
    environment: Environment
    spec: dict[str, Any]
    overrides: list[str]  # of the command line
    edits: list[Edit]
    usage: dict[Stage, StageUsage]
    train: TrainResult | None = None
    eval: EvalResult | None = None
    export: ExportResult | None = None
    latency: LatencyResult | None = None
    sweep_id: str | None = None
    variant: str = ""  # the fingerprint without seed and repeat: what repeats have in common
    repeat: int = 0  # 0-based, within the variant
    side_by_side: bool = False  # other runs were allowed on its device meanwhile
    analysis: Analysis | None = None
    analysis_failure: str | None = None  # why there is none where there are detections
    schema_version: int = SCHEMA_VERSION
    protocol_version: int = PROTOCOL_VERSION

    @property
    def batch_size(self) -> int:
        """Images per train step that were asked for."""
        return int(self.spec["train"]["batch_size"])

    @property
    def hardware(self) -> str:
        """Hardware class: rows of two classes are not compared."""
        if self.device is not None and self.device.kind == "gpu":
            return self.device.name
        return f"CPU {self.environment.cpu}, {self.environment.cores} cores"
