"""``odbench pipeline``: print, lint and diff, as a person calls them."""

import json

import pytest
from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig
from tiny import FAST, TINY
from typer.testing import CliRunner

from odbench.cli import app

NUM_CLASSES = "model { ssd { num_classes: 3 } }"


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["pipeline", *arguments])


def shown(done):
    """Standard output of a command that ended as it should."""
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout


def test_help_shows_all_three(call):
    text = shown(call("--help"))
    assert all(f"  {name} " in text for name in ("print", "lint", "diff"))


@pytest.mark.parametrize("name", [[], ["print"]])
def test_print_is_the_command_where_none_is_named(call, name):
    done = call(*name, *TINY, "train.batch_size=4")
    proto = text_format.Parse(shown(done), TrainEvalPipelineConfig())
    assert done.exit_code == 0
    assert (proto.train_config.batch_size, proto.model.ssd.num_classes) == (4, 3)


@pytest.mark.parametrize("name", [[], ["print"]])
def test_print_of_the_models_own(call, name):
    proto = text_format.Parse(
        shown(call(*name, "--base", "model=efficientdet_d0")), TrainEvalPipelineConfig()
    )
    assert (proto.train_config.batch_size, proto.model.ssd.num_classes) == (128, 90)


def test_print_without_a_word_is_the_default_run(call):
    assert shown(call(*TINY)).startswith("model {")


def test_print_and_help_of_each(call):
    for name in ("print", "lint", "diff"):
        done = call(name, "--help")
        assert done.exit_code == 0
        assert "odbench" in shown(done) or "pipeline.config" in shown(done)


def test_lint_of_a_run_is_clean(call):
    done = call("lint", *TINY)
    assert shown(done) == "0 errors, 0 warnings\n"
    assert done.exit_code == 0


def test_lint_of_a_file_names_line_value_and_what_to_do(call, tmp_path):
    (tmp_path / "old.config").write_text(
        'model {\n  ssd {\n    feature_extractor { type: "ssd_mobilenet_v1"\n'
        "      batch_norm_trainable: true }\n  }\n}\n"
    )
    done = call("lint", "old.config")
    text = shown(done)
    assert done.exit_code == 2
    path = "model.ssd.feature_extractor"
    assert f"error: old.config:4: {path}.batch_norm_trainable: SsdFeatureExtractor has no" in text
    assert f"error: {path}.type = ssd_mobilenet_v1: " in text
    assert "do:      take ssd_mobilenet_v1_keras" in text


def test_lint_as_json(call, tmp_path):
    (tmp_path / "a.config").write_text("train_config { use_bfloat16: true }")
    done = call("lint", "a.config", "--json")
    body = json.loads(shown(done))
    assert (done.exit_code, body["ok"], body["source"]) == (2, False, "a.config")
    assert {"rule", "severity", "path", "value", "what", "fix", "line"} == body["errors"][0].keys()
    (warning,) = [w for w in body["warnings"] if w["rule"] == "bfloat16"]
    assert (warning["path"], warning["value"]) == ("train_config.use_bfloat16", True)


def test_a_warning_is_an_error_where_that_is_wanted(call, tmp_path):
    text = shown(call("print", *TINY))
    (tmp_path / "a.config").write_text(f"{text} graph_rewriter {{ }}")
    assert call("lint", "a.config").exit_code == 0
    assert call("lint", "a.config", "--strict").exit_code == 2


