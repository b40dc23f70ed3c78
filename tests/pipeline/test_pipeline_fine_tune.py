"""The fields that say what training starts from, and what does not fit before training."""

import pytest
from checkpoint_builders import BACKBONE, FASTER_RCNN, SSD, write_checkpoint

from odbench.config.compose import compose_spec
from odbench.errors import PipelineError
from odbench.pipeline.build import build_pipeline
from odbench.pipeline.bundle import read_bundle
from odbench.pipeline.starting import inspect

FIELD = "train_config.fine_tune_checkpoint"
MODELS = {
    "ssd": "ssd_mobilenet_v2_320x320",
    "efficientdet": "efficientdet_d0",
    "faster_rcnn": "faster_rcnn_resnet50_v1_640x640",
    "centernet": "centernet_resnet101_v1_fpn_512x512",
}


@pytest.fixture
def start(tmp_path):
    def make(name):
        return inspect(read_bundle(write_checkpoint(tmp_path / "ckpt-5", {name: (1,)})))

    return make


def build(dataset, start, *overrides):
    return build_pipeline(compose_spec(["train.init=x", *overrides]), dataset, start)


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("holds", ["detection", "classification"])
def test_the_type_is_what_the_checkpoint_holds(dataset, start, family, holds):
    detector = FASTER_RCNN if family == "faster_rcnn" else SSD
    begin = start(detector if holds == "detection" else BACKBONE)
    pipeline = build(dataset, begin, f"model={MODELS[family]}")
    train = pipeline.proto.train_config
    assert train.fine_tune_checkpoint == str(begin.prefix)
    assert train.fine_tune_checkpoint_type == holds
    assert train.fine_tune_checkpoint_version == 2
    assert FIELD in {edit.field for edit in pipeline.edits}


def test_edits_of_a_model_without_the_fields(dataset, start):
    begin = start(SSD)
    edits = {e.field: (e.old, e.new) for e in build(dataset, begin).edits}
    assert edits[FIELD] == (None, str(begin.prefix))
    assert edits[f"{FIELD}_type"] == (None, "detection")
    assert edits[f"{FIELD}_version"] == (None, "V2")


def test_full_where_it_is_asked_for(dataset, start):
    pipeline = build(dataset, start(SSD), f"model.pipeline.{FIELD}_type=full")
    assert pipeline.proto.train_config.fine_tune_checkpoint_type == "full"


def refuse(dataset, start, *overrides):
    with pytest.raises(PipelineError) as caught:
        build(dataset, start, *overrides)
    return caught.value


def test_full_of_a_backbone_is_refused(dataset, start):
    error = refuse(dataset, start(BACKBONE), f"model.pipeline.{FIELD}_type=full")
    assert (error.where, error.allowed) == (f"model.pipeline.{FIELD}_type", "classification")


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("kind", ["fine_tune", "detectionn"])
def test_a_type_that_the_architecture_does_not_know(dataset, start, family, kind):
    detector = FASTER_RCNN if family == "faster_rcnn" else SSD
    overrides = [f"model={MODELS[family]}", f"model.pipeline.{FIELD}_type={kind}"]
    error = refuse(dataset, start(detector), *overrides)
    assert error.where == f"model.pipeline.{FIELD}_type"
    assert error.allowed == "classification, detection, full"


def test_a_checkpoint_of_another_architecture(dataset, start):
    error = refuse(dataset, start(FASTER_RCNN))
    assert "another architecture" in error.what
    assert "faster_rcnn" in error.value
    assert "ssd_mobilenet_v2_fpn_keras" in error.allowed
    assert refuse(dataset, start(SSD), f"model={MODELS['faster_rcnn']}").where == "train.init"


def test_an_hourglass_has_no_backbone_to_classify_with(dataset, start):
    overrides = [f"model={MODELS['centernet']}"]
    overrides += ["model.pipeline.model.center_net.feature_extractor.type=hourglass_104"]
    assert "cannot start from a classifier" in refuse(dataset, start(BACKBONE), *overrides).what
    assert build(dataset, start(SSD), *overrides)


def test_a_checkpoint_named_and_not_started_from_is_a_conflict(dataset):
    with pytest.raises(PipelineError, match=r"train\.init=scratch") as caught:
        build_pipeline(compose_spec([f"model.pipeline.{FIELD}=mine/ckpt-1"]), dataset)
    assert caught.value.where == f"model.pipeline.{FIELD}"
    assert "train.init=mine/ckpt-1" in caught.value.fix


@pytest.mark.parametrize("named", ["''", "PATH_TO_BE_CONFIGURED/ckpt-0"])
def test_a_placeholder_is_no_conflict(dataset, named):
    pipeline = build_pipeline(compose_spec([f"model.pipeline.{FIELD}={named}"]), dataset)
    assert not pipeline.proto.train_config.HasField("fine_tune_checkpoint")


def test_rewriting_for_quantisation_is_refused(dataset):
    override = "model.pipeline.graph_rewriter.quantization.delay=100"
    with pytest.raises(PipelineError, match="TensorFlow 1 alone"):
        build_pipeline(compose_spec([override]), dataset)
