import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.config.compose import (
    compose_config,
    compose_spec,
    open_overrides,
    spec_from_dict,
    spec_to_dict,
)
from odbench.config.dataset_spec import DatasetKind
from odbench.config.register import data_dir
from odbench.config.spec import BackendName
from odbench.errors import ConfigError


def test_default_run_is_fully_typed():
    spec = compose_spec([])
    assert spec.backend is BackendName.tfod
    assert spec.dataset.kind is DatasetKind.shapes
    assert spec.num_steps == 1 + spec.timing.warmup_steps + spec.timing.measured_steps
    assert spec.timing.measured_steps == 1000


def test_num_steps_given_is_kept():
    assert compose_spec(["train.num_steps=500"]).num_steps == 500


@pytest.mark.parametrize(
    ("overrides", "where", "allowed"),
    [
        (["train.batch_sizee=4"], "train.batch_sizee", "batch_size"),
        (["train.batch_size=0"], "train.batch_size", ">= 1"),
        (["train.batch_size=x"], "train.batch_size", "an integer"),
        (["train.batch_size=1.5"], "train.batch_size", "an integer"),
        (["train.num_steps=x"], "train.num_steps", "an integer, or null"),
        (["train.num_steps=3"], "train.num_steps", ">= 12"),
        (["model=nosuch"], "model", "efficientdet_d0"),
        (["model=extremenet"], "model", "no such architecture"),
        (["backend=torch"], "backend", "tfod, replay"),
        (["runtime.device=tpu"], "runtime.device", "gpu:N"),
        (["runtime.timeout_s=0"], "runtime.timeout_s", "> 0"),
        (["seed=-1"], "seed", "0.."),
        (["dataset.val_fraction=1"], "dataset.val_fraction", "0 < x < 1"),
        (["dataset.shapes.classes=9"], "dataset.shapes.classes", "1..6"),
        (["optimizer.learning_rate=0"], "optimizer.learning_rate", "> 0"),
        (["+train.foo=1"], "train.foo", "batch_size"),
        (["+foo=1"], "foo", "model"),
        (["a=b=c"], "command line", "KEY=VALUE"),
    ],
)
def test_bad_values_name_path_and_what_is_allowed(overrides, where, allowed):
    with pytest.raises(ConfigError) as caught:
        compose_spec(overrides)
    assert caught.value.where == where
    assert allowed in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_near_miss_is_suggested():
    with pytest.raises(ConfigError, match=r"did you mean train\.batch_size\?"):
        compose_spec(["train.batch_sizee=4"])


def test_a_source_on_disk_needs_its_folder():
    with pytest.raises(ConfigError, match=r"dataset\.dir=PATH"):
        compose_spec(["dataset=voc"])


def test_any_pipeline_field_may_be_given_without_a_plus():
    spec = compose_spec(["model.pipeline.train_config.gradient_clipping_by_norm=10"])
    assert spec.model.pipeline["train_config"]["gradient_clipping_by_norm"] == 10


@pytest.mark.parametrize(
    ("key", "own"),
    [
        ("train_config.batch_size", "train.batch_size=N"),
        ("train_config.num_steps", "train.num_steps=N"),
        ("eval_config.batch_size", "eval.batch_size=N"),
        ("model.ssd.num_classes", "the data set's classes"),
    ],
)
def test_a_field_that_the_run_sets_is_no_override(key, own):
    with pytest.raises(ConfigError, match="every run sets") as caught:
        compose_spec([f"model.pipeline.{key}=4"])
    assert caught.value.where == f"model.pipeline.{key}"
    assert own in str(caught.value.allowed)


def test_open_overrides_leave_marked_ones_alone():
    given_ = ["~model.pipeline.model", "++model.pipeline.a=1", "seed=1", "tracking.tags.team=a"]
    assert open_overrides(given_) == [*given_[:3], "++tracking.tags.team=a"]


def test_spec_survives_json():
    spec = compose_spec(["augmentation=flip", "runtime.timeout_s=5", "tracking.tags.team=vision"])
    assert spec_from_dict(spec_to_dict(spec)) == spec


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_text_as_override_is_composed_or_refused_clearly(text):
    try:
        compose_config([text])
    except ConfigError as error:
        assert str(error)


GROUPS = [
    f"{path.parent.name}={path.stem}"
    for path in sorted(data_dir("conf").glob("*/*.yaml"))
    if path.parent.name not in ("hydra", "model")  # every model is composed in tests/pipeline
]


@pytest.mark.parametrize("choice", GROUPS)
def test_every_choice_composes(choice, tmp_path):
    on_disk = choice.startswith("dataset=") and not choice.startswith("dataset=shapes")
    extra = [f"dataset.dir={tmp_path}"] if on_disk else []
    compose_spec([choice, *extra])


def test_a_password_in_the_tracking_address_is_refused_and_not_shown():
    with pytest.raises(ConfigError) as caught:
        compose_spec(["tracking.uri=http://me:s3cret@127.0.0.1:1"])
    assert caught.value.where == "tracking.uri"
    assert "s3cret" not in str(caught.value)
