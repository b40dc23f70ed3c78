"""Commands other than `run`, and what they print where."""

import json
import subprocess

import pytest
from factories import make_record, store_record
from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig
from processes import completed, start
from tiny import TINY

pytestmark = pytest.mark.process

COMMANDS = ["run", "pipeline", "score", "report", "doctor", "ui"]


def test_help_names_every_command(tmp_path):
    done = completed(tmp_path, "--help")
    assert done.returncode == 0
    assert all(f"  {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_each_command_has_help(odbench, command):
    done = odbench(command, "--help")
    assert done.returncode == 0
    assert "odbench" in done.stdout


def test_run_help_lists_the_groups(odbench):  # once: it takes Hydra seconds
    done = odbench("run", "--help")
    assert (done.returncode, "odbench" in done.stdout) == (0, True)
    assert "model=from_pipeline model.path=FILE" in done.stdout
    assert "efficientdet_d0" in done.stdout
    assert "dataset: auto, coco, csv, shapes" in done.stdout


def test_unknown_command(odbench):
    done = odbench("nosuch")
    assert done.returncode == 2


def test_pipeline_prints_nothing_but_the_text_proto(odbench):
    done = odbench("pipeline", *TINY, "train.batch_size=4", "model=efficientdet_d0")
    assert done.returncode == 0, done.stderr
    proto = text_format.Parse(done.stdout, TrainEvalPipelineConfig())
    assert proto.train_config.batch_size == 4
    assert proto.model.ssd.num_classes == 3
    assert proto.train_input_reader.tf_record_input_reader.input_path


def test_pipeline_base_is_the_published_one(odbench):
    done = odbench("pipeline", "--base", "model=efficientdet_d0")
    proto = text_format.Parse(done.stdout, TrainEvalPipelineConfig())
    assert (proto.train_config.batch_size, proto.model.ssd.num_classes) == (128, 90)


def test_pipeline_refuses_an_unknown_field(odbench):
    done = odbench("pipeline", *TINY, "model.pipeline.train_config.max_number_of_boxe=5")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "max_number_of_boxes" in done.stderr


@pytest.fixture
def small_case(tmp_path):
    truth = {
        "images": [{"id": 1, "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500,
             "iscrowd": 0}
        ],
    }  # fmt: skip
    found = [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 50], "score": 0.9}]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dt.json").write_text(json.dumps(found))


@pytest.mark.usefixtures("small_case")
def test_score_as_json_prints_nothing_else(odbench):
    done = odbench("score", "gt.json", "dt.json", "--json")
    body = json.loads(done.stdout)
    assert body["metrics"]["AP"] == pytest.approx(1.0)
    assert body["metrics"]["AP_small"] is None
    assert "AP50" in odbench("score", "gt.json", "dt.json").stdout


@pytest.mark.usefixtures("small_case")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("gt.json", "nosuch.json"), "nosuch.json"),
        (("dt.json", "gt.json"), "dt.json"),
        (("gt.json", "dt.json", "--engine", "x"), "faster_coco_eval"),
        (("gt.json",), "DETECTIONS"),
    ],
)
def test_score_of_bad_input(odbench, arguments, text):
    done = odbench("score", *arguments)
    assert done.returncode == 2
    assert text.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_report_of_nothing(odbench, tmp_path):
    done = odbench("report", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "nowhere" in done.stderr


def test_report_of_two_runs(odbench, tmp_path):
    for run_id in ("one", "two"):
        store_record(make_record(run_id=run_id), tmp_path)
    done = odbench("report", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    (group,) = json.loads(done.stdout)["groups"]
    assert len(group["rows"]) == 2
    assert (tmp_path / "out" / "report.md").exists()


def test_a_run_without_a_record_is_named(odbench, tmp_path):
    (tmp_path / "runs" / "killed").mkdir(parents=True)
    (tmp_path / "runs" / "killed" / "job.json").write_text("{}")
    done = odbench("report")
    assert done.returncode == 2
    assert "runs/killed" in done.stderr
    assert "no record of a run" in done.stderr


def test_a_damaged_record_is_named(odbench, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "record.json").write_text('{"schema_version": 1, "status"')
    done = odbench("report")
    assert done.returncode == 2
    assert "record.json" in done.stderr


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "odbench run"),
        (["paths.runs_dir=/nope"], "/nope/mlflow.db: there is no MLflow store yet"),
        (["tracking.uri=http://127.0.0.1:5000"], "open that address in a browser"),
        (["tracking.uri=foo://bar"], "tracking.uri: no such kind of MLflow store"),
    ],
)
def test_ui_of_no_store_that_it_can_show(odbench, given, text):
    done = odbench("ui", *given)
    assert done.returncode == 2
    assert text in done.stderr


def test_output_into_a_closed_pipe(tmp_path):
    writer = start(tmp_path, "run", "--cfg", "job", output=subprocess.PIPE)
    writer.stdout.close()
    errors = writer.stderr.read()
    writer.stderr.close()
    writer.wait(timeout=60)
    assert "Traceback" not in errors
