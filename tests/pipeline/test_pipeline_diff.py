"""Differences of configurations: only what has another effect, by field path, both ways alike."""

import struct

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.pipeline.diff import FieldChange, diff_protos
from odbench.pipeline.fields import clear, put
from odbench.pipeline.read import read_pipeline

COSINE = "train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate"
NMS = "model.ssd.post_processing.batch_non_max_suppression"


def proto_of(text):
    return text_format.Parse(text, TrainEvalPipelineConfig())


def diff(a, b):
    return diff_protos(proto_of(a), proto_of(b))


def steps(*texts):
    options = "".join(f"data_augmentation_options {{ {text} }}" for text in texts)
    return f"train_config {{ batch_size: 8 {options} }}"


def test_a_changed_value():
    assert diff("train_config { batch_size: 8 }", "train_config { batch_size: 4 }") == [
        FieldChange("train_config.batch_size", 8, 4)
    ]


def test_an_unset_field_is_shown_as_its_default():
    nms = "model {{ ssd {{ post_processing {{ batch_non_max_suppression {{ {} }} }} }} }}"
    (change,) = diff(nms.format("use_hard_nms: false"), nms.format("iou_threshold: 0.5"))
    assert change == FieldChange(f"{NMS}.iou_threshold", 0.6, 0.5, old_set=False)
    (change,) = diff(
        "train_config { fine_tune_checkpoint_version: V2 }", "train_config { batch_size: 32 }"
    )
    assert change == FieldChange(
        "train_config.fine_tune_checkpoint_version", "V2", "V1", new_set=False
    )


def test_a_field_set_to_its_default_is_no_difference():
    assert diff("train_config { }", "train_config { batch_size: 32 bias_grad_multiplier: 0 }") == []


def test_floats_are_compared_with_32_bits():
    text = "train_config {{ gradient_clipping_by_norm: {} }}"
    assert diff(text.format("0.1"), text.format("0.100000001490116")) == []
    (change,) = diff(text.format("0.1"), text.format("0.2"))
    assert (change.old, change.new) == (0.1, 0.2)


def test_an_empty_message_is_there_or_not():
    optimizer = "train_config {{ optimizer {{ {} }} }}"
    (change,) = diff(optimizer.format("adam_optimizer { }"), optimizer.format(""))
    path = "train_config.optimizer.adam_optimizer"
    assert change == FieldChange(path, {}, None, new_set=False)


def test_another_member_of_a_oneof():
    changes = diff("model { ssd { num_classes: 3 } }", "model { faster_rcnn { num_classes: 3 } }")
    assert sorted((c.path, c.old, c.new) for c in changes) == [
        ("model.faster_rcnn.num_classes", None, 3),
        ("model.ssd.num_classes", 3, None),
    ]


def test_one_more_element_at_the_front_is_one_difference():
    flip, crop, hue = (
        "random_horizontal_flip { }",
        "ssd_random_crop { }",
        "random_adjust_hue { max_delta: 0.1 }",
    )
    (change,) = diff(steps(flip, crop), steps(hue, flip, crop))
    path = "train_config.data_augmentation_options[0].random_adjust_hue.max_delta"
    assert change == FieldChange(path, None, 0.1, old_set=False)


def test_a_changed_element_that_has_moved_has_both_places():
    one = steps("random_horizontal_flip { }", "random_adjust_hue { max_delta: 0.1 }")
    two = steps("random_adjust_hue { max_delta: 0.2 }")
    options = "train_config.data_augmentation_options"
    assert diff(one, two) == [
        FieldChange(f"{options}[0].random_horizontal_flip", {}, None, new_set=False),
        FieldChange(
            f"{options}[0].random_adjust_hue.max_delta",
            0.1,
            0.2,
            old_path=f"{options}[1].random_adjust_hue.max_delta",
        ),
    ]


def test_elements_that_change_places_are_a_difference():
    one, two = "random_horizontal_flip { }", "ssd_random_crop { }"
    changes = diff(steps(one, two), steps(two, one))
    assert len(changes) == 2
    assert {c.old_set for c in changes} == {True, False}


def test_a_reader_with_a_field_more_is_the_same_reader():
    (change,) = diff(
        'eval_input_reader { label_map_path: "a" shuffle: false }',
        'eval_input_reader { label_map_path: "a" shuffle: false num_epochs: 1 }',
    )
    assert change == FieldChange("eval_input_reader[0].num_epochs", 0, 1, old_set=False)


def test_a_list_of_values_is_one_value():
    reader = "train_input_reader {{ tf_record_input_reader {{ {} }} }}"
    (change,) = diff(reader.format('input_path: "a"'), reader.format('input_path: ["a", "b"]'))
    assert (change.old, change.new) == (["a"], ["a", "b"])
    (change,) = diff(reader.format(""), reader.format('input_path: "a"'))
    assert (change.old, change.old_set) == ([], False)


