"""Records for tests, as real runs leave them: samples vary, and are the same at every call."""

import random
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.config.fingerprint import stable_hash
from odbench.config.spec import (
    AugmentationSpec,
    EvalSpec,
    ExportSpec,
    ModelSpec,
    OptimizerSpec,
    RunSpec,
    RuntimeSpec,
    TimingSpec,
    TrackingSpec,
    TrainSpec,
)
from odbench.records import StoredRun, write_record
from odbench.results import (
    CheckpointWrite,
    DatasetSummary,
    Device,
    Edit,
    Environment,
    EvalPoint,
    EvalResult,
    ExportResult,
    Gpu,
    LatencyResult,
    LossPoint,
    RunRecord,
    Stage,
    StageUsage,
    Status,
    TrainPart,
    TrainResult,
)

CPU = "Intel(R) Xeon(R) Processor"
MODEL = "ssd_mobilenet_v2_fpnlite_320x320"
CLASSES = ["circle", "square", "triangle"]

PACKAGES = {
    "tensorflow": "2.21.0",
    "tf-keras": "2.21.0",
    "tf-object-detection-api": "0.1",
    "numpy": "2.4.6",
    "pycocotools": "2.0.11",
    "protobuf": "7.35.0",
}


def make_record(
    *,
    model=MODEL,
    batch_size=8,
    ap=0.431,
    step_s=0.085,
    measured_steps=1000,
    latency_s=0.0201,
    latency_samples=100,
    sampling_seed=0,
    spec=None,
    **changes,
):
    """A run that ended well on a CPU, every stage done.

    The named arguments set the size of its numbers; ``spec`` replaces parts of its
    specification; ``changes`` replace fields of :class:`RunRecord`.
    """
    name = changes.get("name", f"{model} batch_size={batch_size}")
    rng = random.Random(f"{name} {model} {batch_size} {sampling_seed}")
    record = RunRecord(
        status=Status.ok,
        reason=None,
        failed_stage=None,
        run_id=f"{rng.getrandbits(64):016x}",
        name=name,
        fingerprint=f"{rng.getrandbits(64):016x}",
        variant=stable_hash([name, measured_steps, changes.get("overrides")])[:16],
        started_at="2025-03-01T12:00:00Z",
        wall_s=140.2,
        model=model,
        backend="tfod",
        device=Device("cpu", CPU),
        dataset=make_dataset(),
        environment=make_environment(),
        spec=make_spec(model, batch_size, measured_steps, spec),
        overrides=[f"model={model}", f"train.batch_size={batch_size}"],
        edits=[Edit("train_config.batch_size", 128, batch_size)],
        usage={
            Stage.train: StageUsage(16.0 + step_s * measured_steps, 150.0, 1_310_000_000),
            Stage.eval: StageUsage(9.4, 17.1, 1_420_000_000),
            Stage.export: StageUsage(16.3, 18.0, 1_530_000_000),
            Stage.latency: StageUsage(6.2, 8.8, 1_120_000_000),
        },
        train=make_train(rng, batch_size, step_s, measured_steps),
        eval=None if ap is None else make_eval(ap),
        export=ExportResult(14.9, 12_345_678, 7, "saved_model"),
        latency=LatencyResult(
            batch_size=1,
            load_s=3.1,
            first_call_s=0.8,
            warmup_s=_samples(rng, latency_s, 10),
            latency_s=_samples(rng, latency_s, latency_samples),
            images=32,
            image_sizes=[[128, 128]] * 32,
        ),
    )
    return replace(record, **changes)


def make_failed(status=Status.oom, stage=Stage.train, reason="memory ran out", **changes):
    """A run that ended in a stage: it keeps the results of the stages before that one."""
    record = make_record(**{"ap": 0.3} | changes)
    gone = list(Stage)[list(Stage).index(stage) :]
    return replace(
        record,
        status=status,
        failed_stage=stage,
        reason=reason,
        usage={key: value for key, value in record.usage.items() if key not in gone},
        **{str(name): None for name in gone},
    )


def make_spec(model=MODEL, batch_size=8, measured_steps=1000, parts=None):
    """A composed specification as plain values."""
    spec = RunSpec(
        **{
            "model": ModelSpec(name=model, family="ssd", pipeline=_pipeline(model)),
            "dataset": DatasetSpec(name="shapes", kind=DatasetKind.shapes),
            "train": TrainSpec(batch_size=batch_size),
            "optimizer": OptimizerSpec(),
            "augmentation": AugmentationSpec(),
            "eval": EvalSpec(),
            "export": ExportSpec(),
            "timing": TimingSpec(measured_steps=measured_steps),
            "runtime": RuntimeSpec(),
            "tracking": TrackingSpec(),
            **(parts or {}),
        }
    )
    return _plain(asdict(spec))


def make_dataset(**changes):
    """The embedded data set, converted with one finding."""
    summary = DatasetSummary(
        name="shapes",
        hash="4f0c9a6be1d2" * 4,
        classes=list(CLASSES),
        images={"train": 512, "val": 64},
        boxes={"train": 1532, "val": 190},
        findings={"zero_area_box": 2},
    )
    return replace(summary, **changes)


