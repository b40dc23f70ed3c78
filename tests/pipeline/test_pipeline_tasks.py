"""Models with masks and keypoints are fitted to the data set, or refused with the reason."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odbench.config.compose import compose_spec
from odbench.errors import DatasetError, PipelineError
from odbench.evaluation.keypoints import COCO_SIGMAS, DEFAULT_SIGMA
from odbench.pipeline.build import build_pipeline
from odbench.pipeline.fields import get
from odbench.pipeline.flips import mirrored
from odbench.pipeline.tasks import predicts_keypoints, predicts_masks

MASKS = "mask_rcnn_inception_resnet_v2_1024x1024"
KEYPOINTS = "centernet_resnet50_v1_fpn_512x512_kpts"
BOXES = "ssd_mobilenet_v2_fpnlite_320x320"
COCO_FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
TASK = "model.center_net.keypoint_estimation_task"
FLIP = "train_config.data_augmentation_options[0].random_horizontal_flip.keypoint_flip_permutation"


def build(dataset, model, *overrides, **changes):
    return build_pipeline(compose_spec([f"model={model}", *overrides]), replace(dataset, **changes))


def edited(pipeline):
    return {edit.field: edit.new for edit in pipeline.edits}


def test_which_models_predict_what(dataset):
    for model, expected in (
        (MASKS, (True, False)),
        (KEYPOINTS, (False, True)),
        (BOXES, (False,) * 2),
    ):
        proto = build(dataset, model).proto
        assert (predicts_masks(proto), predicts_keypoints(proto)) == expected


def test_models_of_boxes_are_left_alone(dataset):
    with_more, without = build(dataset, BOXES), build(dataset, BOXES, keypoints={}, has_masks=False)
    assert with_more.edits == without.edits


def test_masks_are_read_as_the_records_have_them(dataset):
    off = "model.pipeline.train_input_reader.load_instance_masks=false"
    pipeline = build(dataset, MASKS, off)
    assert edited(pipeline)["train_input_reader.load_instance_masks"] is True
    for reader in (pipeline.proto.train_input_reader, pipeline.proto.eval_input_reader[0]):
        assert reader.load_instance_masks
        assert reader.mask_type == 2  # PNG


def test_a_data_set_without_masks_is_refused(dataset):
    with pytest.raises(DatasetError, match="has none") as caught:
        build(dataset, MASKS, has_masks=False)
    assert "dataset=shapes" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_data_set_without_keypoints_is_refused(dataset):
    with pytest.raises(DatasetError, match="keypoints") as caught:
        build(dataset, KEYPOINTS, keypoints={})
    assert "person_keypoints" in str(caught.value)


def test_cocos_own_keypoints_stay_as_published(dataset):
    pipeline = build(dataset, KEYPOINTS, keypoints={"square": list(COCO_SIGMAS)})
    edits = edited(pipeline)
    (task,) = edits[TASK]
    assert task["keypoint_class_name"] == "square"
    assert task["task_name"] == "human_pose"
    assert task["keypoint_label_to_std"]["left_hip"] == 1.07
    assert edits["model.center_net.keypoint_label_map_path"] == str(dataset.label_map)
    assert get(pipeline.proto, FLIP) == COCO_FLIP
    assert FLIP not in edits
    assert "eval_config.keypoint_edge" not in edits
    assert pipeline.proto.train_input_reader.num_keypoints == 17


def test_other_keypoints_of_one_class(dataset):
    pipeline = build(dataset, KEYPOINTS)
    edits = edited(pipeline)
    (task,) = edits[TASK]
    assert task["keypoint_label_to_std"] == {"left_top": 1.0, "right_top": 1.0, "centre": 1.0}
    assert edits[FLIP] == [1, 0, 2]
    assert edits["train_input_reader.num_keypoints"] == 3
    assert edits["eval_input_reader[0].num_keypoints"] == 3
    assert edits["eval_config.keypoint_edge"] is None or edits["eval_config.keypoint_edge"] == []
    (metric,) = edits["eval_config.parameterized_metric"]
    metric = metric["coco_keypoint_metrics"]
    assert metric["class_label"] == "square"
    assert set(metric["keypoint_label_to_sigmas"].values()) == {DEFAULT_SIGMA}


def test_a_task_for_every_class_with_keypoints(dataset):
    points = {"circle": ["c_left", "c_right"], "square": ["s_left", "s_right", "s_centre"]}
    pipeline = build(dataset, KEYPOINTS, keypoints=points)
    tasks = edited(pipeline)[TASK]
    assert [task["keypoint_class_name"] for task in tasks] == ["circle", "square"]
    assert [task["task_name"] for task in tasks] == ["human_pose_circle", "human_pose_square"]
    assert edited(pipeline)[FLIP] == [1, 0, 3, 2, 4]
    assert pipeline.proto.train_input_reader.num_keypoints == 5


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"circle": ["tip"], "square": ["tip"]}, "share a keypoint's name"),
        ({"circle": ["tip"], "star": ["end"]}, "without objects"),
    ],
)
def test_keypoints_that_cannot_be_numbered(dataset, points, message):
    with pytest.raises(DatasetError, match=message):
        build(dataset, KEYPOINTS, keypoints=points)


def test_tasks_of_other_classes_are_refused(dataset):
    spec = compose_spec([f"model={KEYPOINTS}"])
    tasks = spec.model.pipeline["model"]["center_net"]["keypoint_estimation_task"]
    tasks.append({**tasks[0], "task_name": "more", "keypoint_class_name": "dog"})
    with pytest.raises(PipelineError, match="other classes") as caught:
        build_pipeline(spec, dataset)
    assert "dog" in str(caught.value)


def test_flips_of_unnamed_keypoints_are_asked_for(dataset):
    numbered = {"square": ["1", "2", "3"]}
    with pytest.raises(PipelineError, match="takes which one's place") as caught:
        build(dataset, KEYPOINTS, keypoints=numbered)
    assert "augmentation=none" in str(caught.value)
    assert FLIP in str(caught.value)
    build(dataset, KEYPOINTS, "augmentation=none", keypoints=numbered)
    given_one = "[{random_horizontal_flip: {keypoint_flip_permutation: [2, 1, 0]}}]"
    pipeline = build(dataset, KEYPOINTS, f"augmentation.options={given_one}", keypoints=numbered)
    assert get(pipeline.proto, FLIP) == [2, 1, 0]


@pytest.mark.parametrize("kind", ["random_vertical_flip", "random_rotation90"])
def test_other_turns_need_their_permutation(dataset, kind):
    with pytest.raises(PipelineError, match="takes which one's place"):
        build(dataset, KEYPOINTS, f"augmentation.options=[{{{kind}: {{}}}}]")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (list(COCO_SIGMAS), COCO_FLIP),
        (["star_upper_right", "star_upper_left", "star_top"], [1, 0, 2]),
        (["Left ear", "Right ear"], [1, 0]),
        (["nose", "tail"], [0, 1]),
        (["cleft", "bright"], [0, 1]),
        (["left_eye", "nose"], None),
        (["0", "1"], None),
    ],
)
def test_mirrors(names, expected):
    assert mirrored(names) == expected


@given(
    st.lists(st.sampled_from("abcd"), unique=True), st.lists(st.sampled_from("wxyz"), unique=True)
)
def test_a_mirror_seen_in_a_mirror_is_the_object(paired, single):
    names = [f"{side}_{name}" for name in paired for side in ("right", "left")] + single
    if names:
        flip = mirrored(names)
        assert [flip[place] for place in flip] == list(range(len(names)))
