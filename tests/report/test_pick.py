"""Choosing a run: who competes, who dominates whom, ties, weights, what is said."""

import io
import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from factories import (
    gpu_changes,
    make_dataset,
    make_eval,
    make_failed,
    make_record,
    make_spec,
    store_record,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from odbench.config.dataset_spec import DatasetKind, DatasetSpec, ShapesSpec
from odbench.dataset.prepare import prepare_dataset
from odbench.errors import InputError
from odbench.measure.comparing import Verdict
from odbench.records import StoredRun
from odbench.report.comparison import Group, Row, compare
from odbench.report.pick import Because, Compared, pick, pick_each
from odbench.report.pick_json import choices_to_json
from odbench.report.pick_metrics import find_metric, metrics_table
from odbench.report.pick_misses import met, misses, nearest
from odbench.report.pick_options import parse_constraints, parse_preference
from odbench.report.pick_repeats import repeats
from odbench.report.pick_text import render_choices
from odbench.report.pick_ties import BOOTSTRAP, RANKS, TieTest
from odbench.report.pick_words import Training, sentence
from odbench.report.quantities import parse_quantity
from odbench.report.training_cost import training_cost
from odbench.results import Flag, Stage, StageUsage

BUSY = {Stage.latency: StageUsage(1.0, other_cpu_cores=0.9)}


def group_of(*records):
    (group,) = compare([StoredRun(r, Path("runs") / r.run_id) for r in records]).groups
    return group


def choose(*records, low=(), high=(), prefer=("AP",), **more):
    constraints = parse_constraints(low, high)
    return pick(group_of(*records), constraints, parse_preference(prefer), **more)


def by_name(choice):
    return {candidate.row.label: candidate for candidate in choice.candidates}


def say(verdicts):
    """A test with given verdicts by the names of the two runs; everything else differs."""

    def test(metric, reference, other):
        pair = {reference.label, other.label}
        tied = any(pair == set(names) for names in verdicts.get(metric.key, ()))
        return Compared(Verdict.tie if tied else Verdict.worse, "as told")

    return test


def shown(choice, training=None, width=80):
    out = io.StringIO()
    Console(width=width, file=out).print(render_choices([choice], training))
    return out.getvalue()


# --- names of metrics


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("eval/AP50", "eval/AP50"),
        ("AP50", "eval/AP50"),
        ("AP_small", "eval/AP_small"),
        ("latency_p50_ms", "latency/p50_ms"),
        ("p50_ms", "latency/p50_ms"),
        ("size_bytes", "export/size_bytes"),
        ("time_1000_steps_s", "train/time_1000_steps_s"),
        ("peak_ram_bytes", "peak_ram_bytes"),
        ("train_images_per_s", "train/images_per_s"),
    ],
)
def test_metrics_have_short_names(name, key):
    assert find_metric(name, "--min").key == key


def test_every_metric_is_found_by_its_own_short_name():
    for key, metric in metrics_table().items():
        assert find_metric(metric.short, "--min").key == key


def test_every_metric_is_one_of_the_records():
    known = group_of(make_record(name="a")).rows[0].metrics
    for metric in metrics_table().values():
        for source in metric.sources:
            assert source in known or source.startswith(("eval/mask_", "eval/keypoint_"))


def test_a_wrong_name_is_refused_with_near_ones():
    with pytest.raises(InputError, match="perhaps you mean latency_p50_ms"):
        find_metric("latncy_p50_ms", "--max")
    with pytest.raises(InputError, match=r"perhaps you mean.*AP50"):
        find_metric("ap50", "--min")
    with pytest.raises(InputError, match="several metrics have this name") as found:
        find_metric("images_per_s", "--min")
    assert found.value.allowed == "latency/images_per_s, train/images_per_s"


