"""A model's outputs to COCO results; TensorFlow is not needed."""

import numpy as np
import pytest

from odbench.backend.tfod.outputs import as_coco, paste
from odbench.dataset.masks import read_segmentation

PERSON, DOG = 0, 1


def outputs_of(boxes, scores, classes, **more):
    arrays = {
        "detection_boxes": np.array([boxes], dtype=np.float32),
        "detection_scores": np.array([scores], dtype=np.float32),
        "detection_classes": np.array([classes], dtype=np.float32),
        "num_detections": np.array([len(boxes)], dtype=np.float32),
    }
    return arrays | {name: np.array([value], dtype=np.float32) for name, value in more.items()}


def detections(outputs, size=(40, 80), threshold=0.0, keypoint_classes=frozenset()):
    return list(as_coco([7], [size], outputs, threshold, keypoint_classes))


def test_boxes_become_pixels():
    outputs = outputs_of([[0.25, 0.5, 0.75, 1.0], [0, 0, 1, 1]], [0.9, 0.1], [DOG, PERSON])
    (found,) = detections(outputs, threshold=0.5)
    assert found["bbox"] == [40.0, 10.0, 40.0, 20.0]
    assert (found["image_id"], found["category_id"]) == (7, 2)
    assert set(found) == {"image_id", "category_id", "bbox", "score"}


def test_what_is_no_number_detects_nothing():
    boxes = [[0, 0, np.nan, 1], [0, 0, 1, np.inf], [0, 0, 1, 1]]
    assert len(detections(outputs_of(boxes, [0.5, 0.5, np.nan], [0, 0, 0]))) == 0


def test_only_detected_rows_count():
    outputs = outputs_of([[0, 0, 1, 1]] * 3, [0.5] * 3, [0] * 3)
    outputs["num_detections"][0] = 2
    assert len(detections(outputs)) == 2


def test_a_full_mask_covers_its_box():
    outputs = outputs_of([[0.25, 0.5, 0.75, 1.0]], [0.9], [0], detection_masks=np.ones((1, 9, 9)))
    (found,) = detections(outputs, size=(41, 81))
    pixels, _ = read_segmentation(found["segmentation"], 81, 41, "here")
    assert found["segmentation"]["size"] == [41, 81]
    rows, columns = np.nonzero(pixels)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 30, 40, 80)
    assert pixels.sum() == 21 * 41


def test_a_mask_is_interpolated_between_its_values():
    # Values 0 and 1 at the box's left and right edge: more than a half right of the middle.
    mask = np.array([[0, 1], [0, 1]], dtype=np.float32)
    pixels = paste(mask, np.array([0, 0, 1, 1], dtype=np.float32), (3, 101))
    assert pixels[:, :51].sum() == 0
    assert pixels[:, 51:].all()


@pytest.mark.parametrize(
    "box", [(-0.5, -0.5, 1.5, 1.5), (0.9, 0.9, 2, 2), (-2, -2, -1, -1), (2, 2, 3, 3)]
)
def test_a_mask_beyond_the_picture_is_cut(box):
    pixels = paste(np.ones((5, 5), np.float32), np.array(box, np.float32), (11, 11))
    inside = box[0] < 1 and box[2] > 0
    assert pixels.any() == inside


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.5, 0.5), (0.6, 0.6, 0.2, 0.2), (0, 0, 0, 1)])
def test_a_box_without_area_has_no_mask(box):
    assert not paste(np.ones((5, 5), np.float32), np.array(box, np.float32), (11, 11)).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1)])
def test_the_smallest_pictures(size):
    assert paste(np.ones((5, 5), np.float32), np.array([0, 0, 1, 1], np.float32), size).all()


def test_keypoints_become_pixels_with_their_score():
    outputs = outputs_of(
        [[0, 0, 1, 1], [0, 0, 1, 1]],
        [0.9, 0.8],
        [PERSON, DOG],
        detection_keypoints=[[[0.5, 0.25], [np.nan, 0.1]], [[0, 0], [0, 0]]],
        detection_keypoint_scores=[[0.75, 0.5], [0, 0]],
    )
    person, dog = detections(outputs, keypoint_classes=frozenset([PERSON]))
    assert person["keypoints"] == [20.0, 20.0, 0.75, 0.0, 0.0, 0.0]
    assert "keypoints" not in dog
