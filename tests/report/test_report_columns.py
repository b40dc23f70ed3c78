from dataclasses import replace
from pathlib import Path

import pytest
from factories import gpu_changes, make_eval, make_failed, make_part, make_point, make_record
from hypothesis import given
from hypothesis import strategies as st

from odbench.records import StoredRun
from odbench.report.columns import COLUMNS, best_value, is_best, shown_columns, unit
from odbench.report.comparison import compare
from odbench.report.flags import NOTES
from odbench.report.text import DASH, shorten, significant
from odbench.results import CheckpointWrite, Flag, LossPoint, Stage

BY_KEY = {column.key: column for column in COLUMNS}


def rows_of(*records):
    runs = [StoredRun(record, Path("runs") / record.run_id) for record in records]
    return compare(runs).rows


def cell(record, key):
    return BY_KEY[key].cell(rows_of(record)[0])


def with_steps(record, compute_s):
    zeros = [0.0] * len(compute_s)
    return replace(
        record, train=replace(record.train, input_wait_s=zeros, compute_s=list(compute_s))
    )


def test_every_flag_has_a_mark_of_its_own():
    assert set(NOTES) == set(Flag)
    assert len({note.mark for note in NOTES.values()}) == len(Flag)


def test_measured_time_is_the_sum_of_1000_steps():
    record = with_steps(make_record(), [0.1] * 500 + [0.14] * 500)
    assert cell(record, "time_1000_steps") == "120 s"


def test_projection_gives_its_interval_and_its_origin():
    # Half of 30 steps 0.1125 s, half 0.1335 s: mean 0.123 s; deviation 0.0105 * sqrt(30 / 29);
    # Student's t of 29 degrees of freedom at 97.5 % is 2.0452; half width of 1000 steps:
    # 1000 * 2.0452 * 0.0105 * sqrt(30 / 29) / sqrt(30) = 3.99 s.
    record = with_steps(make_record(), [0.1125, 0.1335] * 15)
    assert cell(record, "time_1000_steps") == "≈ 123 s (119\u2013127, projected from 30 steps) [p]"


def test_projection_from_four_steps_worked_by_hand():
    # Mean 0.115 s, deviation sqrt(0.0005 / 3) = 0.01291 s, t(3) = 3.1824: +- 20.54 s.
    record = with_steps(make_record(), [0.10, 0.12, 0.11, 0.13])
    assert cell(record, "time_1000_steps") == "≈ 115 s (94\u2013136, projected from 4 steps) [p]"


def test_projection_from_one_step_has_no_interval():
    record = with_steps(make_record(), [0.1])
    assert cell(record, "time_1000_steps") == "≈ 100 s (projected from 1 step) [p]"


def test_a_narrow_interval_is_shown_with_enough_decimals():
    record = with_steps(make_record(), [0.1230, 0.1231] * 15)
    text = cell(record, "time_1000_steps")
    assert text == "≈ 123.05 s (123.03\u2013123.07, projected from 30 steps) [p]"


def test_equal_samples_have_an_interval_without_width():
    record = with_steps(make_record(), [0.1] * 30)
    assert cell(record, "time_1000_steps").startswith("≈ 100 s (100\u2013100, projected")


def test_what_was_not_measured_is_a_dash_and_never_0():
    row = rows_of(make_failed(stage=Stage.train))[0]
    for key in ("ap", "ap50", "time_1000_steps", "eval_wall", "latency_p99", "size", "parameters"):
        assert BY_KEY[key].cell(row) == DASH
        assert BY_KEY[key].value(row) is None


def test_an_absent_number_says_why_where_a_flag_explains_it():
    assert cell(make_record(eval=make_eval(images_evaluated=60)), "ap") == f"{DASH} [e]"
    assert cell(make_record(latency_samples=50), "latency_p99") == f"{DASH} [n]"
    assert "[" not in cell(make_record(latency_samples=50), "latency_p50")


TIMES = {
    "time_1000_steps",
    "eval_wall",
    "export_wall",
    "latency_p50",
    "latency_p99",
    "images_per_s",
}
MARKED = {
    "projection": {"time_1000_steps"},
    "few_samples": {"latency_p99"},
    "busy_device": TIMES,
    "stolen_cpu": TIMES,
    "partial_eval": {"ap", "ap50", "eval_wall"},
    "diverged": {"ap", "ap50"},
    "checkpoint_in_window": {"time_1000_steps"},
    "eval_in_window": {"time_1000_steps"},
    "resumed": {"time_1000_steps"},
}


def flagged_record(flag):
    record = make_record()
    usage = record.usage[Stage.train]
    return {
        "projection": lambda: make_record(measured_steps=30),
        "few_samples": lambda: make_record(latency_samples=30),
        "busy_device": lambda: replace(
            record, usage=record.usage | {Stage.train: replace(usage, other_cpu_cores=1.0)}
        ),
        "stolen_cpu": lambda: replace(
            record,
            usage=record.usage
            | {Stage.train: replace(usage, wall_s=10, cpu_s=15, stolen_cpu_cores=0.5)},
        ),
        "partial_eval": lambda: make_record(eval=make_eval(images_evaluated=1)),
        "diverged": lambda: replace(
            record,
            train=replace(record.train, losses=[LossPoint(1, None, {"Loss/total_loss": None})]),
        ),
        "checkpoint_in_window": lambda: replace(
            record, train=replace(record.train, checkpoints=[CheckpointWrite(100, 0.4)])
        ),
        "eval_in_window": lambda: replace(
            record, train=replace(record.train, evaluations=[make_point(100, 0.4)])
        ),
        "resumed": lambda: replace(
            record, train=replace(record.train, parts=[make_part(1, 500), make_part(501, 1011)])
        ),
    }[flag]()


