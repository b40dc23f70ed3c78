from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.config.spec import (
    AugmentationSpec,
    EvalSpec,
    ExportSpec,
    ModelSpec,
    OptimizerSpec,
    PathsSpec,
    RunSpec,
    RuntimeSpec,
    TimingSpec,
    TrackingSpec,
    TrainSpec,
)


def tracked_spec(runs_dir, **tracking):
    """A specification that logs below ``runs_dir``."""
    return RunSpec(
        model=ModelSpec(name="ssd_mobilenet_v2_fpnlite_320x320", family="ssd_fpn"),
        dataset=DatasetSpec(name="shapes", kind=DatasetKind.shapes),
        train=TrainSpec(),
        optimizer=OptimizerSpec(),
        augmentation=AugmentationSpec(),
        eval=EvalSpec(),
        export=ExportSpec(),
        timing=TimingSpec(),
        runtime=RuntimeSpec(),
        tracking=TrackingSpec(**tracking),
        paths=PathsSpec(runs_dir=str(runs_dir)),
    )
