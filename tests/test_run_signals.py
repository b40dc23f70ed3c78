"""Runs whose processes are killed or interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import FAST, record, records

pytestmark = pytest.mark.process


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


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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
