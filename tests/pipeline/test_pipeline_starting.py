"""Where training starts: from what a user names to the prefix of a checkpoint."""

import json
from pathlib import Path

import pytest
from checkpoint_builders import BACKBONE, FASTER_RCNN, SSD, write_checkpoint

from odbench.config.compose import compose_spec
from odbench.errors import ConfigError, InputError
from odbench.pipeline.bundle import read_bundle
from odbench.pipeline.starting import find_checkpoint, inspect, starting_point

HEAD = "model/_box_predictor/bias/.ATTRIBUTES/VARIABLE_VALUE"


def checkpoint(prefix):
    return write_checkpoint(prefix, {SSD: (3, 8), HEAD: (4,)})


def never(name):
    raise AssertionError(f"nothing is fetched, and not {name}")


@pytest.mark.parametrize("ending", ["", ".index", ".data-00000-of-00001"])
def test_a_prefix_or_one_of_its_files(tmp_path, ending):
    checkpoint(tmp_path / "ckpt-1000")
    assert find_checkpoint(f"{tmp_path}/ckpt-1000{ending}") == tmp_path / "ckpt-1000"


def test_a_relative_path_is_made_absolute(tmp_path, monkeypatch):
    checkpoint(tmp_path / "ckpt-1")
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("ckpt-1") == tmp_path / "ckpt-1"


def test_the_latest_of_a_folder_by_number(tmp_path):
    for number in (900, 1000, 20):
        checkpoint(tmp_path / f"ckpt-{number}")
    assert find_checkpoint(str(tmp_path)) == tmp_path / "ckpt-1000"


def test_the_latest_of_a_folder_by_its_list(tmp_path):
    for number in (1, 2, 3):
        checkpoint(tmp_path / f"ckpt-{number}")
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "ckpt-2"\nall_model_checkpoint_paths: "ckpt-3"\n'
    )
    assert find_checkpoint(str(tmp_path)) == tmp_path / "ckpt-2"


def test_a_list_of_what_has_moved_is_not_followed(tmp_path):
    checkpoint(tmp_path / "ckpt-3")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/gone/ckpt-9"\n')
    assert find_checkpoint(str(tmp_path)) == tmp_path / "ckpt-3"


def test_an_unpacked_model_of_the_zoo(tmp_path):
    checkpoint(tmp_path / "checkpoint" / "ckpt-0")
    write_checkpoint(tmp_path / "saved_model" / "variables" / "variables", {"_model/x": (1,)})
    (tmp_path / "pipeline.config").touch()
    assert find_checkpoint(str(tmp_path)) == tmp_path / "checkpoint" / "ckpt-0"


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({"checkpoint": "train/ckpt-9", "best_checkpoint": None}, "train/ckpt-9"),
        ({"checkpoint": "train/ckpt-9", "best_checkpoint": "train/best/ckpt-6"}, "best/ckpt-6"),
        ({"checkpoint": "train/ckpt-8", "best_checkpoint": "train/best/gone"}, "train/ckpt-8"),
    ],
)
@pytest.mark.parametrize("file", ["record.json", "stages/train.json"])
def test_a_run_folder(tmp_path, file, train, expected):
    for name in ("ckpt-8", "ckpt-9", "best/ckpt-6"):
        checkpoint(tmp_path / "train" / name)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"train": train} if file == "record.json" else {"result": train}))
    assert str(find_checkpoint(str(tmp_path))).endswith(expected)


@pytest.mark.parametrize("record", ["", "[]", '{"train": null}'])
def test_a_run_folder_without_results_gives_its_last_checkpoint(tmp_path, record):
    checkpoint(tmp_path / "train" / "ckpt-5")
    (tmp_path / "record.json").write_text(record)
    assert find_checkpoint(str(tmp_path)) == tmp_path / "train" / "ckpt-5"


def test_a_missing_one_says_what_was_looked_for(tmp_path):
    with pytest.raises(ConfigError, match="no checkpoint is there") as caught:
        find_checkpoint(f"{tmp_path}/ckpt-1")
    assert caught.value.where == "train.init"
    assert f"{tmp_path}/ckpt-1.index" in caught.value.fix
    with pytest.raises(ConfigError) as caught:
        find_checkpoint(str(tmp_path))
    assert f"{tmp_path}/*.index" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "holds", "architectures"),
    [
        (SSD, "detection", ("ssd", "center_net")),
        (FASTER_RCNN, "detection", ("faster_rcnn",)),
        (BACKBONE, "classification", ("ssd", "faster_rcnn", "center_net")),
    ],
)
def test_what_a_checkpoint_holds(tmp_path, name, holds, architectures):
    start = inspect(read_bundle(write_checkpoint(tmp_path / "ckpt-1", {name: (1,)})))
    assert (start.holds, start.architectures) == (holds, architectures)


def test_a_checkpoint_of_tensorflow_1_is_refused(tmp_path):
    names = {"FeatureExtractor/MobilenetV2/Conv/weights": (3, 3)}
    prefix = write_checkpoint(tmp_path / "model.ckpt", names, object_based=False)
    with pytest.raises(InputError, match="of TensorFlow 1") as caught:
        inspect(read_bundle(prefix))
    assert "FeatureExtractor/MobilenetV2" in caught.value.value


def test_variables_of_a_saved_model_are_refused(tmp_path):
    prefix = write_checkpoint(tmp_path / "variables", {"_model/_feature_extractor/x": (1,)})
    with pytest.raises(InputError, match="neither the checkpoint of a detector"):
        inspect(read_bundle(prefix))


def test_scratch_starts_from_nothing():
    assert starting_point(compose_spec([]), never) is None


def test_pretrained_is_fetched_by_the_name_of_the_model(tmp_path):
    prefix = checkpoint(tmp_path / "checkpoint" / "ckpt-0")
    asked = []

    def fetch(name) -> Path:
        asked.append(name)
        return prefix

    spec = compose_spec(["model=ssd_mobilenet_v2_320x320", "train.init=pretrained"])
    start = starting_point(spec, fetch)
    assert asked == ["ssd_mobilenet_v2_320x320"]
    assert start.prefix == prefix
    assert start.digest == read_bundle(prefix).digest


def test_pretrained_is_refused_where_nothing_was_published():
    spec = compose_spec(["train.init=pretrained"])
    with pytest.raises(ConfigError, match="it is no model of the zoo") as caught:
        starting_point(spec, never)
    assert (caught.value.where, caught.value.exit_code) == ("train.init", 2)
