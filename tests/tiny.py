"""Tiny runs: overrides that make them, and their records."""

import json

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
