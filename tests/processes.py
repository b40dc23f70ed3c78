"""Whole odbench processes that a test starts, watches, and ends by signals."""

import os
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from odbench.cli import main; main()"]


def start(folder, *arguments, output=subprocess.DEVNULL):
    """Start ``odbench ARGUMENTS`` in a folder."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=folder, stdout=output, stderr=output, text=True
    )


def wait_for(condition, seconds=120):
    """Wait until something is true or not empty, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return found


def events_of(folder):
    """Event logs of the runs below a folder, without MLflow's copies."""
    return [p for p in folder.rglob("events.jsonl") if "mlartifacts" not in p.parts]


def training(folder):
    """Event logs of the runs that have trained a step."""
    return [p for p in events_of(folder) if '"loss"' in p.read_text()]


def child_of(process):
    """Process id of the run that a launch carries out."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def is_gone(pid):
    return not Path(f"/proc/{pid}").exists()


def end(process, signum=None, seconds=120):
    """Send a signal, if any; exit code and standard error."""
    if signum is not None:
        os.kill(process.pid, signum)
    _, errors = process.communicate(timeout=seconds)
    return process.returncode, errors
