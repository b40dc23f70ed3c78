"""The pipeline.config of a run: what the run sets, and that every change is recorded."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from functools import cache

import pytest
from google.protobuf import text_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.config.compose import compose_spec
from odbench.config.register import data_dir
from odbench.config.spec import AugmentationSpec, ModelSpec, TrainSpec
from odbench.errors import PipelineError
from odbench.pipeline.build import base_proto, build_pipeline
from odbench.pipeline.fields import flatten, get
from odbench.pipeline.read import read_pipeline
from odbench.results import Edit

MODELS = sorted(path.stem for path in data_dir("conf").glob("model/*.yaml"))
FPNLITE = "ssd_mobilenet_v2_fpnlite_320x320"
RATE = "train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate"
QUICK = ["timing.warmup_steps=9", "timing.measured_steps=490"]  # with the first: 500 steps


@cache
def spec_of(model):
    return compose_spec([f"model={model}"])


def edits_of(pipeline):
    return {edit.field: (edit.old, edit.new) for edit in pipeline.edits}


def refuse(dataset, *overrides):
    with pytest.raises(PipelineError) as caught:
        build_pipeline(compose_spec(overrides), dataset)
    return caught.value


def test_every_edit_of_a_run(dataset):
    spec = compose_spec([f"model={FPNLITE}", *QUICK, "eval.batch_size=4"])
    train, evaluation = dataset.splits["train"], dataset.splits["val"]
    assert build_pipeline(spec, dataset).edits == [
        Edit("model.ssd.num_classes", 90, 3),
        Edit("train_config.batch_size", 128, 8),
        Edit("train_config.num_steps", 50000, 500),
        Edit(f"{RATE}.total_steps", 50000, 500),
        Edit(f"{RATE}.warmup_steps", 1000, 10),
        Edit(f"{RATE}.learning_rate_base", 0.08, 0.005),
        Edit(f"{RATE}.warmup_learning_rate", 0.026666, 0.001666625),
        Edit("train_config.fine_tune_checkpoint_type", "classification", None),
        Edit("train_config.fine_tune_checkpoint_version", "V2", None),
        Edit("train_input_reader.label_map_path", None, str(dataset.label_map)),
        Edit(
            "train_input_reader.tf_record_input_reader.input_path",
            [],
            [str(path) for path in train.records],
        ),
        Edit("eval_config.batch_size", None, 4),
        Edit("eval_input_reader[0].label_map_path", None, str(dataset.label_map)),
        Edit(
            "eval_input_reader[0].tf_record_input_reader.input_path",
            [],
            [str(path) for path in evaluation.records],
        ),
    ]


def covers(field, path):
    return path == field or path.startswith((f"{field}.", f"{field}["))


def changed_paths(old, new):
    """Paths whose value differs; an empty message that was filled is no change of its own."""
    differ = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    return {path for path in differ if not any(p.startswith(f"{path}.") for p in differ)}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("options", [None, [], [{"random_horizontal_flip": {}}]])
def test_edits_are_all_that_changed(model, options, dataset):
    spec = replace(spec_of(model), augmentation=AugmentationSpec(options))
    pipeline = build_pipeline(spec, dataset)
    changed = changed_paths(flatten(base_proto(spec.model)), flatten(pipeline.proto))
    fields = [edit.field for edit in pipeline.edits]
    assert [p for p in changed if not any(covers(f, p) for f in fields)] == []
    assert [f for f in fields if not any(covers(f, p) for p in changed)] == []
    assert len(fields) == len(set(fields))


@pytest.mark.parametrize("model", MODELS)
def test_what_a_run_sets(model, dataset):
    spec = replace(spec_of(model), train=TrainSpec(batch_size=8, num_steps=500))
    proto = build_pipeline(spec, dataset).proto
    architecture = proto.model.WhichOneof("model")
    assert getattr(proto.model, architecture).num_classes == 3
    assert (proto.train_config.batch_size, proto.train_config.num_steps) == (8, 500)
    assert not proto.train_config.use_bfloat16
    assert not proto.train_config.HasField("fine_tune_checkpoint_type")
    assert proto.eval_config.batch_size == 8
    assert (proto.eval_input_reader[0].shuffle, proto.eval_input_reader[0].num_epochs) == (False, 1)


def test_bfloat16_is_switched_off_and_recorded(dataset):
    edits = edits_of(build_pipeline(spec_of("efficientdet_d0"), dataset))
    assert edits["train_config.use_bfloat16"] == (True, False)


def test_adam_with_manual_steps(dataset):
    spec = compose_spec(["model=centernet_resnet101_v1_fpn_512x512", *QUICK])
    edits = edits_of(build_pipeline(spec, dataset))
    path = "train_config.optimizer.adam_optimizer.learning_rate.manual_step_learning_rate"
    assert edits[f"{path}.schedule[0].step"] == (90000, 321)  # 90000 * 500 / 140000 = 321.4
    assert edits[f"{path}.schedule[1].step"] == (120000, 429)  # 428.6
    assert edits[f"{path}.initial_learning_rate"] == (0.001, 0.0000625)  # batch 8 of 128


def test_the_run_wins_over_the_model_and_the_edit_shows_it(dataset):
    edits = edits_of(build_pipeline(compose_spec(["train.batch_size=8"]), dataset))
    assert edits["train_config.batch_size"] == (16, 8)


def test_augmentation_replaces_the_published_one(dataset):
    spec = compose_spec([f"model={FPNLITE}", "augmentation.options=[{ssd_random_crop: {}}]"])
    pipeline = build_pipeline(spec, dataset)
    assert get(pipeline.proto, "train_config.data_augmentation_options") == [
        {"ssd_random_crop": {}}
    ]
    old, new = edits_of(pipeline)["train_config.data_augmentation_options"]
    assert [list(option) for option in old] == [["random_horizontal_flip"], ["random_crop_image"]]
    assert new == [{"ssd_random_crop": {}}]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        (
            "[{random_horizontal_flip: {}}, {random_flip: {}}]",
            "augmentation.options[1].random_flip",
        ),
        (
            "[{random_crop_image: {min_area: big}}]",
            "augmentation.options[0].random_crop_image.min_area",
        ),
        ("[{random_adjust_hue: {}, random_crop_image: {}}]", "augmentation.options[0]"),
        ("[{}]", "augmentation.options[0]"),
        ("[{random_adjust_hue: null}]", "augmentation.options[0]"),
    ],
)
def test_what_is_no_augmentation_is_refused(options, where, dataset):
    assert refuse(dataset, f"augmentation.options={options}").where == where


def test_unknown_field_on_the_command_line_names_its_path(dataset):
    error = refuse(dataset, "model.pipeline.train_config.max_number_of_boxess=50")
    assert error.where == "model.pipeline.train_config.max_number_of_boxess"
    assert "max_number_of_boxes" in error.fix


@pytest.mark.parametrize("body", [{}, {"model": {}}, {"model": {"experimental_model": {}}}])
def test_no_architecture_is_refused(body, dataset):
    spec = replace(spec_of(FPNLITE), model=ModelSpec("m", "ssd", False, pipeline=body))
    with pytest.raises(PipelineError, match="no architecture") as caught:
        build_pipeline(spec, dataset)
    assert caught.value.allowed == "ssd, faster_rcnn, center_net"


def test_numbers_that_no_pipeline_holds_are_refused(dataset):
    assert refuse(dataset, "train.batch_size=4294967296").where == (
        "model.pipeline.train_config.batch_size"
    )


def test_sections_that_the_model_lacks_are_created(dataset):
    model = {
        "model": {"ssd": {"feature_extractor": {"type": "ssd_mobilenet_v2_keras"}}},
        "train_config": {
            "num_steps": 100,
            "optimizer": {
                "momentum_optimizer": {"learning_rate": {"constant_learning_rate": {}}},
                "use_moving_average": False,
            },
        },
    }
    spec = replace(spec_of(FPNLITE), model=ModelSpec("m", "ssd", False, pipeline=model))
    proto = build_pipeline(spec, dataset).proto
    assert proto.model.ssd.num_classes == 3
    assert list(proto.eval_input_reader[0].tf_record_input_reader.input_path)
    assert proto.train_input_reader.label_map_path == str(dataset.label_map)


def test_another_kind_of_input_reader_gives_way_and_is_recorded(dataset):
    reader = "model.pipeline.train_input_reader"
    spec = compose_spec(
        [f"{reader}.tf_record_input_reader=null", f"{reader}.external_input_reader={{}}"]
    )
    pipeline = build_pipeline(spec, dataset)
    assert edits_of(pipeline)["train_input_reader.external_input_reader"] == ({}, None)
    assert len(pipeline.proto.train_input_reader.tf_record_input_reader.input_path) == 2


def test_more_than_one_eval_reader_is_refused(dataset):
    error = refuse(dataset, "model.pipeline.eval_input_reader=[{shuffle: false}, {shuffle: false}]")
    assert error.where == "model.pipeline.eval_input_reader"


def test_edits_are_json(dataset):
    pipeline = build_pipeline(spec_of("efficientdet_d0"), dataset)
    bodies = [asdict(edit) for edit in pipeline.edits]
    assert json.loads(json.dumps(bodies)) == bodies


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=st.sampled_from(MODELS), batch=st.integers(1, 1024), steps=st.integers(12, 10**6))
def test_text_reads_back_to_the_same_proto(model, batch, steps, dataset):
    spec = replace(spec_of(model), train=TrainSpec(batch_size=batch, num_steps=steps))
    pipeline = build_pipeline(spec, dataset)
    assert pipeline.text.endswith("}\n")
    assert text_format.Parse(pipeline.text, TrainEvalPipelineConfig()) == pipeline.proto


def test_written_pipeline_is_read_back(dataset, tmp_path):
    pipeline = build_pipeline(spec_of(FPNLITE), dataset)
    path = tmp_path / "pipeline.config"
    path.write_text(pipeline.text, encoding="utf-8")
    assert read_pipeline(path) == pipeline.proto


def test_unreadable_pipelines_are_refused(tmp_path):
    path = tmp_path / "pipeline.config"
    with pytest.raises(PipelineError) as caught:
        read_pipeline(path)
    assert caught.value.where == str(path)
    path.write_text("model {\n  nosuch: 1\n}\n", encoding="utf-8")
    with pytest.raises(PipelineError) as caught:
        read_pipeline(path)
    assert caught.value.where == f"{path}:2"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PipelineError):
        read_pipeline(path)


def test_no_tensorflow():
    code = "import sys, odbench.pipeline.build; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_moving_averages_are_refused(dataset):
    name = "model.pipeline.train_config.optimizer.use_moving_average"
    for override in (f"{name}=true", f"~{name}"):
        with pytest.raises(PipelineError, match="not supported") as caught:
            build_pipeline(compose_spec([override]), dataset)
        assert caught.value.where == name