@pytest.mark.parametrize("flag", sorted(MARKED))
def test_a_flag_marks_the_columns_that_it_concerns_and_the_status(flag):
    row = rows_of(flagged_record(flag))[0]
    assert row.flags == [Flag(flag)]
    mark = f"[{NOTES[Flag(flag)].mark}]"
    marked = {column.key for column in COLUMNS if mark in column.cell(row)}
    assert marked == MARKED[flag] | {"status"}


def test_a_replayed_run_is_marked_at_every_number():
    row = rows_of(make_record(backend="replay"))[0]
    for column in shown_columns([row]):
        assert column.metrics == () or column.cell(row).endswith("[r]")


def test_a_shrunk_batch_shows_what_was_asked_for():
    record = make_record(batch_size=8)
    record = replace(record, train=replace(record.train, batch_size=4))
    assert cell(record, "batch_size") == "4 (asked: 8) [s]"
    assert cell(record, "time_1000_steps").endswith("s [s]")


def test_columns_without_a_value_are_left_out():
    keys = {column.key for column in shown_columns(rows_of(make_record()))}
    assert "peak_gpu" not in keys
    on_gpu = rows_of(make_record(), make_record(name="gpu", **gpu_changes()))
    assert "peak_gpu" in {column.key for column in shown_columns(on_gpu)}
    assert cell(make_record(**gpu_changes()), "peak_gpu") == "5300"


def test_numbers_are_in_the_unit_of_their_heading():
    record = make_record()
    assert cell(record, "size") == "12.3"  # 12,345,678 bytes
    assert BY_KEY["size"].heading == "Size (MB)"
    assert cell(record, "peak_ram") == "1530"  # the highest of four stages
    assert cell(record, "parameters") == "2.83"
    assert cell(record, "ap") == "0.431"


def test_status_says_where_and_why():
    record = make_failed(reason="memory ran out\nsecond line")
    assert cell(record, "status") == "oom in train: memory ran out"
    assert cell(make_record(), "status") == "ok"


def test_the_best_number_is_looked_for_among_clean_ones_of_that_column():
    rows = rows_of(
        make_record(name="clean", ap=0.3, latency_s=0.02),
        make_record(name="slow", ap=0.35, latency_s=0.04),
        make_record(name="projected", ap=0.4, latency_s=0.03, measured_steps=30, step_s=0.01),
        make_failed(name="failed", stage=Stage.export, ap=0.9),
        make_record(name="partial", eval=make_eval(0.8, images_evaluated=3), latency_s=0.05),
    )

    def best(key):
        found = best_value(BY_KEY[key], rows)
        return [row.label for row in rows if is_best(BY_KEY[key], row, found)]

    assert best("ap") == ["projected"]  # a projection concerns the train time alone
    assert best("time_1000_steps") != ["projected"]
    assert best("latency_p50") == ["clean"]
    assert best("parameters") == []  # neither more nor fewer is better
    assert best("size") == []  # all are equal
    assert best_value(BY_KEY["ap"], rows[:1]) is None


def test_units_follow_from_the_names_of_metrics():
    names = {
        "train/step_s_p50": "s",
        "train/step_s_mean": "s",
        "train/time_1000_steps_low_s": "s",
        "train/images_per_s": "images/s",
        "latency/p99_ms": "ms",
        "export/size_bytes": "bytes",
        "train/gpu_energy_j": "J",
        "eval/AP50": "0..1",
        "eval/AR_large": "0..1",
        "train/parameters": None,
        "train/measured_steps": None,
        "train/final_loss": None,
        "eval/detections": None,
    }
    assert {name: unit(name) for name in names} == names


@given(st.floats(1e-9, 1e9))
def test_significant_keeps_three_digits(value):
    text = significant(value)
    assert float(text) == pytest.approx(value, rel=0.0051)
    assert float(text) != 0


def test_shorten_cuts_to_one_line():
    assert shorten("one\ntwo", 10) == "one"
    assert shorten("abcdefghij", 5) == "abcd…"
    assert shorten("", 5) == ""


def test_masks_and_keypoints_have_columns_where_any_row_has_them():
    plain = make_record()
    more = {"mask_metrics": {"AP": 0.25}, "keypoint_metrics": {"AP": 0.125}}
    both = make_record(name="both", eval=make_eval(**more))
    keys = {"mask_ap", "keypoint_ap"}
    assert not keys & {column.key for column in shown_columns(rows_of(plain))}
    assert keys <= {column.key for column in shown_columns(rows_of(plain, both))}
    assert [cell(both, key) for key in ("mask_ap", "keypoint_ap")] == ["0.250", "0.125"]
    assert cell(plain, "mask_ap") == DASH
    assert unit("eval/mask_AP50") == unit("eval/keypoint_AR") == "0..1"


def test_a_partial_evaluation_of_boxes_shows_no_column_of_masks():
    part = make_record(eval=make_eval(images_evaluated=3))
    assert "mask_ap" not in {column.key for column in shown_columns(rows_of(part))}