def test_directions_and_flags():
    table = metrics_table()
    assert {k for k, m in table.items() if m.better == "higher"} == {
        key for key in table if "/AP" in key or "/AR" in key or "images_per_s" in key
    } | {key for key in table if "mask_A" in key or "keypoint_A" in key}
    assert Flag.busy_device in table["latency/p90_ms"].concerned_by
    assert Flag.busy_device not in table["eval/AP75"].concerned_by
    assert Flag.partial_eval in table["eval/AP75"].concerned_by
    assert Flag.projection in table["train/time_1000_steps_s"].concerned_by
    assert Flag.projection not in table["train/step_s_mean"].concerned_by


# --- values with units


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("50MB", "bytes", 50e6),
        ("50 MB", "bytes", 50e6),
        ("1.5GB", "bytes", 1.5e9),
        ("2MiB", "bytes", 2 * 1024**2),
        ("1000", "bytes", 1000.0),
        ("40ms", "ms", 40.0),
        ("0.04s", "ms", 40.0),
        ("40", "ms", 40.0),
        ("20min", "s", 1200.0),
        ("1h", "s", 3600.0),
        ("50%", "0..1", 0.5),
        ("0.5", "0..1", 0.5),
        ("3M", None, 3e6),
        ("1e2/s", "images/s", 100.0),
        ("1kWh", "J", 3.6e6),
    ],
)
def test_units_are_converted(text, unit, value):
    assert parse_quantity(text, unit, "--max") == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("50MB", "ms"),
        ("40ms", "bytes"),
        ("fast", "ms"),
        ("", "ms"),
        ("nan", "ms"),
        ("1e999", "ms"),
        ("-1", "ms"),
        ("50", "0..1"),
        ("110%", "0..1"),
        ("40 m s", "ms"),
        ("50mb", "bytes"),
    ],
)
def test_wrong_values_are_refused(text, unit):
    with pytest.raises(InputError):
        parse_quantity(text, unit, "--max x")


@given(st.floats(0, 1e9), st.sampled_from([("kB", 1e3), ("MB", 1e6), ("GiB", 1024.0**3)]))
@settings(max_examples=50)
def test_a_unit_is_a_factor(number, unit):
    name, factor = unit
    alone = parse_quantity(repr(number), "bytes", "x")
    assert parse_quantity(f"{number!r}{name}", "bytes", "x") == pytest.approx(alone * factor)


@given(st.text(max_size=12))
@settings(max_examples=100)
def test_any_text_is_a_number_in_range_or_refused(text):
    try:
        value = parse_quantity(text, "0..1", "x")
    except InputError:
        return
    assert 0 <= value <= 1


# --- options


def test_constraints_that_exclude_each_other():
    with pytest.raises(InputError, match="no value can keep both"):
        parse_constraints(["AP=0.5"], ["eval/AP=40%"])
    assert len(parse_constraints(["AP=0.5"], ["AP=0.5"])) == 2
    assert len(parse_constraints(["AP=0.5,AP50=0.6", "AP=0.5"], [])) == 2


@pytest.mark.parametrize("text", ["AP", "AP=", "=0.5", "", "AP=0.5,,AP50=0.6"])
def test_constraints_that_cannot_be_read(text):
    with pytest.raises(InputError):
        parse_constraints([text], [])


@pytest.mark.parametrize(
    "texts", [["AP=0"], ["AP=-1"], ["AP=x"], ["AP=2,AP50"], ["AP", "AP"], [""], ["AP=inf"], []]
)
def test_preferences_that_cannot_be_read(texts):
    with pytest.raises(InputError):
        parse_preference(texts)


# --- who competes


