"""``odbench pick --register``: the winner's exported model in the Model Registry."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_record, store_record
from tracking.tracked import tracked_spec
from typer.testing import CliRunner

from odbench.cli import app
from odbench.records import write_record
from odbench.tracking.store import open_store


@pytest.fixture
def winner(tmp_path, monkeypatch, empty_database):
    """A run on disk with all that registering wants, and no MLflow run yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("odbench.syncing.draw_run", lambda run: None)
    runs = [
        store_record(make_record(name=name, run_id=name, ap=ap), tmp_path)
        for name, ap in (("good", 0.5), ("worse", 0.3))
    ]
    shutil.copy(empty_database, tmp_path / "runs" / "mlflow.db")
    (runs[0].dir / "saved_model").mkdir()
    (runs[0].dir / "saved_model" / "saved_model.pb").write_bytes(b"replayed")
    label_map = tmp_path / "label_map.pbtxt"
    label_map.write_text("item {}")
    monkeypatch.setattr(
        "odbench.tracking.registry.read_dataset",
        lambda folder: type("Dataset", (), {"label_map": label_map}),
    )
    return runs[0]


def register(name, *arguments, code=0):
    done = CliRunner().invoke(app, ["pick", "--register", name, *arguments])
    assert done.exit_code == code, done.output
    return done


def test_the_winner_becomes_one_version_that_tells_where_it_is_from(winner, tmp_path):
    done = register("detector", "--json")
    assert "registered: models:/detector/1 is good" in done.stderr
    assert json.loads(done.stdout)["chosen"] == ["good"]
    assert "was registered before: models:/detector/1" in register("detector").stderr
    client = open_store(tracked_spec(tmp_path / "runs")).client
    (version,) = client.search_model_versions("name = 'detector'")
    logged = client.get_run(version.run_id)
    assert logged.data.tags["odbench.run_id"] == version.tags["odbench.run_id"] == "good"
    assert version.tags["odbench.dataset_hash"] == winner.record.dataset.hash
    assert version.tags["eval/AP"] == "0.5"
    from mlflow.models import get_model_info

    folder = Path(client.download_artifacts(version.run_id, "model", str(tmp_path)))
    held = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {
        "data/detector/saved_model/saved_model.pb",
        "data/detector/label_map.pbtxt",
        "data/detector/record.json",
        "code/odbench_detector.py",
    } <= held
    signature = get_model_info(str(folder)).signature
    assert signature.inputs.inputs[0].shape == (1, -1, -1, 3)
    assert "detection_boxes" in signature.outputs.input_names()
    assert not list(winner.dir.glob(".model-*"))


def test_of_repeats_the_one_with_the_highest_ap_is_registered_and_named(winner, tmp_path):
    better = make_record(name="good-seed1", run_id="better", ap=0.6, variant="v", repeat=1)
    first = replace(winner.record, variant="v")
    shutil.copytree(winner.dir, tmp_path / "runs" / "better")
    for record in (first, better):
        write_record(record, tmp_path / "runs" / record.run_id)
    done = register("detector", "--json")
    assert "repeat 2 of 2 (the highest AP)" in done.stderr
    (group,) = json.loads(done.stdout)["groups"]
    assert group["candidates"][0]["repeats"]["best"] == "better"
    client = open_store(tracked_spec(tmp_path / "runs")).client
    (version,) = client.search_model_versions("name = 'detector'")
    assert version.tags["odbench.run_id"] == "better"


def test_a_model_that_is_gone_is_an_error_that_names_it(winner, tmp_path):
    shutil.rmtree(winner.dir / "saved_model")
    done = register("detector", code=2)
    assert "the exported model of run good is gone" in done.stderr
    assert str(Path("runs/good/saved_model")) in done.stderr
    assert not open_store(tracked_spec(tmp_path / "runs")).client.search_registered_models()


def test_a_name_that_mlflow_refuses_is_told_before_anything_is_shown(winner):
    done = register("a/b", code=2)
    assert "--register: not the name of a registered model" in done.stderr
    assert done.stdout == ""


def test_where_nothing_is_chosen_nothing_is_registered(winner, tmp_path):
    register("detector", "--min", "AP=0.9", code=1)
    assert not open_store(tracked_spec(tmp_path / "runs")).client.search_registered_models()
