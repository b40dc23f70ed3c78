"""The API's own decoder reads our records; in a process of its own, as TensorFlow stays out."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from dataset_builders import A_BOX, picture_bytes

from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.types import Box

DECODE = """
import json, sys
from odbench.dataset.example import encode_example  # its message types live beside TensorFlow's
from odbench.dataset.types import LabelledImage
encode_example(LabelledImage("a.jpg", b"x", "jpeg", 2, 2, []), 1, {})
from odbench.backend.tfod import compat
compat.prepare_environment()
compat.install()
import tensorflow as tf
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder

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
    command = [sys.executable, "-c", DECODE, str(dataset.label_map), *map(str, train.records)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    read = [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("@")]
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
