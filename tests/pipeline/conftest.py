import os
from pathlib import Path

import pytest

from odbench.dataset.types import Dataset, Split

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dataset(tmp_path):
    """Three classes, two shards to train on and one to evaluate; only the paths are needed.

    Every object has a mask, and the squares have keypoints: every kind of model fits.
    """

    def split(name, shards):
        records = [tmp_path / f"{name}-{i}.tfrecord" for i in range(shards)]
        return Split(images=4, boxes=9, records=records, ground_truth=tmp_path / f"{name}.json")

    return Dataset(
        name="tiny",
        dir=tmp_path,
        hash="0",
        classes=["circle", "square", "triangle"],
        label_map=tmp_path / "label_map.pbtxt",
        splits={"train": split("train", 2), "val": split("val", 1)},
        keypoints={"square": ["left_top", "right_top", "centre"]},
        has_masks=True,
    )


@pytest.fixture
def published_dir():
    data = Path(os.environ.get("ODBENCH_SHARED_DATA", ROOT.parent / "shared" / "data"))
    folder = data.parent / "zoo_configs" / "tf2"
    if not folder.is_dir():
        pytest.skip(f"the published configurations are not at {folder}; set ODBENCH_SHARED_DATA")
    return folder
