"""The data set of a run in MLflow: one input a split, and the files about it as artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from odbench.jobfile import JOB_FILE
from odbench.records import StoredRun
from odbench.results import DatasetSummary

DATASET_FOLDER = "dataset"  # of a run folder, and of the run's artifacts
STATISTICS_FILE = "statistics.json"  # in it

# Longest values that MLflow takes, in characters.
NAME_LENGTH = 500
DIGEST_LENGTH = 36

_HASH_DIGITS = 12  # as in the names of converted data sets
_CONTEXTS = {"train": "training", "val": "evaluation"}
_CONTEXT_TAG = "mlflow.data.context"

# Of the statistics of a split.
_PROFILED = ("boxes_by_class", "sizes", "boxes_per_image", "images_without_boxes", "image_sizes")

# What every record holds, in the names and types of MLflow's column schema.
_COLUMNS = {
    "image/encoded": "binary",
    "image/format": "string",
    "image/height": "long",
    "image/width": "long",
    "image/object/bbox/xmin": "float",
    "image/object/bbox/ymin": "float",
    "image/object/bbox/xmax": "float",
    "image/object/bbox/ymax": "float",
    "image/object/class/text": "string",
    "image/object/class/label": "long",
}


def log_dataset(client: Any, run_id: str, run: StoredRun) -> None:
    """Log the data set's splits as inputs, and what lies in the run's ``dataset/``."""
    log_inputs(client, run_id, run)
    for path in sorted((run.dir / DATASET_FOLDER).glob("*")):
        if path.suffix in (".json", ".png"):
            client.log_artifact(run_id, str(path), DATASET_FOLDER)


def log_inputs(client: Any, run_id: str, run: StoredRun) -> None:
    """Log the data set's splits as inputs.

    The same again changes nothing: a run whose logging was cut off can be completed.

    Args:
        client: An ``MlflowClient``.
        run_id: Of an MLflow run that is not ended.
        run: The record and its folder.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": _place(run.dir)})
    counted = _counted(run.dir / DATASET_FOLDER / STATISTICS_FILE)
    inputs = [
        DatasetInput(
            Dataset(
                name=run.record.dataset.name[:NAME_LENGTH],
                digest=split_digest(run.record.dataset.hash, split),
                source_type="local",
                source=source,
                schema=json.dumps({"mlflow_colspec": _schema()}),
                profile=json.dumps(
                    split_profile(run.record.dataset, split) | counted.get(split, {})
                ),
            ),
            [InputTag(_CONTEXT_TAG, _CONTEXTS.get(split, split))],
        )
        for split in run.record.dataset.images
    ]
    client.log_inputs(run_id, datasets=inputs)


def split_digest(dataset_hash: str, split: str) -> str:
    """What MLflow tells two inputs of one name apart by, such as ``4f0c9a6be1d2-train``."""
    return f"{dataset_hash[:_HASH_DIGITS]}-{split}"[:DIGEST_LENGTH]


def split_profile(summary: DatasetSummary, split: str) -> dict[str, Any]:
    """Counts of a split as JSON values, which MLflow's pages show as they stand."""
    return {
        "split": split,
        "images": summary.images[split],
        "boxes": summary.boxes[split],
        "classes": summary.classes,
        "findings": summary.findings,
        "hash": summary.hash,
    }


def _counted(path: Path) -> dict[str, dict[str, Any]]:
    """What of a data set's statistics a profile shows, by split; nothing where there are none."""
    body = _read_json(path)
    splits = body.get("splits") if isinstance(body, dict) else None
    return {
        name: {key: split[key] for key in _PROFILED if key in split}
        for name, split in (splits.items() if isinstance(splits, dict) else ())
        if isinstance(split, dict)
    }


def _schema() -> list[dict[str, Any]]:
    return [{"name": name, "type": kind, "required": True} for name, kind in _COLUMNS.items()]


def _place(run_dir: Path) -> str:
    """Folder of the converted data set that the run was given; else the run's own notes on it."""
    job = _read_json(run_dir / JOB_FILE)
    given = job.get("dataset") if isinstance(job, dict) else None
    return str(given or run_dir / DATASET_FOLDER)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or not ours
        return None
