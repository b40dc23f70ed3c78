"""The models of conf/model, composed as a run composes them."""

from functools import cache
from pathlib import Path

import pytest
from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.config.compose import compose_spec
from odbench.config.register import data_dir
from odbench.pipeline.build import base_proto
from odbench.pipeline.fields import clear, flatten
from odbench.pipeline.read import read_pipeline

# Our name to the published file, where there is one.
PUBLISHED = {
    "ssd_mobilenet_v2_320x320": "ssd_mobilenet_v2_320x320_coco17_tpu-8",
    "ssd_mobilenet_v2_fpnlite_320x320": "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8",
    "ssd_resnet50_v1_fpn_640x640": "ssd_resnet50_v1_fpn_640x640_coco17_tpu-8",
    "efficientdet_d0": "ssd_efficientdet_d0_512x512_coco17_tpu-8",
    "faster_rcnn_resnet50_v1_640x640": "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8",
    "centernet_resnet101_v1_fpn_512x512": "centernet_resnet101_v1_fpn_512x512_coco17_tpu-8",
}
MODELS = sorted(path.stem for path in data_dir("conf").glob("model/*.yaml"))
FAMILIES = {"ssd", "ssd_fpn", "efficientdet", "faster_rcnn", "centernet"}

# What stands for a place on disk in the published files.
PATHS = (
    "train_config.fine_tune_checkpoint",
    "train_input_reader.label_map_path",
    "train_input_reader.tf_record_input_reader.input_path",
    "eval_input_reader[0].label_map_path",
    "eval_input_reader[0].tf_record_input_reader.input_path",
)


@cache
def model_of(name, *overrides):
    return compose_spec([f"model={name}", *overrides]).model


def differences(ours, theirs):
    a, b = flatten(ours), flatten(theirs)
    return [
        f"{path}: ours {a.get(path, 'not set')}, published {b.get(path, 'not set')}"
        for path in sorted(a.keys() | b.keys())
        if a.get(path, "not set") != b.get(path, "not set")
    ]


def test_the_zoo_models_here_are_those_compared():
    assert set(PUBLISHED) == {name for name in MODELS if model_of(name).zoo}


@pytest.mark.shared
@pytest.mark.parametrize("name", PUBLISHED)
def test_model_equals_the_published_file(name, published_dir):
    ours = base_proto(model_of(name))
    theirs = read_pipeline(published_dir / f"{PUBLISHED[name]}.config")
    for path in PATHS:
        clear(theirs, path)
    assert differences(ours, theirs) == []
    assert ours == theirs


@pytest.mark.parametrize("name", MODELS)
def test_model_file_names_itself_and_its_family(name):
    model = model_of(name)
    assert model.name == name
    assert model.family in FAMILIES


@pytest.mark.parametrize("name", MODELS)
def test_numbers_arrive_as_numbers(name):
    def texts(value):
        if isinstance(value, dict):
            return [text for item in value.values() for text in texts(item)]
        if isinstance(value, list):
            return [text for item in value for text in texts(item)]
        return [value] if isinstance(value, str) else []

    def is_number(text):
        try:
            float(text)
        except ValueError:
            return False
        return True

    found = texts(model_of(name).pipeline)
    assert found
    assert [text for text in found if is_number(text)] == []


@pytest.mark.parametrize("name", MODELS)
def test_model_files_name_no_path(name):
    flat = flatten(base_proto(model_of(name)))
    assert [path for path in flat if path in PATHS] == []


@pytest.mark.parametrize("name", MODELS)
def test_text_reads_back(name):
    proto = base_proto(model_of(name))
    text = text_format.MessageToString(proto)
    assert text_format.Parse(text, TrainEvalPipelineConfig()) == proto


def test_small_model_has_predictions_for_each_of_its_levels():
    ssd = base_proto(model_of("ssd_mobilenet_v2_fpnlite_128x128")).model.ssd
    pyramid, anchors = ssd.feature_extractor.fpn, ssd.anchor_generator.multiscale_anchor_generator
    assert (pyramid.min_level, pyramid.max_level) == (anchors.min_level, anchors.max_level)


def test_null_takes_back_what_the_family_sets():
    train = base_proto(model_of("ssd_mobilenet_v2_fpnlite_128x128")).train_config
    assert not train.HasField("fine_tune_checkpoint_version")
    assert not train.HasField("fine_tune_checkpoint_type")


def test_one_size_sets_all_sizes_of_efficientdet():
    size = "model.pipeline.model.ssd.image_resizer.keep_aspect_ratio_resizer.min_dimension=640"
    proto = base_proto(model_of("efficientdet_d0", size))
    crop = proto.train_config.data_augmentation_options[1].random_scale_crop_and_pad_to_square
    resizer = proto.model.ssd.image_resizer.keep_aspect_ratio_resizer
    assert (resizer.min_dimension, resizer.max_dimension, crop.output_size) == (640, 640, 640)


def test_any_field_can_be_added_and_taken_away_on_the_command_line():
    model = model_of(
        "ssd_resnet50_v1_fpn_640x640",
        "model.pipeline.train_config.gradient_clipping_by_norm=10",
        "model.pipeline.train_config.use_bfloat16=null",
    )
    train = base_proto(model).train_config
    assert train.gradient_clipping_by_norm == 10.0
    assert not train.HasField("use_bfloat16")


def test_family_files_are_all_used():
    folder = Path(data_dir("conf")) / "model"
    text = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.yaml"))
    assert [p.stem for p in folder.glob("family/*.yaml") if f"{p.stem}@_here_" not in text] == []
