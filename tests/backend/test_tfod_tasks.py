"""Masks and keypoints by the real engine: small models, every stage, each in its own process."""

import json
import subprocess
import sys

import pytest
from processes import completed

pytestmark = [pytest.mark.tf, pytest.mark.timeout(1200)]

RCNN = "model.pipeline.model.faster_rcnn"
HEAD = f"{RCNN}.second_stage_box_predictor.mask_rcnn_box_predictor"
NET = "model.pipeline.model.center_net"

SHORT = [
    "tracking=none",
    "paths.reports_dir=null",
    "dataset=shapes",
    "dataset.shapes.train_images=8",
    "dataset.shapes.val_images=3",
    "dataset.shapes.image_size=96",
    "dataset.shards=1",
    "train.batch_size=2",
    "timing.warmup_steps=0",
    "timing.measured_steps=1",
    "timing.latency_warmup=1",
    "timing.latency_samples=1",
]
MASKS = [
    "model=mask_rcnn_inception_resnet_v2_1024x1024",
    f"{RCNN}.feature_extractor.type=faster_rcnn_resnet50_keras",
    f"{RCNN}.image_resizer.fixed_shape_resizer.height=96",
    f"{RCNN}.image_resizer.fixed_shape_resizer.width=96",
    f"{RCNN}.first_stage_max_proposals=8",
    f"{RCNN}.second_stage_batch_size=8",
    f"{RCNN}.initial_crop_size=7",
    f"{HEAD}.mask_height=9",
    f"{HEAD}.mask_width=9",
    "model.pipeline.train_config.max_number_of_boxes=6",
]
KEYPOINTS = [
    "model=centernet_mobilenetv2fpn_512x512_kpts",
    f"{NET}.image_resizer.keep_aspect_ratio_resizer.min_dimension=96",
]

_OUTPUTS = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
image = tf.zeros([1, 96, 96, 3], tf.uint8)
found = model.signatures["serving_default"](input_tensor=image)
print(json.dumps({name: value.shape.as_list() for name, value in found.items()}))
"""


def run(folder, *overrides):
    done = completed(folder, "run", *SHORT, *overrides, timeout=1000)
    assert done.returncode == 0, done.stderr
    (path,) = folder.rglob("record.json")
    record = json.loads(path.read_text())
    detections = json.loads((path.parent / record["eval"]["detections"]).read_text())
    return record, detections, path.parent / record["export"]["saved_model"]


def outputs(saved_model):
    command = [sys.executable, "-c", _OUTPUTS, str(saved_model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_a_model_with_masks_trains_and_is_scored_by_them(tmp_path):
    record, detections, saved_model = run(tmp_path, *MASKS)
    assert record["status"] == "ok"
    assert record["train"]["losses"][-1]["losses"]["Loss/BoxClassifierLoss/mask_loss"] > 0
    evaluation = record["eval"]
    assert evaluation["images_evaluated"] == 3
    assert evaluation["mask_metrics"]["AP"] is not None
    assert evaluation["keypoint_metrics"] is None
    assert evaluation["postprocess_s"] > 0
    assert record["metrics"]["eval/mask_AP"] == evaluation["mask_metrics"]["AP"]
    # a network of random weights may call everything background and find nothing
    assert all(found["segmentation"]["size"] == [96, 96] for found in detections)
    shapes = outputs(saved_model)
    assert shapes["detection_masks"][2:] == [9, 9]
    assert shapes["detection_boxes"][:2] == shapes["detection_masks"][:2]


def test_a_model_with_keypoints_trains_and_is_scored_by_them(tmp_path):
    record, detections, saved_model = run(tmp_path, *KEYPOINTS)
    assert record["status"] == "ok"
    names = ("heatmap", "offset", "regression")
    losses = record["train"]["losses"][-1]["losses"]
    learnt = [name for name in losses if "human_pose_" in name and name.endswith(names)]
    assert len(learnt) == 9  # three heads for each of three classes
    evaluation = record["eval"]
    assert evaluation["keypoint_metrics"]["AP"] is not None
    assert evaluation["mask_metrics"] is None
    assert record["metrics"]["eval/keypoint_AP"] == evaluation["keypoint_metrics"]["AP"]
    # circle 5, square 5 and triangle 4 keypoints: every record has a place for each of them
    assert {len(found["keypoints"]) for found in detections} == {3 * 14}
    shapes = outputs(saved_model)
    assert shapes["detection_keypoints"] == [1, 100, 14, 2]
    assert shapes["detection_keypoint_scores"] == [1, 100, 14]


# Pastes random masks as the API does, all of a picture at once.
_REFRAME = """
from odbench.backend.tfod import compat
compat.prepare_environment()
compat.install()
import numpy as np
from object_detection.utils import ops
from odbench.backend.tfod.outputs import paste
rng = np.random.default_rng(0)
masks = rng.random((40, 7, 9)).astype(np.float32)
corners = np.sort(rng.uniform(-0.1, 1.1, (40, 2, 2)), axis=1).astype(np.float32)
boxes = corners.reshape(40, 4)  # ymin, xmin, ymax, xmax
drawn = ops.reframe_box_masks_to_image_masks(masks, boxes, 53, 71).numpy()
ours = np.stack([paste(mask, box, (53, 71)) for mask, box in zip(masks, boxes)])
clear = abs(drawn - 0.5) > 1e-4
print(int((ours != (drawn > 0.5))[clear].sum()), int(ours.sum()), float(clear.mean()))
"""


def test_masks_are_pasted_as_the_api_pastes_them():
    done = subprocess.run(
        [sys.executable, "-c", _REFRAME], capture_output=True, text=True, timeout=400, check=True
    )
    different, covered, clear = done.stdout.strip().splitlines()[-1].split()
    assert int(different) == 0
    assert int(covered) > 1000
    assert float(clear) > 0.99
