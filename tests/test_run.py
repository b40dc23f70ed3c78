"""Whole runs by the command, on the replay backend."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import TINY

FAST = [*TINY, "tracking=none", "paths.reports_dir=null"]
REPORTED = [*TINY, "tracking=none"]


def records(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("record.json"))]


def record(folder):
    (only,) = records(folder)
    return only


def test_run_leaves_a_whole_record(odbench, tmp_path):
    done = odbench("run", *REPORTED)
    assert done.returncode == 0, done.stderr
    body = record(tmp_path)
    assert list(body)[:3] == ["status", "reason", "metrics"]
    assert body["status"] == "ok"
    assert set(body["usage"]) == {"train", "eval", "export", "latency"}
    assert body["train"]["num_steps"] == 56
    assert len(body["train"]["compute_s"]) == 50
    assert 0 < body["metrics"]["eval/AP50"] <= 1
    assert (
        body["flags"] == ["projection", "few_samples", "replayed"] or "busy_device" in body["flags"]
    )
    assert {"train_config.batch_size", "train_config.num_steps"} <= {
        e["field"] for e in body["edits"]
    }
    assert "report: reports" in done.stdout
    assert next(tmp_path.glob("reports/*/report.md")).read_text().count("replay") > 0
    assert len(list(tmp_path.rglob("gallery/*.png"))) == 4


def test_same_seed_gives_the_same_results(odbench, tmp_path):
    for seed in (0, 0, 1):
        assert odbench("run", *FAST, f"seed={seed}").returncode == 0
    first, second, other = sorted(records(tmp_path), key=lambda r: r["started_at"])
    assert first["train"]["losses"] == second["train"]["losses"]
    assert first["fingerprint"] == second["fingerprint"]
    assert first["train"]["losses"] != other["train"]["losses"]


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("fail", "failed", "the replayed failure"),
        ("oom", "oom", "lack of memory"),
        ("kill", "failed", "killed by signal 9"),
    ],
)
def test_a_fault_leaves_a_record(odbench, tmp_path, fault, status, reason):
    done = odbench("run", *FAST, f"replay.fault={fault}", "replay.fault_stage=export")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    body = record(tmp_path)
    assert (body["status"], body["failed_stage"]) == (status, "export")
    assert reason in body["reason"]
    assert body["train"] and body["eval"]["metrics"]["AP"] is not None  # nothing measured is lost
    assert body["export"] is None


def test_time_limit(odbench, tmp_path):
    done = odbench("run", *FAST, "replay.fault=hang", "runtime.timeout_s=2")
    assert done.returncode == 1
    body = record(tmp_path)
    assert (body["status"], body["failed_stage"]) == ("timeout", "train")
    assert "runtime.timeout_s=2" in body["reason"]


def test_a_child_that_does_not_answer_is_killed(odbench, tmp_path):
    done = odbench(
        "run",
        *FAST,
        "replay.fault=ignore",
        "runtime.timeout_s=2",
        "runtime.grace_s=1",
    )
    assert done.returncode == 1
    assert record(tmp_path)["status"] == "timeout"


def test_multirun_goes_on_after_a_killed_child(odbench, tmp_path):
    done = odbench("run", "-m", *REPORTED, "replay.fault=none,kill", "seed=0,1")
    assert done.returncode == 1
    assert sorted(r["status"] for r in records(tmp_path)) == ["failed", "failed", "ok", "ok"]
    (report,) = tmp_path.glob("reports/*/comparison.json")
    rows = [row for group in json.loads(report.read_text())["groups"] for row in group["rows"]]
    assert len(rows) == 4


def test_multirun_by_two_models_and_two_batches(odbench, tmp_path):
    done = odbench("run", "--config-name", "mobilenets_by_batch", *REPORTED)
    assert done.returncode == 0, done.stderr
    found = {(r["model"], r["spec"]["train"]["batch_size"]) for r in records(tmp_path)}
    assert len(found) == 4
    assert len({r["sweep_id"] for r in records(tmp_path)}) == 1
    (report,) = tmp_path.glob("reports/*/comparison.json")
    (group,) = json.loads(report.read_text())["groups"]  # all four are comparable
    assert len(group["rows"]) == 4


def _start(tmp_path, *arguments):
    command = [sys.executable, "-c", "from odbench.cli import main; main()", "run", *arguments]
    return subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def _training(tmp_path):
    return [p for p in tmp_path.rglob("events.jsonl") if '"loss"' in p.read_text()]


def _child_of(process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def test_kill_9_in_the_middle_of_training(tmp_path):
    process = _start(tmp_path, "-m", *FAST, "replay.wait_s=0.2,0", "train.loss_every_steps=1")
    (events,) = _wait_for(lambda: _training(tmp_path))
    os.kill(_child_of(process), signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 1
    killed, other = sorted(records(tmp_path), key=lambda r: r["started_at"])
    assert (killed["status"], killed["failed_stage"]) == ("failed", "train")
    assert "signal 9" in killed["reason"]
    assert '"loss"' in events.read_text()
    assert other["status"] == "ok"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_parent_ends_the_run_and_keeps_its_record(tmp_path, signum):
    process = _start(tmp_path, *FAST, "replay.wait_s=0.2", "train.loss_every_steps=1")
    _wait_for(lambda: _training(tmp_path))
    child = _child_of(process)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert record(tmp_path)["status"] == "interrupted"
    assert not Path(f"/proc/{child}").exists()


def test_kill_9_of_the_parent_ends_the_child(tmp_path):
    process = _start(tmp_path, *FAST, "replay.wait_s=0.2", "train.loss_every_steps=1")
    _wait_for(lambda: _training(tmp_path))
    child = _child_of(process)
    process.kill()
    process.communicate(timeout=60)
    _wait_for(lambda: not Path(f"/proc/{child}").exists())
    assert records(tmp_path) == []


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("train.batch_sizee=4", "did you mean train.batch_size?"),
        ("train.batch_size=0", "an integer >= 1"),
        ("train.batch_size=x", "an integer"),
        ("model=nosuch", "efficientdet_d0"),
        ("model.pipeline.train_config.nosuch=1", "model.pipeline.train_config.nosuch"),
        ("--nosuch", "no such option"),
        ("train.batch_size=4,8", "for a sweep add -m"),
    ],
)
def test_bad_input_ends_with_2_and_leaves_nothing(odbench, tmp_path, override, text):
    done = odbench("run", *FAST, override)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.rglob("record.json")) == []


def test_one_bad_cell_stops_a_sweep_before_it_starts(odbench, tmp_path):
    done = odbench("run", "-m", *FAST, "train.batch_size=4,0")
    assert done.returncode == 2
    assert "train.batch_size" in done.stderr
    assert list(tmp_path.rglob("record.json")) == []


def test_a_defined_sweep_with_other_values(odbench, tmp_path):
    name = "mobilenets_by_batch"
    done = odbench("run", "--config-name", name, *FAST, "train.batch_size=2,3,4")
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path)) == 6


def test_missing_source_folder(odbench, tmp_path):
    done = odbench("run", "backend=replay", "dataset=voc", "dataset.dir=/nowhere")
    assert done.returncode == 2
    assert "/nowhere" in done.stderr
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_unwritable_runs_folder(odbench, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = odbench("run", *FAST, "paths.runs_dir=file/runs")
    assert done.returncode == 2
    assert "paths.runs_dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_unwritable_reports_folder(odbench, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = odbench("run", *TINY, "tracking=none", "paths.reports_dir=file/reports")
    assert done.returncode == 2
    assert "paths.reports_dir" in done.stderr
    assert list(tmp_path.rglob("record.json")) == []


def test_a_folder_of_own_configurations(odbench, tmp_path):
    (tmp_path / "mine" / "timing").mkdir(parents=True)
    (tmp_path / "mine" / "timing" / "three.yaml").write_text("measured_steps: 3\n")
    done = odbench("run", "--config-dir", "mine", *FAST, "timing=three")
    assert done.returncode == 0, done.stderr
    assert record(tmp_path)["spec"]["timing"]["measured_steps"] == 3


def test_debug_shows_the_traceback(odbench):
    done = odbench("--debug", "run", "train.batch_size=0")
    assert "Traceback" in done.stderr


def test_interleaved_options_and_overrides(odbench, tmp_path):
    done = odbench("run", "seed=3", "-m", *FAST, "train.batch_size=4")
    assert done.returncode == 0, done.stderr
    assert record(tmp_path)["spec"]["seed"] == 3


def test_cfg_shows_and_runs_nothing(odbench, tmp_path):
    done = odbench("run", "--cfg", "job", "seed=7")
    assert done.returncode == 0
    assert "seed: 7" in done.stdout
    assert not (tmp_path / "runs").exists()