def test_the_best_of_those_that_keep_the_constraints_is_chosen():
    choice = choose(
        make_record(name="exact", ap=0.5, latency_s=0.08),
        make_record(name="good", ap=0.45, latency_s=0.03),
        make_record(name="fast", ap=0.3, latency_s=0.01),
        low=["AP50=0.4"],
        high=["latency_p50_ms=40ms", "size_bytes=50MB"],
    )
    assert choice.chosen.row.label == "good"
    assert [c.row.label for c in choice.runners_up] == ["fast"]
    (reason,) = by_name(choice)["exact"].exclusions
    assert (reason.because, reason.metric.key) == (Because.constraint, "latency/p50_ms")
    (miss,) = misses(by_name(choice)["exact"])
    assert miss.gap == pytest.approx(40, rel=0.05)
    assert miss.relative == pytest.approx(1, rel=0.05)


def test_the_limit_itself_keeps_a_constraint():
    assert choose(make_record(name="a", ap=0.4), low=["AP=0.4"], high=["AP=0.4"]).chosen


def test_failed_missing_and_flagged_runs_do_not_compete():
    records = [
        make_record(name="clean", ap=0.3),
        make_failed(name="dead", stage=Stage.latency, ap=0.9),
        make_record(name="blind", ap=None),
        make_record(name="busy", ap=0.8, usage=BUSY),
    ]
    choice = choose(*records, high=["latency_p50_ms=90"])
    assert choice.chosen.row.label == "clean"
    found = {name: [e.because for e in c.exclusions] for name, c in by_name(choice).items()}
    assert found == {
        "clean": [],
        "dead": [Because.status],
        "blind": [Because.missing],
        "busy": [Because.flagged],
    }
    allowed = choose(*records, high=["latency_p50_ms=90"], allow_flagged=True)
    assert allowed.chosen.row.label == "busy"
    assert "Competing in spite of flags (--allow-flagged): busy" in shown(allowed)


def test_a_flag_that_touches_nothing_asked_for_keeps_nobody_out():
    choice = choose(make_record(name="busy", ap=0.8, usage=BUSY), make_record(name="b", ap=0.3))
    assert choice.chosen.row.label == "busy"
    assert choice.unused == {"latency/p50_ms": 1}  # one of them has no clean latency
    assert "latency_p50_ms breaks no ties: 1 of the competing runs" in shown(choice)


def test_a_partial_evaluation_says_why_there_is_no_ap():
    record = make_record(name="part", eval=replace(make_eval(), images_evaluated=10))
    choice = choose(record, make_record(name="whole"))
    assert "Out: part: no AP (partial_eval)." in shown(choice)


# --- nobody


def test_nobody_keeps_the_constraints():
    choice = choose(
        make_record(name="near", ap=0.38),
        make_record(name="far", ap=0.2),
        make_failed(name="dead", stage=Stage.latency, ap=0.9),
        low=["AP=0.4"],
        high=["size_bytes=50MB"],
    )
    assert choice.chosen is None
    assert choice.runners_up == ()
    assert nearest(choice).row.label == "near"
    ap, size = met(choice)
    assert (ap.kept, ap.of, ap.closest.row.label) == (0, 2, "near")
    assert ap.miss.gap == pytest.approx(0.02)
    assert (size.kept, size.closest) == (2, None)
    text = sentence(choice, None)
    assert "Nearest is near: 0.380 misses AP >= 0.400 by 0.020 (5.0 %)" in text


def test_the_nearest_is_the_one_whose_largest_miss_is_smallest():
    choice = choose(
        make_record(name="one", ap=0.2, latency_s=0.010),  # AP misses by half
        make_record(name="both", ap=0.38, latency_s=0.021),  # both miss by 5 %
        low=["AP=0.4"],
        high=["latency_p50_ms=20"],
    )
    assert nearest(choice).row.label == "both"


def test_nobody_competes_for_other_reasons():
    choice = choose(make_record(name="a", usage=BUSY), prefer=["latency_p50_ms"])
    assert choice.chosen is None
    assert nearest(choice) is None
    assert "1 have a flag on such a number. --allow-flagged" in sentence(choice, None)


# --- dominance


VALUES = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
BASE = make_record(name="base", measured_steps=2)
GROUP: Group = group_of(BASE)


