"""Whole runs by the command that start from a checkpoint or a file, on the replay backend."""

import json

import pytest
from checkpoint_builders import SSD, write_checkpoint
from tiny import FAST, record

from odbench.attempt import run_name
from odbench.config.compose import compose_spec

pytestmark = pytest.mark.process


def test_a_run_of_ones_own_pipeline_config(odbench, tmp_path):
    made = odbench("pipeline", "--base", "model=ssd_mobilenet_v2_320x320")
    folder = tmp_path / "ssd_mobilenet_v2_320x320_coco17_tpu-8"
    folder.mkdir()
    (folder / "pipeline.config").write_text(made.stdout.replace("weight: 1.0", "weight: 2.0"))
    done = odbench("run", *FAST, "model=from_pipeline", f"model.path={folder.name}")
    assert done.returncode == 0, done.stderr
    body = record(tmp_path)
    assert body["model"] == "ssd_mobilenet_v2_320x320"
    model = body["spec"]["model"]
    assert (model["family"], model["zoo"], model["path"]) == ("ssd", True, None)
    assert model["pipeline"]["model"]["ssd"]["loss"]["classification_weight"] == 2.0
    assert {"field": "model.ssd.num_classes", "old": 90, "new": 3} in body["edits"]


def test_a_run_from_a_checkpoint(odbench, tmp_path):
    prefix, _ = (write_checkpoint(tmp_path / n / "ckpt-3", {SSD: (1,)}) for n in ("a", "b"))
    assert odbench("run", *FAST, "train.init=a").returncode == 0
    (config,) = tmp_path.rglob("runs/**/pipeline.config")
    assert f'fine_tune_checkpoint: "{prefix}"' in config.read_text()
    edits = json.loads((config.parent / "edits.json").read_text())
    edited = {edit["field"]: edit["new"] for edit in edits}
    assert edited["train_config.fine_tune_checkpoint"] == str(prefix)
    assert edited["train_config.fine_tune_checkpoint_type"] == "detection"
    cells = ["-m", "train.init=a,b,scratch", "--dry-run", "--json"]
    planned = json.loads(odbench("run", *FAST, *cells).stdout)["cells"]
    first, second, random = (cell["fingerprint"] for cell in planned)
    assert record(tmp_path)["fingerprint"] == first == second != random  # wherever it lies


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["train.init=none/ckpt-1"], "none/ckpt-1.index"),
        (["train.init=pretrained"], "no published checkpoint"),
        (["train.init=cut"], "cut off"),
        (["model=from_pipeline"], "model.path=FILE"),
        (["model=from_pipeline", "model.path=old.config"], "freeze_batchnorm"),
        (["model.pipeline.train_config.fine_tune_checkpoint=a/b"], "train.init=a/b"),
    ],
)
def test_what_cannot_be_started_from_ends_with_2_before_anything(
    odbench, tmp_path, overrides, text
):
    cut = write_checkpoint(tmp_path / "cut" / "ckpt-1", {SSD: (9,)})
    cut.with_name("ckpt-1.data-00000-of-00001").write_bytes(b"")
    (tmp_path / "old.config").write_text(
        "model { ssd {\n  feature_extractor {\n    batch_norm_trainable: true } } }\n"
    )
    done = odbench("run", *FAST, *overrides)
    assert done.returncode == 2, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("job.json"))


@pytest.mark.parametrize(
    ("init", "name"),
    [
        ("scratch", "ssd_mobilenet_v2_320x320-b4-seed2"),
        ("pretrained", "ssd_mobilenet_v2_320x320-b4-pretrained-seed2"),
        ("runs/some", "ssd_mobilenet_v2_320x320-b4-finetuned-seed2"),
    ],
)
def test_the_name_tells_where_training_started(init, name):
    given = ["model=ssd_mobilenet_v2_320x320", "train.batch_size=4", "seed=2"]
    assert run_name(compose_spec([*given, f"train.init={init}"])) == name
