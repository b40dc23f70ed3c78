"""Several processes at one cache, and those that were killed."""

import multiprocessing
import signal
import subprocess
import sys
import time

import pytest
from zoo_world import FILES, NAME, TOP, left, model_files, unpacked

from odbench.errors import ZooError
from odbench.zoo.store import find_checkpoint
from odbench.zoo.take import Taking, fetch


def fetched_by_another(cache, address, results):
    made = fetch(NAME, cache, Taking(mirror=address))
    results.put((made.made, str(made.checkpoint)))


def slowly(handler):
    """The whole file, in pieces with pauses."""
    zoo = handler.server.zoo
    handler.send_response(200)
    handler.send_header("ETag", zoo.etag)
    handler.send_header("Content-Length", str(len(zoo.content)))
    handler.end_headers()
    for start in range(0, len(zoo.content), 20_000):
        handler.body(zoo.content[start : start + 20_000])
        time.sleep(0.08)


@pytest.mark.process
def test_of_two_processes_one_fetches_and_the_other_waits(zoo, cache):
    zoo.next.append(slowly)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    both = [
        context.Process(target=fetched_by_another, args=(cache, zoo.address, results))
        for _ in range(2)
    ]
    for process in both:
        process.start()
    told = sorted(results.get(timeout=60) for _ in both)
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert [made for made, _ in told] == [False, True]
    assert told[0][1] == told[1][1]
    assert len(zoo.asked) == 1
    assert left(cache) == ["checksums.json", NAME]


@pytest.mark.process
def test_a_killed_fetch_leaves_nothing_that_looks_finished(zoo, cache, quick):
    zoo.next.append(slowly)
    code = (
        "import sys; from pathlib import Path; from odbench.zoo.take import fetch;"
        f"fetch({NAME!r}, Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(cache)])
    download = cache / "zoo" / f".{NAME}.download"
    deadline = time.monotonic() + 60
    while not (download.is_file() and download.stat().st_size > 40_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert not (cache / "zoo" / NAME).exists()
    with pytest.raises(ZooError, match="not in the cache"):
        find_checkpoint(NAME, cache)
    fetch(NAME, cache, quick())
    assert int(zoo.asked[-1]["range"].removeprefix("bytes=").rstrip("-")) > 40_000
    assert model_files(cache / "zoo" / NAME) == FILES


def test_what_a_killed_unpacking_left_is_cleared_away(zoo, cache, quick):
    half = cache / "zoo" / f".{NAME}.partial" / TOP
    unpacked(half)
    with pytest.raises(ZooError, match="not in the cache"):
        find_checkpoint(NAME, cache)
    fetch(NAME, cache, quick())
    assert left(cache) == ["checksums.json", NAME]