def row_of(number, values):
    ap, latency, size = values
    metrics = {
        "eval/AP": ap / 10,
        "latency/p50_ms": latency * 10.0,
        "export/size_bytes": size * 1e6,
    }
    record = replace(BASE, run_id=str(number), name=str(number))
    return Row(StoredRun(record, Path(str(number))), metrics, [], {}, str(number))


@given(
    st.lists(VALUES, min_size=1, max_size=9),
    st.sampled_from([["AP"], ["latency_p50_ms"], ["AP=2,latency_p50_ms=1"], ["size_bytes", "AP"]]),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12),
    st.integers(1, 6),
)
@settings(max_examples=150, deadline=None)
def test_dominance_holds_whatever_is_tied(rows, prefer, tied, limit):
    group = replace(GROUP, rows=[row_of(n, values) for n, values in enumerate(rows)])
    names = [(str(a), str(b)) for a, b in tied]
    choice = pick(
        group,
        parse_constraints([], [f"latency_p50_ms={limit * 10}"]),
        parse_preference(prefer),
        test=say({"eval/AP": names, "latency/p50_ms": names}),
    )
    competing = [c for c in choice.candidates if c.competes]
    assert len(competing) == sum(latency <= limit for _, latency, _ in rows)
    assert len(choice.candidates) == len(rows)
    if not competing:
        assert choice.chosen is None
        return

    def cost(ap, latency, size):  # what counts: preferred, constrained, and what breaks ties
        return (-ap if "AP" in "".join(prefer) else 0, latency, size)

    costs = {c.row.label: cost(*rows[int(c.row.label)]) for c in competing}

    def dominates(a, b):
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    assert choice.chosen.dominated_by is None
    for candidate in competing:
        mine = costs[candidate.row.label]
        by = candidate.dominated_by
        assert (by is not None) == any(dominates(other, mine) for other in costs.values())
        if by is not None:
            assert dominates(costs[by.label], mine)
            assert not any(dominates(other, costs[by.label]) for other in costs.values())


