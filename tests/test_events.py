import json
import os

from odbench import events
from odbench.events import EventLog, busy_s, lasting_events, read_events


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


def _write(path, *events):
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_steps_that_were_trained_again_last_once(tmp_path):
    loss = {"event": "loss", "stage": "train"}
    path = _write(
        tmp_path / "events.jsonl",
        {"event": "train_from", "stage": "train", "step": 0},
        {**loss, "step": 1, "part": 1},
        {**loss, "step": 2, "part": 1},
        {"event": "progress", "stage": "eval", "step": 9},
        {"event": "train_from", "stage": "train", "step": 1},
        {**loss, "step": 2, "part": 2},
    )
    kept = [e for e in lasting_events(path) if e["event"] == "loss"]
    assert [(e["step"], e["part"]) for e in kept] == [(1, 1), (2, 2)]
    assert any(e.get("stage") == "eval" for e in lasting_events(path))


def test_busy_time_is_that_of_the_processes_without_the_breaks(tmp_path):
    path = _write(
        tmp_path / "events.jsonl",
        {"t": 100.0, "event": "begin"},
        {"t": 104.0, "event": "loss"},
        {"t": 900.0, "event": "begin"},
        {"t": 903.0, "event": "loss"},
    )
    assert busy_s(path) == 7.0
    assert busy_s(tmp_path / "none.jsonl") == 0.0