def test_maps_are_compared_by_key():
    task = "model {{ center_net {{ keypoint_estimation_task {{ task_name: 'a' {} }} }} }}"
    std = "keypoint_label_to_std {{ key: '{}' value: {} }}"
    old = task.format(std.format("nose", 0.1) + std.format("ear", 0.2))
    new = task.format(std.format("ear", 0.2) + std.format("nose", 0.3))
    (change,) = diff(old, new)
    where = "model.center_net.keypoint_estimation_task[0].keypoint_label_to_std.nose"
    assert change == FieldChange(where, 0.1, 0.3)


def test_json_names_the_old_place_only_where_it_differs():
    assert "old_path" not in FieldChange("a", 1, 2).as_json()
    assert FieldChange("a[1]", 1, 2, old_path="a[0]").as_json()["old_path"] == "a[0]"


FLOATS = st.floats(0, 1, width=32)
INTEGERS = st.integers(1, 2**31 - 1)
FIELDS = {
    "train_config.batch_size": INTEGERS,
    "train_config.num_steps": INTEGERS,
    "train_config.sync_replicas": st.booleans(),
    "train_config.gradient_clipping_by_norm": FLOATS,
    "train_config.fine_tune_checkpoint": st.text(max_size=5),
    "train_config.fine_tune_checkpoint_version": st.sampled_from(["UNKNOWN", "V1", "V2"]),
    "model.ssd.num_classes": INTEGERS,
    f"{COSINE}.learning_rate_base": FLOATS,
    f"{COSINE}.warmup_steps": INTEGERS,
    f"{NMS}.iou_threshold": FLOATS,
    "train_input_reader.tf_record_input_reader.input_path": st.lists(st.text(max_size=3)),
}
STEPS = st.lists(
    st.one_of(
        st.just({"random_horizontal_flip": {}}),
        st.just({"ssd_random_crop": {}}),
        st.builds(lambda x: {"random_adjust_hue": {"max_delta": x}}, FLOATS),
        st.builds(lambda x: {"random_jitter_boxes": {"ratio": x}}, FLOATS),
    ),
    max_size=5,
)
SCALARS = st.fixed_dictionaries({}, optional=FIELDS)


def built(fields, options=()):
    proto = TrainEvalPipelineConfig()
    # all messages are there on both sides: what is compared here are values
    for path in ("train_config", COSINE, NMS, "train_input_reader.tf_record_input_reader"):
        put(proto, path, {})
    for path, value in fields.items():
        put(proto, path, value)
    put(proto, "train_config.data_augmentation_options", list(options))
    return proto


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


@settings(max_examples=60, deadline=None)
@given(SCALARS, STEPS)
def test_nothing_differs_from_itself(fields, options):
    assert diff_protos(built(fields, options), built(fields, options)) == []


@settings(max_examples=100, deadline=None)
@given(SCALARS, SCALARS)
def test_applying_the_changes_of_values_gives_the_other(old, new):
    a, b = built(old), built(new)
    for change in diff_protos(a, b):
        put(a, change.path, change.new) if change.new_set else clear(a, change.path)
    assert diff_protos(a, b) == []
    for path in FIELDS:
        expected = new.get(path)
        if isinstance(expected, float):
            assert effective_float(a, path) == float32(expected)


def effective_float(proto, path):
    for step in path.split("."):
        proto = getattr(proto, step)
    return proto


@settings(max_examples=100, deadline=None)
@given(SCALARS, SCALARS, STEPS, STEPS)
def test_the_other_way_has_the_same_changes_turned(old, new, before, after):
    a, b = built(old, before), built(new, after)
    there, back = diff_protos(a, b), diff_protos(b, a)
    assert sorted(map(repr, back)) == sorted(repr(change.turned()) for change in there)
    assert [change.turned().turned() for change in there] == there


@settings(max_examples=100, deadline=None)
@given(STEPS, STEPS)
def test_an_element_is_told_of_as_gone_or_new_or_changed(before, after):
    changes = diff_protos(built({}, before), built({}, after))
    gone = sum(not change.new_set for change in changes)
    new = sum(not change.old_set for change in changes)
    assert len(after) - len(before) == new - gone
    assert bool(changes) == (built({}, before) != built({}, after))


@pytest.mark.shared
def test_published_siblings_differ_in_little(published_dir):
    a, b = (
        read_pipeline(published_dir / f"ssd_efficientdet_{name}_coco17_tpu-8.config")
        for name in ("d0_512x512", "d1_640x640")
    )
    changes = diff_protos(a, b)
    assert {change.path for change in changes} == {
        "model.ssd.image_resizer.keep_aspect_ratio_resizer.min_dimension",
        "model.ssd.image_resizer.keep_aspect_ratio_resizer.max_dimension",
        "model.ssd.feature_extractor.type",
        "model.ssd.feature_extractor.bifpn.num_iterations",
        "model.ssd.feature_extractor.bifpn.num_filters",
        "model.ssd.box_predictor.weight_shared_convolutional_box_predictor.depth",
        "train_config.data_augmentation_options[1].random_scale_crop_and_pad_to_square.output_size",
    }
    assert all(change.old_set and change.new_set for change in changes)