@given(st.lists(VALUES, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_without_ties_the_first_metric_decides_then_latency_then_size(rows):
    group = replace(GROUP, rows=[row_of(n, values) for n, values in enumerate(rows)])
    choice = pick(group, (), parse_preference(["AP"]))
    chosen = rows[int(choice.chosen.row.label)]
    assert (-chosen[0], *chosen[1:]) == min((-ap, ms, size) for ap, ms, size in rows)


# --- ties


def test_a_tie_is_decided_by_latency():
    records = [
        make_record(name="best", ap=0.44, latency_s=0.05),
        make_record(name="quick", ap=0.43, latency_s=0.02),
        make_record(name="poor", ap=0.2, latency_s=0.01),
    ]
    choice = choose(*records, test=say({"eval/AP": [("best", "quick")]}))
    assert choice.chosen.row.label == "quick"
    assert [metric.key for metric in choice.decided_by] == ["eval/AP", "latency/p50_ms"]
    text = sentence(choice, None)
    assert text.startswith("Take quick: AP 0.430, tied with the highest AP of the 3 runs")
    assert "(0.440, best), and the lowest latency_p50_ms of those tied" in text
    assert choose(*records).chosen.row.label == "best"  # untested is not tied


def test_a_tie_with_the_chosen_one_is_named():
    choice = choose(
        make_record(name="best", ap=0.44, latency_s=0.02),
        make_record(name="slow", ap=0.43, latency_s=0.05),
        test=say({"eval/AP": [("best", "slow")]}),
    )
    assert choice.chosen.row.label == "best"
    assert by_name(choice)["slow"].dominated_by.label == "best"
    assert "tied with slow (0.430) on AP" in sentence(choice, None)


def test_what_nothing_decides_is_said():
    names = [("a", "b")]
    choice = choose(
        make_record(name="a", ap=0.43, latency_s=0.020),
        make_record(name="b", ap=0.44, latency_s=0.021),
        test=say({"eval/AP": names, "latency/p50_ms": names}),
    )
    assert choice.chosen.row.label == "b"
    assert [row.label for row in choice.undecided] == ["a"]
    assert [metric.key for metric in choice.decided_by][-1] == "export/size_bytes"
    assert "; no metric decides between it and a; tied with a (0.430)" in sentence(choice, None)


def test_latency_is_tested_by_its_samples():
    a = make_record(name="a", latency_s=0.0200)
    b = make_record(name="b", latency_s=0.02001)
    c = make_record(name="c", latency_s=0.03)
    choice = choose(a, b, c, prefer=["latency_p50_ms"], test=TieTest())
    results = {frozenset((t.reference.label, t.other.label)): t for t in choice.ties}
    same, other = (results[frozenset(pair)].tested for pair in (("a", "b"), ("a", "c")))
    if choice.ties[0].reference.label == "b":
        other = results[frozenset(("b", "c"))].tested
    assert (same.verdict, same.method) == (Verdict.tie, RANKS)
    assert same.low < 0 < same.high
    assert other.verdict is Verdict.worse
    assert other.difference == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    ("metric", "verdict"),
    [
        ("train_step_s_mean", Verdict.worse),
        ("time_1000_steps_s", Verdict.worse),
        ("train_images_per_s", Verdict.worse),
        ("latency_images_per_s", Verdict.worse),
        ("latency_p99_ms", None),
        ("size_bytes", None),
        ("AP", None),  # the ground truth is not there
    ],
)
def test_what_is_tested(metric, verdict):
    rows = group_of(
        make_record(name="a", step_s=0.08), make_record(name="b", step_s=0.2, latency_s=0.05)
    ).rows
    a, b = sorted(rows, key=lambda row: row.label)
    tested = TieTest()(find_metric(metric, "x"), a, b)
    assert tested.verdict is verdict
    assert tested.method


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    shapes = ShapesSpec(train_images=3, val_images=12, image_size=64)
    spec = DatasetSpec(name="shapes", kind=DatasetKind.shapes, shapes=shapes, shards=1)
    return prepare_dataset(spec, tmp_path_factory.mktemp("data"))


def stored_with_detections(dataset, folder, name, miss_every, shift=0.0):
    """A run whose detections are the objects, some of them left out and all moved a little."""
    truth = json.loads(dataset.splits["val"].ground_truth.read_text())
    found = [
        {
            "image_id": entry["image_id"],
            "category_id": entry["category_id"],
            "bbox": [entry["bbox"][0] + shift, *entry["bbox"][1:]],
            "score": 0.9,
        }
        for number, entry in enumerate(truth["annotations"])
        if number % miss_every
    ]
    record = make_record(
        name=name, ap=1 - 1 / miss_every, dataset=make_dataset(hash=dataset.hash), measured_steps=2
    )
    run = store_record(record, folder)
    (run.dir / "detections.json").write_text(json.dumps(found))
    (run.dir / "job.json").write_text(json.dumps({"dataset": str(dataset.dir)}))
    return run


def test_ap_is_tested_by_the_images(dataset, tmp_path):
    runs = [
        stored_with_detections(dataset, tmp_path, "good", 7),
        stored_with_detections(dataset, tmp_path, "like", 6),
        stored_with_detections(dataset, tmp_path, "bad", 2, shift=9.0),
    ]
    choice = pick(compare(runs).groups[0], (), parse_preference(["AP"]), test=TieTest())
    tests = {t.other.label: t.tested for t in choice.ties if t.metric.key == "eval/AP"}
    assert tests["like"].verdict is Verdict.tie
    assert tests["bad"].verdict is Verdict.worse
    assert {t.method for t in tests.values()} == {BOOTSTRAP}
    assert tests["bad"].low <= tests["bad"].difference <= tests["bad"].high < 0

    (runs[1].dir / "detections.json").write_text("{}")
    broken = pick(compare(runs).groups[0], (), parse_preference(["AP"]), test=TieTest())
    tests = {t.other.label: t.tested for t in broken.ties if t.metric.key == "eval/AP"}
    assert tests["like"].verdict is None
    assert tests["like"].method.startswith("cannot be tested")


def test_other_ground_truth_is_not_used(dataset, tmp_path):
    runs = [stored_with_detections(dataset, tmp_path, name, 5) for name in "ab"]
    runs = [
        StoredRun(replace(run.record, dataset=make_dataset(hash="another")), run.dir)
        for run in runs
    ]
    a, b = compare(runs).groups[0].rows
    assert TieTest()(find_metric("AP", "x"), a, b).verdict is None


# --- weights


def test_weights_choose_by_the_geometric_mean_of_ratios():
    records = [
        make_record(name="exact", ap=0.5, latency_s=0.08),
        make_record(name="fast", ap=0.25, latency_s=0.02),
    ]
    fast = choose(*records, prefer=["AP=1,latency_p50_ms=1"])
    assert fast.chosen.row.label == "fast"
    assert fast.chosen.score == pytest.approx(0.5**0.5, rel=1e-6)
    exact = choose(*records, prefer=["AP=3,latency_p50_ms=1"])
    assert exact.chosen.row.label == "exact"
    assert exact.chosen.score == pytest.approx(0.25**0.25, rel=0.02)


def test_a_value_of_zero_has_a_score_of_zero():
    records = [make_record(name="none", ap=0.0, latency_s=0.01), make_record(name="some", ap=0.1)]
    choice = choose(*records, prefer=["AP=1,latency_p50_ms=1"])
    assert choice.chosen.row.label == "some"
    assert by_name(choice)["none"].score == 0
    assert choose(records[0], prefer=["AP=1"]).chosen.score == 1


# --- groups, repeats, cost


def test_groups_are_picked_from_apart():
    records = [
        make_record(name="cpu", ap=0.3),
        make_record(name="gpu", ap=0.6, **gpu_changes()),
        make_record(name="gpu2", ap=0.5, **gpu_changes()),
    ]
    comparison = compare([StoredRun(r, Path("runs") / r.run_id) for r in records])
    choices = pick_each(comparison, (), parse_preference(["AP"]))
    assert [choice.chosen.row.label for choice in choices] == ["gpu", "cpu"]
    out = io.StringIO()
    Console(width=80, file=out).print(render_choices(choices, None))
    assert "2 groups that are not comparable with each other" in out.getvalue()
    assert "Take cpu: the only run that competes; AP 0.300." in out.getvalue()
    assert len(choices_to_json(choices, None)["groups"]) == 2


def test_repeats_are_told_and_not_averaged():
    def one(name, seed, **more):
        return make_record(name=name, spec=None, sampling_seed=seed, **more)

    records = [one("a", 0), one("b", 1), one("c", 2, model="other")]
    for seed, record in enumerate(records):
        record.spec["seed"] = seed
    assert [[row.label for row in rows] for rows in repeats(group_of(*records))] == [["a", "b"]]
    assert "each judged for itself, not averaged: a, b" in shown(choose(*records), width=200)
    assert make_spec(batch_size=4) != make_spec(batch_size=8)
    assert repeats(group_of(one("a", 0), one("b", 0, batch_size=4))) == []


def test_a_training_is_projected():
    record = make_record(name="a", step_s=0.1)
    (row,) = group_of(record).rows
    cost = training_cost(row, 36_000, 2.5)
    assert cost.hours == pytest.approx(1.0, rel=0.01)
    assert cost.hours_low < cost.hours < cost.hours_high
    assert cost.cost(cost.hours) == pytest.approx(2.5 * cost.hours)
    assert training_cost(row, 36_000).cost(1.0) is None
    text = sentence(choose(record), Training(36_000, 2.5))
    assert "Projection: 36,000 train steps take" in text
    assert "at 2.5 per hour" in text
    assert "cost" not in sentence(choose(record), Training(36_000))


def test_a_training_without_samples_is_not_projected():
    (row,) = group_of(make_failed(name="a", stage=Stage.train)).rows
    assert training_cost(row, 1000, 1.0).hours is None
    (one,) = group_of(make_record(name="a", measured_steps=1)).rows
    single = training_cost(one, 1000)
    assert single.hours > 0
    assert single.hours_low is None


# --- as text and JSON


def test_the_text_fits_80_columns_and_begins_with_the_answer():
    choice = choose(
        make_record(name="ssd_mobilenet_v2_fpnlite_320x320 batch_size=8"),
        make_record(name="ssd_resnet50_v1_fpn_640x640 batch_size=4", ap=0.4, latency_s=0.09),
        make_failed(name="big"),
        low=["AP50=0.4"],
        high=["latency_p50_ms=40", "size_bytes=50MB"],
        test=TieTest(),
    )
    text = shown(choice, Training(50_000, 2.5))
    lines = text.splitlines()
    assert lines[0].startswith("Take ssd_mobilenet_v2_fpnlite_320x320 batch_size=8:")
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    assert "- Out: big: oom in train: memory ran out." in lines


def test_names_that_look_like_markup_are_shown_as_they_are():
    assert "Take [red]x[/red]:" in shown(choose(make_record(name="[red]x[/red]")))
    assert "[red]" in shown(choose(make_record(name="[red]x[/red]"))).split("Verdict")[1]


def test_the_json_has_everything_and_no_infinity():
    choice = choose(
        make_record(name="a", ap=0.44),
        make_record(name="b", ap=0.3, latency_s=0.05),
        make_record(name="c", ap=0.2),
        high=["latency_p50_ms=0"],
        prefer=["AP"],
    )
    body = json.loads(json.dumps(choices_to_json([choice], Training(10, 1.0)), allow_nan=False))
    (group,) = body["groups"]
    assert body["chosen"] == [None]
    assert group["nearest"]["misses"][0]["gap_of_limit"] is None
    assert group["constraints_met"][0]["met"] == 0
    assert [c["excluded"][0]["because"] for c in group["candidates"]] == ["constraint"] * 3
    assert group["candidates"][0]["training"]["projection"] is True

    choice = choose(make_record(name="a", ap=0.44), make_record(name="b", ap=0.3, latency_s=0.05))
    (group,) = choices_to_json([choice], None)["groups"]
    assert group["chosen"]["run"] == "a"
    assert group["candidates"][1]["dominated_by"]["run"] == "a"
    assert group["ties"][0]["method"] == "no test was asked for"


def test_only_the_nearest_are_tested():
    rows = [row_of(n, (n + 1, 1, 1)) for n in range(14)]
    group = replace(GROUP, rows=rows)
    calls = itertools.count()

    def test(metric, reference, other):
        next(calls)
        return Compared(Verdict.worse, "told")

    choice = pick(group, (), parse_preference(["AP"]), test=test)
    assert next(calls) == 10
    far = [tie for tie in choice.ties if tie.tested.verdict is None]
    assert [tie.other.label for tie in far] == ["2", "1", "0"]


def test_what_is_too_much_to_read_is_counted():
    rows = [row_of(n, (n % 4 + 1, n % 3 + 1, 1)) for n in range(100)]
    choice = pick(
        replace(GROUP, rows=rows), parse_constraints([], ["p50_ms=20"]), parse_preference(["AP"])
    )
    text = " ".join(shown(choice).split())
    assert "- 60 more rows: --json has them all." in text
    assert "- Out: 13 more, with their reasons in --json." in text
    assert len(choices_to_json([choice], None)["groups"][0]["candidates"]) == 100
    assert len(shown(choice).splitlines()) < 100
