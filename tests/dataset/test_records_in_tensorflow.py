"""The API's own decoder reads our records; in a process of its own, as TensorFlow stays out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_builders import A_BOX, coco_body, picture_bytes

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.types import Box

START = """
import json, sys
from odbench.dataset.example import encode_example  # its message types live beside TensorFlow's
from odbench.dataset.types import LabelledImage
encode_example(LabelledImage("a.jpg", b"x", "jpeg", 2, 2, []), 1, {})
from odbench.backend.tfod import compat
compat.prepare_environment()
compat.install()
import tensorflow as tf
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder
from object_detection.protos import input_reader_pb2
"""

DECODE = """
decoder = TfExampleDecoder(label_map_proto_file=sys.argv[1])
for record in tf.data.TFRecordDataset(sys.argv[2:]):
    tensors = decoder.decode(record)
    print("@" + json.dumps({
        "id": tensors["source_id"].numpy().decode(),
        "filename": tensors["filename"].numpy().decode(),
        "shape": list(tensors["image"].shape),
        "boxes": tensors["groundtruth_boxes"].numpy().tolist(),
        "classes": tensors["groundtruth_classes"].numpy().tolist(),
        "difficult": tensors["groundtruth_difficult"].numpy().tolist(),
        "crowd": tensors["groundtruth_is_crowd"].numpy().tolist(),
        "area": tensors["groundtruth_area"].numpy().tolist(),
        "weights": tensors["groundtruth_weights"].numpy().tolist(),
    }))
"""

DECODE_SHAPES = """
decoder = TfExampleDecoder(
    label_map_proto_file=sys.argv[1],
    load_instance_masks=True,
    instance_mask_type=input_reader_pb2.PNG_MASKS,
    num_keypoints=2,
)
for record in tf.data.TFRecordDataset(sys.argv[2:]):
    tensors = decoder.decode(record)
    masks = tensors["groundtruth_instance_masks"].numpy()
    keypoints = tensors["groundtruth_keypoints"].numpy()
    print("@" + json.dumps({
        "filename": tensors["filename"].numpy().decode(),
        "shape": list(masks.shape),
        "values": sorted(set(masks.ravel().tolist())),
        "set": [[int(i) for i in mask.ravel().nonzero()[0]] for mask in masks],
        "weights": tensors["groundtruth_instance_mask_weights"].numpy().tolist(),
        "boxes": tensors["groundtruth_boxes"].numpy().tolist(),
        "crowd": tensors["groundtruth_is_crowd"].numpy().tolist(),
        "area": tensors["groundtruth_area"].numpy().tolist(),
        "keypoints": [[[None if v != v else v for v in p] for p in k] for k in keypoints.tolist()],
        "visible": tensors["groundtruth_keypoint_visibilities"].numpy().tolist(),
    }))
