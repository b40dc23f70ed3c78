"""The API's own decoder reads the masks and keypoints of the embedded set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from api_decoder import decoded

from odbench.config.compose import compose_spec
from odbench.dataset.masks import decode_mask
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.synthetic import make_shapes

# As the input of a Mask R-CNN configures it: the decoder is built from its input_reader.
DECODE = """
from google.protobuf import text_format
from object_detection.builders import decoder_builder
reader = text_format.Parse(
    'load_instance_masks: true mask_type: PNG_MASKS num_keypoints: 14 '
    'label_map_path: "%s" tf_record_input_reader { input_path: "unused" }' % sys.argv[1],
    input_reader_pb2.InputReader(),
)
decoder = decoder_builder.build(reader)
for record in tf.data.TFRecordDataset(sys.argv[2:]):
    tensors = decoder.decode(record)
    masks = tensors["groundtruth_instance_masks"].numpy()
    print("@" + json.dumps({
        "filename": tensors["filename"].numpy().decode(),
        "shape": list(masks.shape),
        "dtype": str(masks.dtype),
        "values": sorted(set(masks.ravel().tolist())),
        "set": [[int(i) for i in mask.ravel().nonzero()[0]] for mask in masks],
        "weights": tensors["groundtruth_instance_mask_weights"].numpy().tolist(),
        "classes": tensors["groundtruth_classes"].numpy().tolist(),
        "boxes": tensors["groundtruth_boxes"].numpy().tolist(),
        "area": tensors["groundtruth_area"].numpy().tolist(),
        "keypoints": tensors["groundtruth_keypoints"].numpy().tolist(),
        "visible": tensors["groundtruth_keypoint_visibilities"].numpy().tolist(),
    }))
"""


@pytest.mark.tf
def test_masks_boxes_and_keypoints_are_those_that_were_drawn(tmp_path):
    spec = compose_spec(["dataset=shapes"]).dataset
    spec = replace(spec, shapes=replace(spec.shapes, train_images=6, val_images=1, image_size=96))
    dataset = prepare_dataset(spec, tmp_path)
    read = decoded(DECODE, dataset.label_map, dataset.splits["train"].records)
    drawn = {image.filename: image for image in make_shapes(spec.shapes)["train"]}
    assert sorted(found["filename"] for found in read) == sorted(drawn)
    assert sum(len(image.boxes) for image in drawn.values()) > 6
    for found in read:
        image = drawn[found["filename"]]
        boxes, (height, width) = image.boxes, (image.height, image.width)
        assert (found["shape"], found["dtype"]) == ([len(boxes), height, width], "float32")
        assert found["values"] == [0, 1]
        masks = [decode_mask(box.mask_png) for box in boxes]
        assert found["set"] == [np.flatnonzero(mask).tolist() for mask in masks]
        assert found["weights"] == [1 for _ in boxes]
        assert found["classes"] == [dataset.class_ids[box.label] for box in boxes]
        assert found["area"] == [mask.sum() for mask in masks]
        sides = [[b.ymin / height, b.xmin / width, b.ymax / height, b.xmax / width] for b in boxes]
        assert np.array(found["boxes"]) == pytest.approx(np.array(sides), abs=1e-6)
        seen = [[bool(visibility) for *_, visibility in box.keypoints] for box in boxes]
        assert found["visible"] == seen
        points = np.array([[[y / height, x / width] for x, y, _ in b.keypoints] for b in boxes])
        labelled = np.array(seen)
        assert np.array(found["keypoints"])[labelled] == pytest.approx(points[labelled], abs=1e-6)