def make_environment(**changes):
    """A machine of two cores without a GPU."""
    environment = Environment(
        host="bench-1",
        os="Linux 6.8.0",
        cpu=CPU,
        cores=2,
        ram_bytes=16_000_000_000,
        gpus=[],
        python="3.11.9",
        packages=dict(PACKAGES),
        odbench="0.1.0",
        git_commit="0123abc",
        git_dirty=False,
    )
    return replace(environment, **changes)


def gpu_changes(name="NVIDIA A10G"):
    """What of a record is different on a machine with a GPU, as ``changes`` to a record."""
    usage = StageUsage(40.0, 60.0, 2_100_000_000, peak_gpu_bytes=5_300_000_000)
    return {
        "device": Device("gpu", name, 0, 24_000_000_000),
        "environment": make_environment(gpus=[Gpu(name, 24_000_000_000, "570.86")]),
        "usage": dict.fromkeys(Stage, usage),
    }


def make_train(rng, batch_size=8, step_s=0.085, measured_steps=1000):
    """A train stage whose losses fall and whose steps vary by some percent."""
    steps = 11 + measured_steps
    compute = _samples(rng, step_s, measured_steps)
    return TrainResult(
        num_steps=steps,
        batch_size=batch_size,
        build_s=9.7,
        restore_s=None,
        first_step_s=14.6,
        warmup_step_s=_samples(rng, step_s, 10),
        input_wait_s=[0.0002] * measured_steps,
        compute_s=compute,
        checkpoints=[CheckpointWrite(steps, 0.41)],
        losses=[_loss(rng, step) for step in range(1, steps + 1, max(1, steps // 50))],
        parameters=2_830_000,
        checkpoint="checkpoints/ckpt-1",
        seeds={"python": 0, "numpy": 0, "tensorflow": 0},
    )


def make_point(step, ap, wall_s=2.0):
    """An evaluation on the way."""
    return EvalPoint(step, wall_s, {"AP": ap, "AP50": ap}, f"train/ckpt-{step}")


def make_part(first_step, last_step, warmup_steps=10, **changes):
    """A part of a training, measured to its end."""
    part = TrainPart(
        first_step=first_step,
        last_step=last_step,
        started_at="2025-03-01T12:00:05Z",
        wall_s=60.0,
        build_s=9.7,
        restore_s=None if first_step == 1 else 0.4,
        first_step_s=14.6,
        seed=first_step - 1,
        first_measured=first_step + 1 + warmup_steps,
        last_measured=last_step,
    )
    return replace(part, **changes)


def make_eval(ap=0.431, **changes):
    """A complete eval stage on 64 images with that AP."""
    metrics = dict.fromkeys(("AP", "AP_small", "AP_medium", "AR1", "AR10", "AR100"), ap)
    metrics |= {"AP50": min(1.0, ap * 1.5), "AP75": ap * 0.9, "AP_large": None}
    metrics |= {"AR_small": ap, "AR_medium": ap, "AR_large": None}
    result = EvalResult(
        images_in_set=64,
        images_evaluated=64,
        batch_size=8,
        build_s=4.0,
        first_batch_s=2.2,
        input_s=0.1,
        inference_s=1.6,
        metric_s=0.2,
        num_detections=6400,
        engine="pycocotools",
        metrics=metrics,
        per_class={name: round(ap * (0.8 + 0.2 * i), 4) for i, name in enumerate(CLASSES)},
        detections="detections.json",
    )
    return replace(result, **changes)


def store_record(record, tmp_path: Path, pictures=0):
    """Write a record into a folder of its own, with so many evaluation pictures beside it."""
    folder = tmp_path / "runs" / record.run_id
    folder.mkdir(parents=True)
    write_record(record, folder)
    for number in range(pictures):
        draw_picture(folder / "gallery" / f"{number + 1:06d}.png", number)
        draw_picture(folder / "pictures" / f"{number + 1}.jpg", number)
    return StoredRun(record, folder)


def draw_picture(path: Path, seed=0):
    """An evaluation picture: noise with a coloured box."""
    from PIL import Image, ImageDraw

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.effect_noise((128, 128), 30).convert("RGB")
    rng = random.Random(seed)
    x, y = rng.randrange(10, 60), rng.randrange(10, 60)
    ImageDraw.Draw(image).rectangle([x, y, x + 50, y + 40], outline=(213, 94, 0), width=3)
    image.save(path)


def _samples(rng, centre, count):
    return [max(centre * 0.5, rng.gauss(centre, centre * 0.04)) for _ in range(count)]


def _loss(rng, step):
    total = 0.35 + 1.6 * 0.995**step + rng.gauss(0, 0.03)
    losses = {"Loss/total_loss": total, "Loss/classification_loss": total * 0.6}
    return LossPoint(step, 0.08, losses)


def _pipeline(model):
    size = 640 if "640" in model else 320
    return {"model": {"ssd": {"image_resizer": {"fixed_shape_resizer": {"height": size}}}}}


def _plain(value):
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
