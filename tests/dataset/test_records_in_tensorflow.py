"""The API's own decoder reads our records; in a process of its own, as TensorFlow stays out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from api_decoder import decoded
from dataset_builders import A_BOX, coco_body, picture_bytes

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.types import Box

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


DECODE_SETS = """
for label_map, *records in json.loads(sys.argv[1]):
    decoder = TfExampleDecoder(label_map_proto_file=label_map)
    for record in tf.data.TFRecordDataset(records):
        tensors = decoder.decode(record)
        print("@" + json.dumps({
            "set": label_map,
            "id": int(tensors["source_id"].numpy()),
            "filename": tensors["filename"].numpy().decode(),
            "size": list(tensors["image"].shape[:2]),
            "boxes": tensors["groundtruth_boxes"].numpy().tolist(),
            "classes": tensors["groundtruth_classes"].numpy().tolist(),
            "crowd": tensors["groundtruth_is_crowd"].numpy().tolist(),
        }))
"""


@pytest.mark.tf
@pytest.mark.shared
def test_the_apis_decoder_reads_every_record_of_real_sets(shared_data, tmp_path):
    sets = {
        "sets/bccd": DatasetKind.auto,
        "sets/microcontroller/images": DatasetKind.csv,
        "sets/chess_coco/test": DatasetKind.auto,
        "sets/coco_val_permissive": DatasetKind.auto,
        "od_api/test_data/pets_examples.record": DatasetKind.auto,
    }
    wanted, given = {}, []
    for name, kind in sets.items():
        spec = DatasetSpec(name="t", kind=kind, dir=str(shared_data / name), shards=1)
        dataset = prepare_dataset(spec, tmp_path)
        for split in dataset.splits.values():
            wanted |= truth(str(dataset.label_map), split.ground_truth)
        records = [path for split in dataset.splits.values() for path in split.records]
        given.append([str(dataset.label_map), *map(str, records)])
    read = decoded(DECODE_SETS, json.dumps(given), [])
    assert len(read) == len(wanted) == 292 + 149 + 29 + 47 + 10
    for found in read:
        boxes = wanted.pop((found["set"], found["filename"]))
        height, width = found["size"]
        scaled = np.array(found["boxes"]).reshape(-1, 4) * [height, width, height, width]
        assert scaled == pytest.approx(np.array(boxes["corners"]).reshape(-1, 4), abs=0.01)
        assert found["classes"] == boxes["classes"]
        assert found["crowd"] == boxes["crowd"]
        assert found["id"] == boxes["id"]


def truth(label_map: str, path: Path) -> dict[tuple[str, str], dict[str, list]]:
    """The boxes of a ground truth by picture, as the API has them: ymin, xmin, ymax, xmax."""
    body = json.loads(path.read_text())
    found = {
        image["id"]: {"id": image["id"], "corners": [], "classes": [], "crowd": []}
        for image in body["images"]
    }
    for box in body["annotations"]:
        x, y, width, height = box["bbox"]
        of_image = found[box["image_id"]]
        of_image["corners"].append([y, x, y + height, x + width])
        of_image["classes"].append(box["category_id"])
        of_image["crowd"].append(bool(box["iscrowd"]))
    return {(label_map, image["file_name"]): found[image["id"]] for image in body["images"]}
