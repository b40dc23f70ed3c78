"""The lines of progress of a run whose output is no terminal."""

import logging

import pytest

from odbench import progress


@pytest.fixture
def told(monkeypatch, caplog):
    """Takes events with the time of each, and gives the lines of progress that they made."""
    caplog.set_level(logging.INFO, progress.__name__)
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = progress._Lines("run")

    def tell(stage, *reports, **fields):
        lines.on_event({"event": "stage_begin", "stage": stage})
        caplog.clear()
        for now[0], step in reports:
            event = {"event": "progress", "stage": stage, "step": step, "total": 64}
            lines.on_event(event | fields)
        return caplog.messages

    return tell


def test_the_time_left_leaves_out_the_first_report_of_a_stage(told):
    assert told("eval", (60, 8), (61, 16), (91, 46)) == [
        "run: eval 8/64",
        "run: eval 46/64, about 15 s left",  # 38 in 31 s
    ]
    assert told("latency", (93, 1), (95, 3), (131, 21)) == [
        "run: latency 21/64, about 82 s left"  # 20 in 38 s
    ]


def test_the_newest_step_tells_the_time_left_where_it_is_known(told):
    assert told("train", (40, 4), step_s=0.5) == ["run: train 4/64, about 30 s left"]
