"""Sweeps whose processes are killed or interrupted, and gone on with by the same command."""

import json
import signal
import subprocess
import sys

import psutil
import pytest
from processes import child_of, end, is_gone, start, training, wait_for
from tiny import FAST, children, records

pytestmark = pytest.mark.process

# the first cell is slow enough to be interrupted
SLOW = ["run", "-m", *FAST, "seed=0,1", "replay.wait_s=0.1", "train.loss_every_steps=1"]
SLOW += ["timing.measured_steps=20", "timing.warmup_steps=1"]


# and this one does not end before it is
LONG = [*SLOW, "timing.measured_steps=900"]


def in_training(tmp_path, command=SLOW):
    process = start(tmp_path, *command, output=subprocess.PIPE)
    wait_for(lambda: training(tmp_path))
    return process


def statuses(tmp_path):
    return sorted(body["status"] for body in records(tmp_path))


def test_kill_9_of_the_parent_and_the_same_command(tmp_path, odbench):
    process = in_training(tmp_path)
    child = child_of(process)
    end(process, signal.SIGKILL)
    wait_for(lambda: is_gone(child))
    assert statuses(tmp_path) == []
    done = odbench(*SLOW)
    assert done.returncode == 0, done.stderr
    (shared,) = tmp_path.rglob("sweep.json")
    bodies = records(shared.parent)
    assert [body["status"] for body in bodies] == ["ok", "ok"]
    assert [len(body["train"]["parts"]) for body in bodies] == [2, 1]
    assert {body["sweep_id"] for body in bodies} == {json.loads(shared.read_text())["sweep_id"]}
    again = odbench(*SLOW)
    assert (again.returncode, "begins" in again.stderr) == (0, False)
    assert records(shared.parent) == bodies


@pytest.mark.usefixtures("runs_dir")
def test_kill_9_in_an_analysis_and_the_same_command(tmp_path, odbench):
    """The run is neither trained again nor logged twice."""
    command = ["run", "-m", *FAST, "tracking.enabled=true", "seed=0,1"]
    code = (
        "import os; from odbench import attempt, cli; "
        "attempt.analysed = lambda *_: os.kill(os.getpid(), 9); cli.main()"
    )
    killed = subprocess.run([sys.executable, "-c", code, *command], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert statuses(tmp_path) == []
    (stage,) = tmp_path.rglob("stages/train.json")
    trained = stage.read_bytes()
    done = odbench(*command)
    assert done.returncode == 0, done.stderr
    (shared,) = tmp_path.rglob("sweep.json")
    bodies = records(shared.parent)
    assert [(b["status"], b["analysis"] is not None) for b in bodies] == [("ok", True)] * 2
    assert stage.read_bytes() == trained
    assert sorted(children(tmp_path)) == sorted(body["run_id"] for body in bodies)


def test_ctrl_c_once_finishes_the_cell(tmp_path):
    code, errors = end(in_training(tmp_path), signal.SIGINT)
    assert code == 130, errors
    assert statuses(tmp_path) == ["ok"]
    assert "1 done, 1 missing" in errors
    assert "to go on: odbench run -m backend=replay" in errors


def test_ctrl_c_once_finishes_the_cells_of_workers(tmp_path):
    command = [*SLOW, "seed=range(9)", "hydra/launcher=joblib"]
    process = in_training(tmp_path, command)
    for worker in psutil.Process(process.pid).children():  # a terminal's goes to all of them
        worker.send_signal(signal.SIGINT)
    code, errors = end(process, signal.SIGINT)
    assert code == 130, errors
    ended = statuses(tmp_path)
    assert ended == ["ok"] * len(ended), errors
    assert 1 <= len(ended) <= 3
    assert f"{len(ended)} done, {9 - len(ended)} missing" in errors
    assert f"{9 - len(ended)} of the runs were not started" in errors


def test_ctrl_c_twice_stops_now_and_two_sweeps_of_the_same_cells_are_refused(tmp_path, odbench):
    process = in_training(tmp_path, LONG)
    second = odbench(*LONG)
    assert second.returncode == 2
    assert "this sweep is going already" in second.stderr
    process.send_signal(signal.SIGINT)
    line = ""
    while "a second Ctrl-C" not in line:
        line = process.stderr.readline()
        assert line, "it ended"
    code, errors = end(process, signal.SIGINT)
    assert code == 130, errors
    assert statuses(tmp_path) == ["interrupted"]


def test_fail_fast_and_then_what_failed(tmp_path, odbench):
    command = ["run", "-m", *FAST, "replay.fault=fail,none"]
    done = odbench(*command, "--fail-fast")
    assert done.returncode == 1
    assert "1 failed, 1 missing" in done.stderr
    assert statuses(tmp_path) == ["failed"]
    done = odbench(*command, "--failed")
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == ["ok", "ok"]
