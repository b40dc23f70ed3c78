"""The models of conf/model, composed as a run composes them."""

import csv
import statistics
from functools import cache
from pathlib import Path

import pytest
from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig
from omegaconf import OmegaConf

from odbench.config.compose import compose_spec
from odbench.config.refused import REFUSED_MODELS
from odbench.config.register import data_dir
from odbench.pipeline.build import base_proto, build_pipeline
from odbench.pipeline.fields import clear, flatten
from odbench.pipeline.read import read_pipeline

ENTRIES = sorted(data_dir("conf").glob("model/*.yaml"))
FILES = [*ENTRIES, *sorted(data_dir("conf").glob("model/family/*.yaml"))]
MODELS = [path.stem for path in ENTRIES]
FAMILIES = {"ssd", "ssd_fpn", "efficientdet", "faster_rcnn", "mask_rcnn", "centernet"}

# Of the zoo, but without a published configuration: see `composed_from`.
COMPOSED = {
    "centernet_mobilenetv2fpn_512x512",
    "centernet_mobilenetv2fpn_512x512_kpts",
    "centernet_resnet50_v1_fpn_512x512",
    "centernet_resnet50_v2_512x512",
    "faster_rcnn_inception_resnet_v2_1024x1024",
    "faster_rcnn_inception_resnet_v2_640x640",
}
OURS_ALONE = {"ssd_mobilenet_v2_fpnlite_128x128"}
PUBLISHED = [name for name in MODELS if name not in COMPOSED | OURS_ALONE]

# What stands for a place on disk in the published files.
PATHS = (
    "train_config.fine_tune_checkpoint",
    "train_input_reader.label_map_path",
    "train_input_reader.tf_record_input_reader.input_path",
    "eval_input_reader[0].label_map_path",
    "eval_input_reader[0].tf_record_input_reader.input_path",
)
KEYPOINT_PATH = "model.center_net.keypoint_label_map_path"


@cache
def spec_of(name, *overrides):
    return compose_spec([f"model={name}", *overrides])


def model_of(name, *overrides):
    return spec_of(name, *overrides).model


def differences(ours, theirs):
    a, b = flatten(ours), flatten(theirs)
    return [
        f"{path}: ours {a.get(path, 'not set')}, published {b.get(path, 'not set')}"
        for path in sorted(a.keys() | b.keys())
        if a.get(path, "not set") != b.get(path, "not set")
    ]


def published_file(name, folder):
    """The published file of a model: most are named otherwise than their tarballs."""
    stem = name.replace("_hg104_", "_hourglass104_")
    pattern = f"ssd_{stem}_*x*" if name.startswith("efficientdet") else stem
    [path] = folder.glob(f"{pattern}_coco17_?pu-*.config")
    return path


@pytest.mark.shared
@pytest.mark.parametrize("name", PUBLISHED)
def test_model_equals_the_published_file(name, published_dir):
    ours = base_proto(model_of(name))
    theirs = read_pipeline(published_file(name, published_dir))
    for path in PATHS:
        clear(theirs, path)
    if theirs.model.HasField("center_net"):
        clear(theirs, KEYPOINT_PATH)
    assert differences(ours, theirs) == []
    assert ours == theirs


@pytest.mark.shared
def test_every_published_file_of_the_zoo_is_compared(published_dir):
    compared = {published_file(name, published_dir) for name in PUBLISHED}
    other = [path for path in published_dir.glob("*.config") if path not in compared]
    assert [path.name for path in other if "deepmac" not in path.name] == []


@pytest.mark.shared
def test_every_row_of_the_zoo_table_is_a_model(published_dir):
    table = published_dir.parents[1] / "facts" / "tf2_zoo.csv"
    with table.open(encoding="utf-8", newline="") as file:
        tarballs = [row["basename"] for row in csv.DictReader(file)]
    assert len(tarballs) == 43
    names = {name_of(tarball) for tarball in tarballs}
    assert names - set(REFUSED_MODELS) == {name for name in MODELS if model_of(name).zoo}


def name_of(tarball):
    """What comes before ``_coco17``; keypoint models end in ``_kpts``."""
    name, _, rest = tarball.partition("_coco17")
    return name if rest != "_kpts" else name + rest


@pytest.mark.parametrize("name", MODELS)
def test_a_model_without_a_published_file_says_what_it_comes_from(name):
    sibling = model_of(name).composed_from
    assert (sibling is not None) == (name in COMPOSED)
    assert sibling is None or sibling in PUBLISHED


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
    assert [path for path in flat if path in (*PATHS, KEYPOINT_PATH)] == []


@pytest.mark.parametrize("name", MODELS)
def test_text_reads_back(name):
    proto = base_proto(model_of(name))
    text = text_format.MessageToString(proto)
    assert text_format.Parse(text, TrainEvalPipelineConfig()) == proto


@pytest.mark.parametrize("name", MODELS)
def test_a_run_of_every_model_has_a_configuration(name, dataset):
    built = build_pipeline(spec_of(name), dataset)
    architecture = built.proto.model.WhichOneof("model")
    assert getattr(built.proto.model, architecture).num_classes == 3
    assert "train_config.batch_size" in {edit.field for edit in built.edits}


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


def leaves(values, prefix=""):
    """Dotted paths to values; a list is one value, as Hydra merges it."""
    flat = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        flat |= leaves(value, f"{path}.") if isinstance(value, dict) and value else {path: value}
    return flat


@cache
def own_and_inherited(path):
    """What a file of conf/model says itself, and what the files that it is composed of say."""
    values = OmegaConf.to_container(OmegaConf.load(path))
    inherited = {}
    for entry in values.pop("defaults", []):
        if entry != "_self_":
            [(name, parent)] = entry.items() if isinstance(entry, dict) else [(entry, None)]
            assert parent is None and name.endswith("@_here_")
            own, more = own_and_inherited(path.parent / f"{name.removesuffix('@_here_')}.yaml")
            inherited |= more | own
    return leaves(values), inherited


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_file_repeats_what_it_is_composed_of(path):
    own, inherited = own_and_inherited(path)
    assert [field for field in own if field in inherited and own[field] == inherited[field]] == []


def test_model_files_are_short():
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in ENTRIES]
    assert statistics.median(lines) <= 15


def test_family_files_are_all_used():
    folder = Path(data_dir("conf")) / "model"
    text = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.yaml"))
    assert [p.stem for p in folder.glob("family/*.yaml") if f"{p.stem}@_here_" not in text] == []