"""


def decoded(script: str, label_map: Path, records: list[Path]) -> list[dict[str, Any]]:
    """What a script prints of each record, in a process of its own."""
    command = [sys.executable, "-c", START + script, str(label_map), *map(str, records)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("@")]


@pytest.mark.tf
def test_the_apis_decoder_reads_the_same_masks_and_keypoints(tmp_path):
    cat = {"id": 3, "name": "cat", "keypoints": ["nose", "tail"]}
    box = {"bbox": [10, 5, 10, 10], "segmentation": [[10, 5, 20, 5, 20, 15, 10, 15]]}
    rle = {"size": [48, 64], "counts": [5, 3, 64 * 48 - 8]}
    pictures = {
        "a.jpg": [
            box | {"keypoints": [16, 12, 2, 32, 24, 1]},
            {"bbox": [0, 5, 1, 3], "segmentation": rle, "iscrowd": 1},
            {"bbox": [1, 2, 30, 40], "category_id": 8},
        ],
        "b.jpg": [],
        "c.jpg": [{"bbox": [1, 2, 30, 40]}],
    }
    for split in ("train", "valid"):
        body = coco_body(pictures, (cat, {"id": 8, "name": "dog"}))
        (tmp_path / "in" / split).mkdir(parents=True)
        (tmp_path / "in" / split / "_annotations.coco.json").write_text(json.dumps(body))
        for name in pictures:
            data = picture_bytes(comment=split + name)
            (tmp_path / "in" / split / name).write_bytes(data)
    spec = DatasetSpec(name="t", kind=DatasetKind.coco, dir=str(tmp_path / "in"), shards=1)
    dataset = prepare_dataset(spec, tmp_path / "cache")
    read = decoded(DECODE_SHAPES, dataset.label_map, dataset.splits["train"].records)
    by_name = {Path(entry["filename"]).name: entry for entry in read}
    first, empty, blank = (by_name[name] for name in ("a.jpg", "b.jpg", "c.jpg"))
    assert [first["shape"], empty["shape"], blank["shape"]] == [
        [3, 48, 64],
        [0, 48, 64],
        [1, 48, 64],
    ]
    assert first["values"] == [0, 1]
    square = [row * 64 + column for row in range(5, 15) for column in range(10, 20)]
    assert first["set"] == [square, [5 * 64, 6 * 64, 7 * 64], []]
    assert (first["weights"], blank["weights"]) == ([1, 1, 0], [0])
    assert (first["crowd"], first["area"]) == ([False, True, False], [100, 3, 1200])
    assert first["boxes"][0] == pytest.approx([5 / 48, 10 / 64, 15 / 48, 20 / 64])
    assert first["visible"] == [[True, True], [False, False], [False, False]]
    assert first["keypoints"] == [
        [[0.25, 0.25], [0.5, 0.5]],  # y, x
        [[None, None], [None, None]],
        [[None, None], [None, None]],
    ]
    truth = json.loads(dataset.splits["train"].ground_truth.read_text())
    areas = [a["area"] for a in truth["annotations"]]
    assert sorted(areas) == [3, 100, 1200, 1200]
    assert all(a["segmentation"]["size"] == [48, 64] for a in truth["annotations"])


@pytest.mark.tf
def test_the_apis_decoder_reads_the_same_boxes(tmp_path, add_image, voc_spec):
    source = tmp_path / "in"
    hard = Box("Häuschen", 0.0, 0.5, 64.0, 48.0, difficult=True, truncated=True)
    add_image(source / "train", "a", [A_BOX, hard])
    add_image(source / "train", "b", [], data=picture_bytes(mode="L"))
    add_image(source / "train", "c", data=picture_bytes(kind="PNG", mode="RGBA"))
    add_image(source / "train", "d", data=picture_bytes(mode="CMYK"))
    add_image(source / "val", "e", [A_BOX, hard])
    dataset = prepare_dataset(voc_spec(source, shards=2), tmp_path / "cache")
    train = dataset.splits["train"]
    read = decoded(DECODE, dataset.label_map, train.records)
    assert [(r["id"], r["filename"], r["shape"]) for r in read] == [
        (str(index), f"train/{stem}.jpg", [48, 64, 3]) for index, stem in enumerate("abcd", 1)
    ]
    expected = [[A_BOX, hard], [], [A_BOX], [A_BOX]]
    for found, boxes in zip(read, expected, strict=True):
        sides = [[b.ymin / 48, b.xmin / 64, b.ymax / 48, b.xmax / 64] for b in boxes]
        assert np.array(found["boxes"]).reshape(-1, 4) == pytest.approx(
            np.array(sides).reshape(-1, 4), abs=1e-6
        )
        assert found["classes"] == [dataset.classes.index(b.label) + 1 for b in boxes]
        assert found["difficult"] == [b.difficult for b in boxes]
        assert found["crowd"] == [False for _ in boxes]
        assert found["area"] == pytest.approx([b.area for b in boxes])
        assert found["weights"] == [1.0 for _ in boxes]
