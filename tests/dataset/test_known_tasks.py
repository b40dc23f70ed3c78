"""A converted data set knows its masks and keypoints, by the order that its records have."""

import dataclasses

from google.protobuf import text_format
from object_detection.protos.string_int_label_map_pb2 import StringIntLabelMap

from odbench.config.dataset_spec import DatasetKind, DatasetSpec, ShapesSpec
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.stored_example import decode_example
from odbench.dataset.tfrecord import read_records

SHAPES = ShapesSpec(train_images=3, val_images=2, image_size=64, masks=True, keypoints=True)


def shapes(cache, **changes):
    shapes = dataclasses.replace(SHAPES, **changes)
    spec = DatasetSpec(name="shapes", kind=DatasetKind.shapes, shards=1, shapes=shapes)
    return prepare_dataset(spec, cache)


def test_what_the_records_have(tmp_path):
    dataset = shapes(tmp_path)
    assert dataset.has_masks
    assert list(dataset.keypoints) == ["circle", "square", "triangle"]
    (path,) = dataset.splits["train"].records
    for record in read_records(path):
        image = decode_example(record, str(path)).image
        assert list(image.keypoint_names) == dataset.keypoint_names


def test_the_label_map_numbers_keypoints_by_their_place(tmp_path):
    dataset = shapes(tmp_path)
    label_map = text_format.Parse(dataset.label_map.read_text(), StringIntLabelMap())
    numbers = {point.label: point.id for item in label_map.item for point in item.keypoints}
    assert numbers == {name: place for place, name in enumerate(dataset.keypoint_names)}


def test_boxes_alone(tmp_path):
    dataset = shapes(tmp_path, masks=False, keypoints=False)
    assert not dataset.has_masks
    assert dataset.keypoints == {}
    assert dataset.keypoint_names == []
