"""A run's exported model in the MLflow Model Registry: one version for each run and name."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from odbench import derive
from odbench.errors import InputError
from odbench.jobfile import read_dataset
from odbench.records import RECORD_FILE, StoredRun
from odbench.results import RunRecord
from odbench.tracking import content
from odbench.tracking.aggregates import CHOSEN_BY, flags_text
from odbench.tracking.entries import logging_lock
from odbench.tracking.note import run_note
from odbench.tracking.store import Store, store_errors

MODEL_FOLDER = "model"  # of a run's artifacts

_LOADER = "odbench_detector"
_LABEL_MAP = "label_map.pbtxt"
_FREE = -1  # a length that the model leaves open, in MLflow's tensor shapes


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    name: str
    version: str
    made: bool  # False: the run was registered under that name before


def exported_model(run: StoredRun) -> Path:
    """The SavedModel that a run exported.

    Raises:
        InputError: It exported none, or its folder is gone.
    """
    exported = run.record.export
    if exported is None:
        raise InputError("the run exported no model", where=str(run.dir), fix="run it with export")
    folder = run.dir / exported.saved_model
    if not (folder / "saved_model.pb").is_file():
        raise InputError(
            f"the exported model of run {run.record.name} is gone",
            where=str(folder),
            allowed="a SavedModel, as the export stage leaves it",
            fix="put it back, or run it again and register that run",
        )
    return folder


def register_run(store: Store, mlflow_run_id: str, run: StoredRun, name: str) -> Version:
    """Make a run's exported model a version of a registered model, once.

    Args:
        store: The store that has the run.
        mlflow_run_id: Of the run in it.
        run: The run.
        name: Of the registered model, which is made if there is none.

    Raises:
        InputError: There is no exported model or no data set any more.
        TrackingError: The store failed, or refuses the name.
    """
    model = exported_model(run)
    client = store.client
    with logging_lock(run.dir), store_errors(store.uri, f"register {name}"):
        known = _known(client, name, run.record)
        if known is not None:
            return Version(name, str(known.version), made=False)
        _ensure_registered(client, name)
        with TemporaryDirectory(prefix=".model-", dir=run.dir) as folder:
            _save_model(run, model, Path(folder))
            client.log_artifacts(mlflow_run_id, str(Path(folder) / MODEL_FOLDER), MODEL_FOLDER)
        place = client.get_run(mlflow_run_id).info.artifact_uri
        made = client.create_model_version(
            name,
            f"{place}/{MODEL_FOLDER}",
            mlflow_run_id,
            tags=_tags(run),
            description=run_note(run.record, content.TAG_LENGTH),
        )
        return Version(name, str(made.version), made=True)


def _known(client: Any, name: str, record: RunRecord) -> Any:
    quoted = name.replace("'", "''")
    found = client.search_model_versions(f"name = '{quoted}'")
    while True:
        for version in found:
            if version.tags.get("odbench.run_id") == record.run_id:
                return version
        if not found.token:
            return None
        found = client.search_model_versions(f"name = '{quoted}'", page_token=found.token)


def _ensure_registered(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _save_model(run: StoredRun, saved_model: Path, folder: Path) -> None:
    """Write the model as MLflow has it, with what it is understood by beside it."""
    from mlflow import pyfunc

    data = folder / "detector"
    data.mkdir()
    shutil.copytree(saved_model, data / "saved_model")
    shutil.copyfile(run.dir / RECORD_FILE, data / RECORD_FILE)
    shutil.copyfile(read_dataset(run.dir).label_map, data / _LABEL_MAP)
    packages = run.record.environment.packages
    needed = [f"{n}=={packages[n]}" for n in ("tensorflow", "numpy") if n in packages]
    with as_file(files("odbench.backend.tfod") / f"{_LOADER}.py") as loader:
        pyfunc.save_model(
            str(folder / MODEL_FOLDER),
            loader_module=_LOADER,
            data_path=str(data),
            code_paths=[str(loader)],
            signature=_signature(run.record),
            pip_requirements=["mlflow", *needed],
            metadata={"odbench.run_id": run.record.run_id},
        )


def _signature(record: RunRecord) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    outputs: dict[str, tuple[int, ...]] = {
        "detection_boxes": (1, _FREE, 4),
        "detection_scores": (1, _FREE),
        "detection_classes": (1, _FREE),
        "num_detections": (1,),
    }
    if record.eval is not None and record.eval.mask_metrics is not None:
        outputs["detection_masks"] = (1, _FREE, _FREE, _FREE)
    if record.eval is not None and record.eval.keypoint_metrics is not None:
        outputs["detection_keypoints"] = (1, _FREE, _FREE, 2)
    image = TensorSpec(np.dtype(np.uint8), (1, _FREE, _FREE, 3))
    return ModelSignature(
        Schema([image]),
        Schema([TensorSpec(np.dtype(np.float32), shape, key) for key, shape in outputs.items()]),
    )


def _tags(run: StoredRun) -> dict[str, str]:
    record = run.record
    values = derive.metrics(record)
    own = {
        "odbench.run_id": record.run_id,
        "odbench.fingerprint": record.fingerprint,
        "odbench.variant": record.variant,
        "odbench.model": record.model,
        "odbench.dataset": record.dataset.name,
        "odbench.dataset_hash": record.dataset.hash,
        "odbench.hardware": record.hardware,
        "odbench.flags": flags_text([run]),
    }
    measured = {key: values[key] for key in CHOSEN_BY if values.get(key) is not None}
    return content.tag_texts(own | measured)
