import io
from pathlib import Path

from factories import gpu_changes, make_failed, make_record
from rich.console import Console

from odbench.records import StoredRun
from odbench.report.comparison import compare
from odbench.report.terminal import render_summary


def show(*records, width=160):
    runs = [StoredRun(record, Path("runs") / record.run_id) for record in records]
    out = io.StringIO()
    Console(width=width, file=out).print(render_summary(compare(runs)))
    return out.getvalue()


def test_a_run_is_shown_with_its_numbers_and_hardware():
    text = show(make_record(name="a"))
    assert "1 run (1 ok), on CPU Intel(R) Xeon(R) Processor, 2 cores." in text
    assert "0.431" in text
    assert "1000-step train time" in text
    assert "[p]" not in text


def test_marks_are_shown_and_explained():
    text = show(make_record(name="a", measured_steps=30))
    assert "ok [p]" in text
    assert "projected from 30 steps) [p]" in text
    assert "[p] projection: the 1000-step train time is projected" in text


def test_failed_runs_are_shown_with_their_reason():
    text = show(make_record(name="a"), make_failed(name="b", reason="why [x]\nand more"))
    assert "oom in train" in text
    assert "b: oom: why [x]" in text
    assert "\u2013" in text


def test_groups_are_numbered_and_named():
    text = show(make_record(name="a"), make_record(name="b", **gpu_changes()))
    assert "Group" in text
    assert "2: shapes on NVIDIA A10G" in text
    assert "Group" not in show(make_record(name="a"))


def test_the_whole_table_fits_a_narrow_terminal():
    text = show(make_record(), make_record(measured_steps=30, batch_size=4), width=100)
    assert "Status" in text
    assert max(len(line) for line in text.splitlines()) <= 100
