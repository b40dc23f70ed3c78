import json
import os

from odbench import events
from odbench.events import EventLog, read_events


def test_events_are_on_disk_at_once(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.emit("loss", step=3)
    (event,) = read_events(tmp_path / "events.jsonl")
    assert (event["event"], event["step"]) == ("loss", 3)
    log.close()


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "a"}\n{"event": "b"}\n{"eve')
    assert [event["event"] for event in read_events(path)] == ["a", "b"]
    assert list(read_events(tmp_path / "none")) == []


def test_progress_is_rare_but_tells_the_end(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(events.time, "monotonic", lambda: now[0])
    log = EventLog(tmp_path / "events.jsonl")
    for step in range(1, 101):
        now[0] += 0.1
        log.progress("train", step, 100)
    log.close()
    steps = [event["step"] for event in read_events(tmp_path / "events.jsonl")]
    assert steps[-1] == 100
    assert 9 <= len(steps) <= 12


def test_copies_go_to_the_pipe_and_never_block(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    log = EventLog(tmp_path / "events.jsonl", writer)
    for step in range(5000):  # far more than a pipe holds
        log.emit("loss", step=step)
    log.close()
    first = json.loads(os.read(reader, 65536).split(b"\n")[0])
    assert first["step"] == 0
    os.close(reader)
    os.close(writer)
    assert sum(1 for _ in read_events(tmp_path / "events.jsonl")) == 5000


def test_a_reader_that_is_gone_costs_nothing(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    log = EventLog(tmp_path / "events.jsonl", writer)
    log.emit("a")
    log.emit("b")
    log.close()
    os.close(writer)
    assert sum(1 for _ in read_events(tmp_path / "events.jsonl")) == 2
