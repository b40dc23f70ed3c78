from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dataset_builders import many_pictures

from odbench.dataset.crew import Crew
from odbench.dataset.encode import Encoder
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.source import FileSource
from odbench.dataset.statistics import dataset_statistics, statistics_to_json
from odbench.dataset.stored import read_stored
from odbench.errors import OutOfMemoryError


def test_any_number_of_processes_gives_the_same(tmp_path, add_image, voc_spec):
    source = many_pictures(tmp_path / "in", add_image)
    spec = voc_spec(source, shards=3)
    one = prepare_dataset(spec, tmp_path / "one")
    two = prepare_dataset(dataclasses.replace(spec, workers=2), tmp_path / "two")
    assert one.hash == two.hash
    for path in one.dir.iterdir():
        if path.name != "dataset.json":  # it has the time
            assert path.read_bytes() == (two.dir / path.name).read_bytes()
    described = [read_stored(dataset.dir) for dataset in (one, two)]
    assert described[0].findings == described[1].findings
    assert described[0].statistics == described[1].statistics
    # counted while the records were written, and from the ground truth afterwards
    assert described[0].statistics == statistics_to_json(dataset_statistics(one))
    splits = json.loads((one.dir / "splits.json").read_text())
    assert {name: len(listed) for name, listed in splits.items()} == one.summary.images


class DeadlySource(FileSource):
    """Its pictures kill the process that reads them."""

    def survey(self):
        raise AssertionError("nobody surveys it")

    def load(self, key):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_said():
    killed = pytest.raises(OutOfMemoryError, match="a converting process was killed")
    with Crew(2) as crew, killed:
        list(Encoder(DeadlySource(), {"cat": 1}, crew).split("train", ["a", "b"]))


SLEEPY = """
import os, sys, time
from pathlib import Path
from odbench.dataset.source import FileSource

class SleepySource(FileSource):
    def survey(self):
        raise AssertionError("nobody surveys it")
    def load(self, key):
        Path(key, f"{os.getpid()}.pid").touch()
        time.sleep(60)
"""

CONVERT = """
import sys
from odbench.dataset.crew import Crew
from odbench.dataset.encode import Encoder
from sleepy import SleepySource

with Crew(2) as crew:
    list(Encoder(SleepySource(), {"cat": 1}, crew).split("train", [sys.argv[1]] * 40))
"""


def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    script = tmp_path / "convert.py"
    script.write_text(CONVERT)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    parent.kill()
    parent.wait()
    children = [int(path.stem) for path in tmp_path.glob("*.pid")]
    wait_for(lambda: not any(is_running(pid) for pid in children))


def wait_for(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