def test_lint_counts_replicas(call):
    done = call("lint", *TINY, "train.batch_size=4", "--replicas", "3")
    assert done.exit_code == 2
    assert "train_config.batch_size = 4: cannot be shared evenly by 3 replicas" in shown(done)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["lint", "nosuch.config"], "No such file"),
        (["lint", "a", "b"], "one configuration"),
        (["lint", "model=nosuch"], "no such choice"),
        (["diff", "nosuch", "model=efficientdet_d0"], "nor the name of a model"),
        (["diff", "efficientdet_d0"], "nothing to compare"),
        (["diff", "here.config"], "no run folder"),
        (["diff", "here.config", "broken.config"], "broken.config:1"),
        (["diff", "here.config", "model='"], "cannot take it apart"),
        (["diff", "here.config", "empty"], "empty/pipeline.config"),
    ],
)
def test_trouble_ends_with_2_and_no_traceback(call, tmp_path, arguments, word):
    (tmp_path / "here.config").write_text(NUM_CLASSES)
    (tmp_path / "broken.config").write_text("model }")
    (tmp_path / "empty").mkdir()
    done = call(*arguments)
    assert done.exit_code == 2
    assert shown(done) == ""
    assert word in done.stderr


def test_diff_of_files(call, tmp_path):
    (tmp_path / "a").write_text(NUM_CLASSES)
    (tmp_path / "b").write_text("model { ssd { num_classes: 5 freeze_batchnorm: true } }")
    done = call("diff", "a", "b")
    assert shown(done).splitlines() == [
        "model.ssd.num_classes       3 -> 5",
        "model.ssd.freeze_batchnorm  false (default) -> true",
    ]
    assert done.exit_code == 1
    done = call("diff", "a", "a")
    assert (shown(done), done.exit_code) == ("no difference\n", 0)


def test_diff_as_json(call, tmp_path):
    (tmp_path / "a").write_text(NUM_CLASSES)
    (tmp_path / "b").write_text("model { ssd { num_classes: 5 } }")
    path = {"path": "model.ssd.num_classes", "old": 3, "new": 5, "old_set": True, "new_set": True}
    assert json.loads(shown(call("diff", "a", "b", "--json"))) == {"same": False, "changes": [path]}
    assert json.loads(shown(call("diff", "a", "a", "--json"))) == {"same": True, "changes": []}


def test_diff_of_models_by_name(call):
    done = call("diff", "efficientdet_d0", "model=efficientdet_d1", "--base", "--json")
    changes = {change["path"]: change for change in json.loads(shown(done))["changes"]}
    assert changes["model.ssd.feature_extractor.bifpn.num_filters"]["new"] == 88
    assert "train_config.num_steps" not in changes
    assert done.exit_code == 1


def test_diff_of_compositions(call):
    tiny = " ".join(TINY)
    done = call("diff", f"{tiny} train.batch_size=4", f"{tiny} train.batch_size=8", "--json")
    changes = {change["path"]: change for change in json.loads(shown(done))["changes"]}
    assert changes["train_config.batch_size"] == {
        "path": "train_config.batch_size",
        "old": 4,
        "new": 8,
        "old_set": True,
        "new_set": True,
    }
    assert all("learning_rate" in path or "batch_size" in path for path in changes)


def test_diff_of_a_composition_and_its_model(call):
    done = call("diff", " ".join([*TINY, "train.batch_size=4"]), "--json")
    changes = {change["path"]: change for change in json.loads(shown(done))["changes"]}
    assert changes["model.ssd.num_classes"]["new"] == 3
    assert changes["train_config.batch_size"]["new"] == 4


@pytest.mark.process
def test_a_run_folder_is_checked_and_compared(odbench, tmp_path):
    done = odbench("run", *FAST, "train.batch_size=2", "paths.runs_dir=runs")
    assert done.returncode == 0, done.stderr
    (record,) = tmp_path.rglob("record.json")
    run = str(record.parent)
    assert odbench("pipeline", "lint", run).stdout == "0 errors, 0 warnings\n"
    done = odbench("pipeline", "diff", run, "--json")
    assert done.returncode == 1, done.stderr
    edits = {edit["field"] for edit in json.loads((record.parent / "edits.json").read_text())}
    changed = {change["path"] for change in json.loads(done.stdout)["changes"]}
    assert "train_config.batch_size" in changed
    # an edit that sets a default has no effect, so it is no difference
    assert changed <= edits
    assert odbench("pipeline", "diff", run, run).returncode == 0
