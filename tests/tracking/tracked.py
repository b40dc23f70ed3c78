import json
from itertools import product

from factories import make_record

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
from odbench.records import StoredRun, write_json, write_record


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


def store_sweep(tmp_path, batches=(4, 8), repeats=2, told=(), **changes):
    """The runs of a sweep below ``tmp_path/runs/``, as its processes leave them."""
    folder = tmp_path / "runs" / "sweep"
    folder.mkdir(parents=True)
    write_json(folder / "sweep.json", {"sweep_id": "s1", "dir": str(folder), "mlflow_run_id": None})
    task = [f"train.batch_size={','.join(map(str, batches))}", *told]
    hydra = {"job": {"config_name": "batches"}, "overrides": {"task": task}}
    (folder / "multirun.yaml").write_text(json.dumps({"hydra": hydra}))
    runs = []
    for number, (repeat, batch) in enumerate(product(range(repeats), batches)):
        record = make_record(
            batch_size=batch,
            name=f"ssd-b{batch}" + (f"-seed{repeat}" if repeat else ""),
            run_id=f"b{batch}r{repeat}",
            ap=0.4 + batch / 100 + repeat / 10,
            sampling_seed=repeat,
            sweep_id="s1",
            variant=f"v{batch}",
            repeat=repeat,
            overrides=[f"train.batch_size={batch}", *told, f"seed={repeat}", f"repeat={repeat}"],
            spec={"repeats": repeats, "repeat": repeat, "seed": repeat},
            started_at=f"2025-03-01T12:00:{number:02d}Z",
            **changes,
        )
        (folder / str(number)).mkdir()
        write_record(record, folder / str(number))
        runs.append(StoredRun(record, folder / str(number)))
    return runs
