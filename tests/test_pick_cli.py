"""The command `odbench pick`: exit codes, output, errors."""

import json
from subprocess import CompletedProcess

import pytest
from factories import gpu_changes, make_failed, make_record, store_record
from tiny import FAST
from typer.testing import CliRunner

from odbench.cli import app


@pytest.fixture
def call(tmp_path, monkeypatch):
    """As `odbench pick`, in this process and a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = CliRunner().invoke(app, ["pick", *map(str, arguments)])
        return CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def runs(tmp_path):
    for record in (
        make_record(name="exact", ap=0.5, latency_s=0.08),
        make_record(name="good", ap=0.45, latency_s=0.03),
        make_record(name="fast", ap=0.3, latency_s=0.01),
        make_failed(name="dead"),
    ):
        store_record(record, tmp_path)
    return tmp_path / "runs"


def test_the_answer_comes_first_and_the_exit_code_is_0(call, runs):
    done = call("--min", "AP50=0.4", "--max", "latency_p50_ms=40ms", "--max", "size_bytes=50MB")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Take good: AP 0.450, the highest AP of the 2 runs that keep")
    assert "- Out: dead: oom in train: memory ran out." in done.stdout
    assert done.stderr == ""


def test_folders_may_be_named(call, runs):
    records = {path: json.loads(path.read_text()) for path in runs.glob("*/record.json")}
    some = [path.parent for path, body in records.items() if body["name"] != "exact"]
    assert call(*some).stdout.startswith("Take good:")
    assert call().stdout.startswith("Take exact:")
    done = call("--runs-dir", "elsewhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "elsewhere: no such folder" in done.stderr


def test_json_is_the_only_output(call, runs):
    (runs / "half").mkdir()
    (runs / "half" / "job.json").write_text("{}")
    done = call("--json", "--prefer", "AP=2,latency_p50_ms=1", "--train-steps", "50000")
    assert done.returncode == 0
    body = json.loads(done.stdout)
    (group,) = body["groups"]
    assert group["chosen"]["run"] == "fast"
    assert body["preference"]["weights"] == [2, 1]
    assert body["chosen"] == [group["chosen"]["run_id"]]
    cost = group["candidates"][0]["training"]
    assert cost["hours_low"] < cost["hours"] < cost["hours_high"]
    assert (cost["cost"], cost["projection"]) == (None, True)
    assert "half" in done.stderr


def test_nobody_is_exit_code_1(call, runs):
    done = call("--max", "latency_p50_ms=9")
    assert done.returncode == 1
    assert done.stdout.startswith("No run to take: nobody keeps every constraint. Nearest is fast:")
    done = call("--max", "latency_p50_ms=9", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["groups"][0]["nearest"]["run"] == "fast"


def test_one_group_with_a_choice_is_enough(call, runs, tmp_path):
    store_record(make_record(name="gpu", ap=0.1, **gpu_changes()), tmp_path)
    done = call("--min", "AP=0.4")
    assert done.returncode == 0
    assert "2 groups that are not comparable" in done.stdout
    assert "Nearest is gpu" in done.stdout


def test_the_training_has_a_price(call, runs):
    done = call("--train-steps", "50000", "--price-per-hour", "2.5")
    text = " ".join(done.stdout.split())
    assert "Projection: 50,000 train steps take 1.18" in text
    assert "h and cost 2.9" in text
    assert "at 2.5 per hour" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min", "APP50=0.5"], "perhaps you mean AP50"),
        (["--min", "AP50"], "no value is given"),
        (["--max", "size_bytes=50ms"], "not a number with a unit that fits"),
        (["--min", "AP=0.5", "--max", "AP=0.4"], "no value can keep both"),
        (["--prefer", "AP=0"], "not a weight"),
        (["--prefer", "AP,AP"], "once"),
        (["--price-per-hour", "2"], "--train-steps"),
        (["--price-per-hour", "-2", "--train-steps", "5"], "not a price"),
        (["--price-per-hour", "nan", "--train-steps", "5"], "not a price"),
        (["--train-steps", "0"], "--train-steps"),
    ],
)
def test_bad_input_is_exit_code_2(call, runs, arguments, message):
    for more in ([], ["--json"]):
        done = call(*arguments, *more)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


def test_an_empty_folder_is_bad_input(call, tmp_path):
    (tmp_path / "runs").mkdir()
    done = call()
    assert done.returncode == 2
    assert "no record of a run in there" in done.stderr


@pytest.mark.process
def test_replayed_runs_are_tested_by_their_detections(odbench, call):
    done = odbench("run", "-m", *FAST, "replay.quality=0.9,0.1", "dataset.shapes.val_images=12")
    assert done.returncode == 0, done.stderr
    assert call().returncode == 1  # nothing was measured
    done = call("--allow-flagged", "--json")
    assert done.returncode == 0, done.stderr
    (group,) = json.loads(done.stdout)["groups"]
    best, other = (candidate["values"]["eval/AP"] for candidate in group["candidates"])
    assert best > other
    tie = group["ties"][0]
    assert (tie["metric"], tie["verdict"]) == ("eval/AP", "worse")
    assert tie["difference"] == pytest.approx(other - best, abs=1e-6)
