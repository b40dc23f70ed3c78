"""Runs whose processes are killed or interrupted."""

import os
import signal
import subprocess

import pytest
from processes import child_of, end, is_gone, start, training, wait_for
from tiny import FAST, record, records

pytestmark = pytest.mark.process


def test_kill_9_in_the_middle_of_training(tmp_path):
    process = start(tmp_path, "run", "-m", *FAST, "replay.wait_s=0.2,0", "train.loss_every_steps=1")
    (events,) = wait_for(lambda: training(tmp_path))
    os.kill(child_of(process), signal.SIGKILL)
    assert end(process)[0] == 1
    killed, other = sorted(records(tmp_path), key=lambda r: r["started_at"])
    assert (killed["status"], killed["failed_stage"]) == ("failed", "train")
    assert "signal 9" in killed["reason"]
    assert '"loss"' in events.read_text()
    assert other["status"] == "ok"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_parent_ends_the_run_and_keeps_its_record(tmp_path, signum):
    options = [*FAST, "replay.wait_s=0.2", "train.loss_every_steps=1"]
    process = start(tmp_path, "run", *options, output=subprocess.PIPE)
    wait_for(lambda: training(tmp_path))
    child = child_of(process)
    code, errors = end(process, signum)
    assert code == 130, errors
    assert record(tmp_path)["status"] == "interrupted"
    assert is_gone(child)


def test_kill_9_of_the_parent_ends_the_child(tmp_path):
    process = start(tmp_path, "run", *FAST, "replay.wait_s=0.2", "train.loss_every_steps=1")
    wait_for(lambda: training(tmp_path))
    child = child_of(process)
    end(process, signal.SIGKILL)
    wait_for(lambda: is_gone(child))
    assert records(tmp_path) == []
