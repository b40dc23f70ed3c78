import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from factories import gpu_changes, make_dataset, make_environment, make_eval, make_failed
from factories import make_record as make
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.records import StoredRun
from odbench.report.comparison import UNKNOWN_DEVICE, compare
from odbench.results import Flag, Stage, Status


def stored(*records):
    return [StoredRun(record, Path("runs") / record.run_id) for record in records]


def labels(group):
    return [row.label for row in group.rows]


def other_package(name):
    packages = make_environment().packages
    return {"environment": make_environment(packages=packages | {name: "9.9"})}


@pytest.mark.parametrize(
    "changes",
    [
        gpu_changes(),
        {"environment": make_environment(cores=4)},
        {"dataset": make_dataset(hash="another")},
        {"protocol_version": 2},
        {"backend": "replay"},
        other_package("tensorflow"),
        other_package("tf-keras"),
        other_package("tf-object-detection-api"),
        other_package("numpy"),
    ],
)
def test_runs_that_differ_in_what_makes_them_comparable_are_apart(changes):
    groups = compare(stored(make(), make(batch_size=4), make(name="other", **changes))).groups
    assert [len(group.rows) for group in groups] == [2, 1]
    assert labels(groups[1]) == ["other"]


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": make_environment(host="bench-2")},
        {"dataset": make_dataset(name="same content, other name")},
        {"wall_s": 1.0},
        other_package("protobuf"),
    ],
)
def test_runs_that_differ_in_nothing_of_that_are_together(changes):
    assert len(compare(stored(make(), make(name="other", **changes))).groups) == 1


def test_group_titles_tell_groups_apart():
    comparison = compare(
        stored(make(), make(name="a", **other_package("numpy")), make(name="b", **gpu_changes()))
    )
    assert {group.title for group in comparison.groups} == {
        "shapes on CPU Intel(R) Xeon(R) Processor, 2 cores (numpy 2.4.6)",
        "shapes on CPU Intel(R) Xeon(R) Processor, 2 cores (numpy 9.9)",
        "shapes on NVIDIA A10G",
    }


def test_unflagged_rows_come_first_by_ap_then_flagged_then_failed():
    partial = make_eval(0.9, images_evaluated=63)
    runs = stored(
        make_failed(name="failed"),
        make(name="few", ap=0.8, latency_samples=20),
        make(name="clean low", ap=0.2),
        make(name="partial", eval=partial),
        make(name="clean without ap", ap=None),
        make(name="clean high", ap=0.4),
        make(name="projected", ap=0.7, measured_steps=30),
    )
    (group,) = compare(runs).groups
    assert labels(group) == [
        "clean high",
        "clean low",
        "clean without ap",
        "few",
        "projected",
        "partial",
        "failed",
    ]
    assert group.rows[5].flags == [Flag.partial_eval]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_no_flagged_or_failed_row_stands_between_clean_ones(kinds):
    clean, flagged = make(), make(measured_steps=30)
    runs = []
    for number, (ap, is_flagged, is_ok) in enumerate(kinds):
        record = replace(flagged if is_flagged else clean, run_id=str(number), eval=make_eval(ap))
        runs.append(record if is_ok else replace(record, status=Status.timeout))
    rows = compare(stored(*runs)).rows
    assert sorted(row.record.run_id for row in rows) == sorted(str(n) for n in range(len(kinds)))
    tiers = [2 if not row.ok else int(bool(row.flags)) for row in rows]
    assert tiers == sorted(tiers)
    for _, members in itertools.groupby(zip(tiers, rows, strict=True), key=lambda pair: pair[0]):
        aps = [row.metrics["eval/AP"] for _, row in members]
        assert aps == sorted(aps, reverse=True)


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ok])
def test_a_run_that_did_not_end_well_stays_a_row(status):
    comparison = compare(stored(make(), make_failed(status, Stage.export, "why", name="bad")))
    (group,) = comparison.groups
    assert labels(group)[-1] == "bad"
    assert group.rows[-1].metrics["eval/AP"] == 0.3
    assert "latency/p50_ms" not in group.rows[-1].metrics
    assert comparison.summary.startswith(f"2 runs (1 ok, 1 {status})")


def test_a_run_that_took_no_device_joins_the_runs_of_its_machine():
    on_gpu = make(name="a", **gpu_changes())
    early = make_failed(name="b", **gpu_changes() | {"device": None})
    (group,) = compare(stored(early, on_gpu)).groups
    assert labels(group) == ["a", "b"]
    assert group.common.hardware == "NVIDIA A10G"
    (alone,) = compare(stored(early)).groups
    assert alone.common.hardware == UNKNOWN_DEVICE
    on_cpu = make_failed(name="c", device=None)
    assert compare(stored(on_cpu)).groups[0].common.hardware.startswith("CPU Intel")


def test_repeated_names_are_numbered_in_the_order_of_their_start():
    runs = stored(
        make(name="a", sampling_seed=1, started_at="2025-03-02T00:00:00Z", ap=0.5),
        make(name="a", sampling_seed=2, started_at="2025-03-01T00:00:00Z", ap=0.4),
    )
    assert labels(compare(runs).groups[0]) == ["a #2", "a"]


def test_summary_names_every_hardware():
    text = compare(stored(make(), make(name="b", **gpu_changes()))).summary
    assert text == (
        "2 runs (2 ok), on CPU Intel(R) Xeon(R) Processor, 2 cores; NVIDIA A10G, "
        "in 2 groups that are not comparable with each other."
    )


def test_varying_parameters_are_given_with_every_row():
    comparison = compare(stored(make(batch_size=4), make(batch_size=8)))
    assert comparison.varying == ["train.batch_size"]
    assert {row.varying["train.batch_size"] for row in comparison.rows} == {"4", "8"}
