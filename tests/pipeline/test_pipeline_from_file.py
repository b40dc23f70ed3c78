"""A user's own pipeline.config as a model."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
from google.protobuf import text_format

from odbench.config.compose import compose_spec, spec_from_dict, spec_to_dict
from odbench.config.fingerprint import fingerprint
from odbench.errors import ConfigError, PipelineError
from odbench.pipeline.build import base_proto, build_pipeline
from odbench.pipeline.fields import effective, flatten, get
from odbench.pipeline.from_file import resolve_model
from odbench.pipeline.read import read_pipeline

SSD = "ssd_mobilenet_v2_320x320"
TRAIN = "model.pipeline.train_config"


@pytest.fixture
def write(tmp_path):
    """Writes the configuration of a model, edited as text, with the paths of a real one."""

    def make(path="mine.config", edit=lambda text: text):
        proto = base_proto(composed(f"model={SSD}").model)
        proto.train_config.fine_tune_checkpoint = "PATH_TO_BE_CONFIGURED/mobilenet_v2.ckpt-1"
        proto.train_input_reader.label_map_path = "PATH_TO_BE_CONFIGURED/label_map.txt"
        proto.train_input_reader.tf_record_input_reader.input_path.append("gs://${BUCKET}/train")
        proto.eval_input_reader[0].label_map_path = "gs://${BUCKET}/map"
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(edit(text_format.MessageToString(proto)))
        return file

    return make


@cache
def composed(*overrides):
    return compose_spec(overrides)


def spec_of(file, *overrides):
    spec = deepcopy(composed("model=from_pipeline", *overrides))
    spec.model.path = str(file)
    return spec


def resolved(file, *overrides):
    return resolve_model(spec_of(file, *overrides).model)


def test_the_file_is_the_model(write):
    model = resolved(write())
    assert (model.name, model.family, model.zoo, model.path) == ("mine", "ssd", False, None)
    assert base_proto(model) == base_proto(composed(f"model={SSD}").model)


def test_it_is_resolved_once(write):
    model = resolved(write())
    assert resolve_model(model) == model


def test_overrides_go_on_top(write):
    proto = base_proto(
        resolved(
            write(),
            f"{TRAIN}.max_number_of_boxes=7",
            f"{TRAIN}.optimizer.momentum_optimizer.momentum_optimizer_value=0.5",
            "model.pipeline.model.ssd.image_resizer.fixed_shape_resizer.width=640",
            f"{TRAIN}.data_augmentation_options=[]",
            f"{TRAIN}.sync_replicas=null",
        )
    )
    assert proto.train_config.max_number_of_boxes == 7
    assert get(proto, "train_config.optimizer.momentum_optimizer.momentum_optimizer_value") == 0.5
    resizer = proto.model.ssd.image_resizer.fixed_shape_resizer
    assert (resizer.height, resizer.width) == (300, 640)
    assert not proto.train_config.data_augmentation_options
    assert not proto.train_config.HasField("sync_replicas")


def test_a_wrong_override_names_its_path(write):
    with pytest.raises(PipelineError) as caught:
        resolved(write(), f"{TRAIN}.max_number_of_boxess=7")
    assert caught.value.where == f"{TRAIN}.max_number_of_boxess"


@pytest.mark.parametrize(
    ("path", "overrides", "name", "zoo"),
    [
        ("mine.config", [], "mine", False),
        ("mine.config", ["model.name=other"], "other", False),
        ("tuned/pipeline.config", [], "tuned", False),
        (f"{SSD}_coco17_tpu-8/pipeline.config", [], SSD, True),
        (f"{SSD}_coco17_tpu-8/edited.config", [], "edited", False),
        (f"{SSD}_coco17_tpu-8/pipeline.config", ["model.name=other"], "other", False),
        ("nosuch_coco17_tpu-8/pipeline.config", [], "nosuch_coco17_tpu-8", False),
    ],
)
def test_names(write, path, overrides, name, zoo):
    model = resolved(write(path), *overrides)
    assert (model.name, model.zoo) == (name, zoo)


def test_a_folder_stands_for_the_file_in_it(write):
    file = write("tuned/pipeline.config")
    assert resolved(file.parent) == resolved(file)


def test_relative_to_where_the_command_runs(write, monkeypatch):
    monkeypatch.chdir(write().parent)
    assert resolved("mine.config").family == "ssd"


def test_the_identity_is_the_contents_and_not_the_path(write):
    def identity(file, *overrides):
        spec = spec_of(file, *overrides)
        spec.model = resolve_model(spec.model)
        return fingerprint(spec, "0", 1)

    first = write("a/mine.config")
    moved = write("b/mine.config", lambda text: text.replace("BUCKET", "OTHER") + "# a remark\n")
    other = write("c/mine.config", lambda text: text.replace("num_classes: 90", "num_classes: 9"))
    assert identity(first) == identity(moved) != identity(other)
    boxes = "model.pipeline.train_config.max_number_of_boxes=7"
    assert identity(first, boxes) == identity(moved, boxes) != identity(first)


def test_the_record_of_a_run_needs_no_file(write):
    file = write()
    spec = spec_of(file)
    spec.model = resolve_model(spec.model)
    again = spec_from_dict(spec_to_dict(spec))
    file.unlink()
    assert base_proto(again.model) == base_proto(spec.model)


def test_a_run_sets_what_it_sets_for_any_model(write, dataset):
    pipeline = build_pipeline(spec_of(write(), "train.batch_size=4"), dataset)
    assert pipeline.proto.model.ssd.num_classes == 3
    assert pipeline.proto.train_config.batch_size == 4
    assert not pipeline.proto.train_config.HasField("fine_tune_checkpoint")
    paths = pipeline.proto.train_input_reader.tf_record_input_reader.input_path
    assert list(paths) == [str(path) for path in dataset.splits["train"].records]


def test_no_file_is_named():
    with pytest.raises(ConfigError) as caught:
        resolve_model(compose_spec(["model=from_pipeline"]).model)
    assert caught.value.where == "model.path"
    assert "model.path=FILE" in caught.value.fix


def test_a_path_for_another_model_is_refused(write):
    with pytest.raises(ConfigError, match="read from no file") as caught:
        resolve_model(compose_spec([f"model.path={write()}"]).model)
    assert "model=from_pipeline" in caught.value.fix


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PipelineError, match="No such file"):
        resolved(tmp_path / "none.config")


def test_a_variable_that_nothing_replaced(write):
    file = write(edit=lambda t: t.replace('metrics_set: "coco', 'metrics_set: "${SET}coco'))
    with pytest.raises(PipelineError, match="nothing has replaced") as caught:
        resolved(file)
    assert caught.value.where == f"{file}: eval_config.metrics_set"


@pytest.mark.parametrize("edit", [str.upper, lambda text: text[: len(text) // 2]])
def test_no_configuration_names_its_line(write, edit):
    file = write(edit=edit)
    with pytest.raises(PipelineError) as caught:
        resolved(file)
    assert caught.value.where.startswith(f"{file}:")


def insert(after, line):
    return lambda text: text.replace(after, f"{after}\n{line}\n", 1)


def line_of(file, text):
    lines = file.read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize(
    ("after", "line", "says"),
    [
        ("feature_extractor {", "batch_norm_trainable: true", "freeze_batchnorm"),
        ("train_config {", "batch_sizee: 4", "did you mean batch_size"),
        ("train_config {", "min_after_dequeue: 4", "it is a field of InputReader"),
        ("ssd {", "max_box_predictions: 4", "it is a field of"),
        ("post_processing {", "score_converter: SIGMOIDD", "did you mean SIGMOID"),
    ],
)
def test_old_and_wrong_names_are_reported_with_line_and_name_now(write, after, line, says):
    file = write(edit=insert(after, line))
    with pytest.raises(PipelineError) as caught:
        resolved(file)
    assert caught.value.where == f"{file}:{line_of(file, line)}"
    assert says in caught.value.fix


def test_moving_averages_that_are_not_set_are_refused_with_how_to(write, dataset):
    file = write(edit=lambda text: text.replace("use_moving_average: false", ""))
    with pytest.raises(PipelineError, match="moving averages") as caught:
        build_pipeline(spec_of(file), dataset)
    assert "not set, which means true" in str(caught.value)
    override = f"{TRAIN}.optimizer.use_moving_average=false"
    assert override in caught.value.fix
    assert build_pipeline(spec_of(file, override), dataset)


def published(folder, kind):
    """The specification of each file of a folder: composed once, for speed."""
    spec = spec_of("FILE")
    for file in sorted((folder.parent / kind).glob("*.config")):
        yield file, replace(spec, model=replace(spec.model, path=str(file)))


@pytest.mark.shared
def test_every_published_file_of_tensorflow_2(published_dir, dataset):
    files = list(published(published_dir, "tf2"))
    assert len(files) == 40
    for file, spec in files:
        theirs = read_pipeline(file)
        if effective(theirs, "train_config.optimizer.use_moving_average"):
            spec.model.pipeline = {"train_config": {"optimizer": {"use_moving_average": False}}}
        made = build_pipeline(spec, dataset).proto
        assert made.train_config.batch_size == 8
        model = resolve_model(spec.model)
        assert model.name == file.stem
        a, b = flatten(base_proto(model)), flatten(theirs)
        differ = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
        ours = ("_path", "fine_tune_checkpoint", "_reader", "use_moving_average")
        assert [key for key in differ if not key.endswith(ours)] == [], file


@pytest.mark.shared
def test_every_published_sample_of_tensorflow_1_is_refused_clearly(published_dir, dataset):
    files = list(published(published_dir, "tf1"))
    assert len(files) == 64
    for file, spec in files:
        if file.stem == "ssd_mobilenet_v2_pets_keras":  # the one with an extractor of version 2
            continue
        with pytest.raises(PipelineError) as caught:
            build_pipeline(spec, dataset)
        assert "TensorFlow 1" in caught.value.what
        assert caught.value.where.endswith(".feature_extractor.type")


def test_a_model_of_the_zoo_is_left_as_it_is():
    model = composed(f"model={SSD}").model
    assert resolve_model(model) is model
