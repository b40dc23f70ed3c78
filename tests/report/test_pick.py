"""Choosing a run: who competes, who dominates whom, ties, weights."""

import itertools
from dataclasses import replace

import pytest
from choosing import BUSY, GROUP, by_name, choose, row_of, say, shown
from factories import make_eval, make_failed, make_record
from hypothesis import given, settings
from hypothesis import strategies as st
from variant_records import with_draws

from odbench.measure.comparing import Verdict
from odbench.report.differences import Difference, difference
from odbench.report.pick import Because, pick
from odbench.report.pick_misses import met, misses, nearest
from odbench.report.pick_options import parse_constraints, parse_preference
from odbench.report.pick_words import sentence
from odbench.results import Stage


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
    flagged = "1 has a flag on such a number (latency_p50_ms: busy_device). --allow-flagged"
    assert flagged in sentence(choice, None)


VALUES = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))


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


def test_a_byte_dominates_nobody():
    smaller, better = row_of(0, (3, 2, 1)), row_of(1, (3, 1, 1.0000002))
    choice = pick(replace(GROUP, rows=[smaller, better]), (), parse_preference(["AP"]))
    assert by_name(choice)["0"].dominated_by.label == "1"


@given(st.lists(VALUES, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_without_ties_the_first_metric_decides_then_latency_then_size(rows):
    group = replace(GROUP, rows=[row_of(n, values) for n, values in enumerate(rows)])
    choice = pick(group, (), parse_preference(["AP"]))
    chosen = rows[int(choice.chosen.row.label)]
    assert (-chosen[0], *chosen[1:]) == min((-ap, ms, size) for ap, ms, size in rows)


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


def test_only_the_nearest_are_tested():
    rows = [row_of(n, (n + 1, 1, 1)) for n in range(14)]
    group = replace(GROUP, rows=rows)
    calls = itertools.count()

    def test(metric, reference, other):
        next(calls)
        return Difference(Verdict.worse, "told")

    choice = pick(group, (), parse_preference(["AP"]), test=test)
    assert next(calls) == 10
    far = [tie for tie in choice.ties if tie.tested.verdict is None]
    assert [tie.other.label for tie in far] == ["2", "1", "0"]


def test_ties_are_tested_by_the_draws_and_the_samples():
    draws = [0.40 + 0.02 * (n % 5) for n in range(40)]
    choice = choose(
        with_draws(make_record(name="best", ap=0.45, latency_s=0.05), draws),
        with_draws(make_record(name="like", ap=0.44, latency_s=0.02), draws[::-1]),
        with_draws(make_record(name="poor", ap=0.30, latency_s=0.01), [d - 0.1 for d in draws]),
        test=difference,
    )
    assert choice.chosen.row.label == "like"
    words = {tie.other.label: tie.tested.word for tie in choice.ties if tie.metric.key == "eval/AP"}
    assert words == {"like": "tie", "poor": "worse"}
