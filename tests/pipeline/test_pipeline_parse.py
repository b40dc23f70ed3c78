"""Errors of model descriptions: each names path, value, what is allowed and what to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.errors import PipelineError
from odbench.pipeline.fields import plain
from odbench.pipeline.parse import parse_fields


def parse(values):
    proto = TrainEvalPipelineConfig()
    parse_fields(values, proto, "model.pipeline")
    return proto


def refuse(values):
    with pytest.raises(PipelineError) as caught:
        parse(values)
    return caught.value


def test_unknown_field_names_path_and_near_names():
    error = refuse({"train_config": {"batch_sizee": 8}})
    assert error.where == "model.pipeline.train_config.batch_sizee"
    assert error.value == "batch_sizee"
    assert "batch_size" in error.allowed
    assert error.fix.startswith("did you mean batch_size")
    assert error.exit_code == 2


def test_unknown_field_with_no_near_name_lists_the_fields():
    error = refuse({"zzz": 1})
    assert error.where == "model.pipeline.zzz"
    assert "train_config" in error.allowed
    assert error.fix == "name a field of TrainEvalPipelineConfig"


def test_unknown_field_inside_a_list_is_numbered():
    options = [{"random_horizontal_flip": {}}, {"random_crop_image": {"min_areaa": 0.5}}]
    error = refuse({"train_config": {"data_augmentation_options": options}})
    assert error.where == (
        "model.pipeline.train_config.data_augmentation_options[1].random_crop_image.min_areaa"
    )


def test_camel_case_is_not_a_second_spelling():
    error = refuse({"trainConfig": {"batch_size": 1}})
    assert error.where == "model.pipeline.trainConfig"
    assert "train_config" in error.fix


def test_unknown_enum_value_lists_the_values():
    values = {"feature_extractor": {"conv_hyperparams": {"activation": "RELU6"}}}
    error = refuse({"model": {"ssd": values}})
    assert error.where == "model.pipeline.model.ssd.feature_extractor.conv_hyperparams.activation"
    assert error.value == "'RELU6'"
    assert error.allowed == "NONE, RELU, RELU_6, SWISH"
    assert error.fix == "did you mean RELU_6?"


def test_two_members_of_one_oneof():
    error = refuse({"model": {"ssd": {}, "center_net": {}}})
    assert error.where == "model.pipeline.model"
    assert sorted(error.value.split(", ")) == ["center_net", "ssd"]
    assert "faster_rcnn" in error.allowed
    assert "=null" in error.fix


def test_one_member_of_a_oneof_can_be_swapped_for_another():
    proto = parse({"model": {"ssd": None, "center_net": {"num_classes": 3}}})
    assert proto.model.WhichOneof("model") == "center_net"


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("batch_size", "8", "an integer"),
        ("batch_size", 0.5, "an integer"),
        ("batch_size", True, "an integer"),
        ("batch_size", -1, "in 0..4294967295"),
        ("batch_size", 2**32, "in 0..4294967295"),
        ("batch_size", float("nan"), "an integer"),
        ("sync_replicas", 1, "true or false"),
        ("sync_replicas", "yes", "true or false"),
        ("gradient_clipping_by_norm", "1e-3", "a finite number"),
        ("gradient_clipping_by_norm", False, "a finite number"),
        ("gradient_clipping_by_norm", float("inf"), "a finite number"),
        ("gradient_clipping_by_norm", 1e39, "a finite number"),
        ("fine_tune_checkpoint", 3, "text"),
        ("freeze_variables", "all", "a list"),
        ("freeze_variables", ["a", None], "text"),
        ("optimizer", 0.1, "fields of Optimizer"),
        ("fine_tune_checkpoint_version", 2, "V1, V2"),
    ],
)
def test_wrong_type_names_path_value_and_type(field, value, allowed):
    error = refuse({"train_config": {field: value}})
    assert error.where.startswith(f"model.pipeline.train_config.{field}")
    assert allowed in error.allowed
    assert error.value is not None


def test_whole_floats_pass_as_integers():
    assert parse({"train_config": {"num_steps": 5e4}}).train_config.num_steps == 50000


def test_null_leaves_a_field_unset_and_empty_sets_a_message():
    proto = parse({"model": {"ssd": {"matcher": None, "similarity_calculator": {}}}})
    assert not proto.model.ssd.HasField("matcher")
    assert proto.model.ssd.HasField("similarity_calculator")


def test_maps():
    keypoints = {"keypoint_label_to_std": {"nose": 0.26, "left_eye": 0.25}}
    proto = parse({"model": {"center_net": {"keypoint_estimation_task": [keypoints]}}})
    task = proto.model.center_net.keypoint_estimation_task[0]
    assert dict(task.keypoint_label_to_std) == pytest.approx({"nose": 0.26, "left_eye": 0.25})
    keypoints["keypoint_label_to_std"]["nose"] = "wide"
    error = refuse({"model": {"center_net": {"keypoint_estimation_task": [keypoints]}}})
    assert error.where.endswith("keypoint_estimation_task[0].keypoint_label_to_std.nose")


def test_a_map_that_is_a_list_is_refused():
    task = {"keypoint_label_to_std": [1.0]}
    error = refuse({"model": {"center_net": {"keypoint_estimation_task": [task]}}})
    assert error.allowed == "a mapping"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "ssd", "train_config", "batch_size", "optimizer", "x"])
            | st.integers(),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_values_either_parse_or_are_refused_by_path(values):
    try:
        proto = parse(values)
    except PipelineError as error:
        assert error.where.startswith("model.pipeline")
    else:
        again = parse(plain(proto))
        assert again == proto
