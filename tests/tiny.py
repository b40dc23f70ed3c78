"""Tiny runs: overrides that make them, and their records."""

import json
import sqlite3
from contextlib import closing

# Beside every `odbench` that a test starts: a tiny data set and the replay backend.
TINY = [
    "backend=replay",
    "dataset.shapes.train_images=6",
    "dataset.shapes.val_images=4",
    "dataset.shapes.image_size=64",
    "dataset.shards=1",
    "timing=quick",
]

FAST = [*TINY, "tracking=none", "paths.reports_dir=null"]
REPORTED = [*TINY, "tracking=none"]


def records(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("record.json"))]


def record(folder):
    (only,) = records(folder)
    return only


def children(folder):
    """``odbench.run_id`` of each run that the store below ``folder/runs`` has of the one sweep."""
    (sweep,) = folder.rglob("sweep.json")
    parent = json.loads(sweep.read_text())["mlflow_run_id"]
    query = (
        "select value from tags where key = 'odbench.run_id' and run_uuid in "
        "(select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?)"
    )
    with closing(sqlite3.connect(folder / "runs" / "mlflow.db")) as store:
        return [run_id for (run_id,) in store.execute(query, [parent])]
