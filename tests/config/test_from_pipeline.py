"""``model=from_pipeline``: a choice of the group that is no model of it."""

import pytest

from odbench.config.compose import compose_spec, hydra_session, open_overrides
from odbench.config.composer import Composer
from odbench.config.register import data_dir, register
from odbench.errors import ConfigError
from odbench.sweeping.asked import read_command


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ("model=from_pipeline", "model=from/pipeline"),
        ("model=efficientdet_d0,from_pipeline", "model=efficientdet_d0,from/pipeline"),
        ("model=choice(from_pipeline,a)", "model=choice(from/pipeline,a)"),
        ("model=from_pipeline2", "model=from_pipeline2"),
        ("model.path=from_pipeline", "model.path=from_pipeline"),
        ("name=from_pipeline", "name=from_pipeline"),
    ],
)
def test_overrides_find_its_file(given, opened):
    assert open_overrides([given]) == [opened]


def test_fields_are_the_users():
    spec = compose_spec(
        ["model=from_pipeline", "model.path=mine/pipeline.config", "model.pipeline.a.b=1"]
    )
    assert spec.model.path == "mine/pipeline.config"
    assert spec.model.pipeline == {"a": {"b": 1}}
    assert not spec.model.zoo


def variants(*overrides):
    register()
    with hydra_session():
        return read_command(Composer("config"), "config", overrides, multirun=True).variants


def test_a_sweep_over_every_model_leaves_it_out():
    cells = variants("model=glob(*)")
    names = {path.stem for path in (data_dir("conf") / "model").glob("*.yaml")}
    assert cells == [[f"model={name}"] for name in sorted(names)]
    assert len(cells) > 40


def test_a_sweep_may_name_it():
    given = open_overrides(["model=efficientdet_d0,from_pipeline"])
    assert variants(*given) == [["model=efficientdet_d0"], ["model=from/pipeline"]]


@pytest.mark.parametrize("choice", ["nosuch", "from_pipelin"])
def test_an_unknown_model_is_told_of_it(choice):
    with pytest.raises(ConfigError) as caught:
        compose_spec([f"model={choice}"])
    assert caught.value.allowed.endswith(", from_pipeline")
    if choice == "from_pipelin":
        assert caught.value.fix == "did you mean from_pipeline?"
