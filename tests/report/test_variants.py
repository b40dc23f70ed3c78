"""Repeats joined to variants, and variants compared: the wiring, on numbers made by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_eval, make_failed, make_record
from variant_records import repeated_runs, with_draws

from odbench.records import StoredRun
from odbench.report.comparison import compare
from odbench.report.differences import difference, tied_with_best
from odbench.report.pick_metrics import find_metric
from odbench.report.variants import variants
from odbench.results import Flag, Status

AP, P50, SIZE = (find_metric(name, "test") for name in ("AP", "latency_p50_ms", "size_bytes"))
NAMES = ["AP", "AP50", "AP75"]


def of(*records):
    (group,) = compare([StoredRun(r, Path("runs") / r.run_id) for r in records]).groups
    return variants(group)


def test_repeats_are_one_variant_with_mean_spread_and_interval():
    (variant,) = of(*repeated_runs([0.4, 0.5, 0.6]))
    assert variant.label == "ssd-b8"  # no repeat's seed
    assert [row.record.repeat for row in variant.rows] == [0, 1, 2]
    ap = variant.repeated(AP.sources)
    assert (ap.n, ap.mean, ap.spread) == (3, pytest.approx(0.5), pytest.approx(0.1))
    half = 4.302653 * 0.1 / 3**0.5  # Student's t with 2 degrees of freedom
    assert (ap.low, ap.high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    assert variant.metrics["eval/AP"] == AP.value(variant) == pytest.approx(0.5)
    assert variant.statuses == {Status.ok: 3}


def test_only_repeats_that_ended_well_count_and_all_are_told():
    good, flagged, bad = repeated_runs([0.4, 0.5, 0.9])
    flagged = replace(flagged, eval=make_eval(0.5, images_evaluated=63))
    bad = replace(bad, status=Status.timeout)
    (variant,) = of(good, flagged, bad)
    assert variant.ok
    assert variant.statuses == {Status.ok: 2, Status.timeout: 1}
    assert variant.metrics["eval/AP"] == 0.4  # the other is partial, the third did not end well
    assert variant.flags == [Flag.partial_eval]
    (failed,) = of(make_failed(ap=0.3))
    assert not failed.ok
    assert failed.statuses == {Status.oom: 1}


def test_labels_tell_variants_apart():
    a = [replace(r, variant="a") for r in repeated_runs([0.4, 0.5])]
    b = [
        replace(r, variant="b", run_id=f"b{r.repeat}", name=f"{a[0].name}{'-seed1' * r.repeat}")
        for r in repeated_runs([0.1, 0.2], batch_size=16)
    ]
    assert [v.label for v in of(*a, *b)] == [
        "ssd-b8 train.batch_size=8",
        "ssd-b8 train.batch_size=16",
    ]
    old = [replace(r, variant="", name="x") for r in repeated_runs([0.4, 0.4])]
    assert {v.label for v in of(*old)} == {"x seed=0", "x seed=1"}  # each its own variant
    same = [replace(r, variant="", name="x", spec=old[0].spec) for r in old]
    assert {v.label for v in of(*same)} == {"x", "x #2"}
    named = [replace(r, name=f"mine {r.repeat}") for r in repeated_runs([0.4, 0.4])]
    assert [v.label for v in of(*named)] == ["ssd_mobilenet_v2_fpnlite_320x320-b8"]


def test_ap_has_an_interval_over_images_from_draws_averaged_over_repeats():
    a, b = repeated_runs([0.4, 0.6])
    draws = [0.1 * n for n in range(11)]
    (variant,) = of(with_draws(a, draws), with_draws(b, [d + 0.2 for d in draws]))
    found = variant.over_images("AP")
    assert (found.estimate, found.resamples) == (0.5, 11)
    assert (found.low, found.high) == (pytest.approx(0.125), pytest.approx(1.075))
    other = with_draws(b, draws, key="other images")
    assert of(with_draws(a, draws), other)[0].over_images("AP") is None
    assert of(a, b)[0].over_images("AP") is None  # none were kept


def pair(before, after):
    """Variants ``a`` and ``b`` of repeats with those draws; a repeat's AP is its draws' mean."""
    records = []
    for variant, sides in (("a", before), ("b", after)):
        runs = repeated_runs([sum(draws) / len(draws) for draws in sides], name=variant)
        records += [with_draws(r, d) for r, d in zip(runs, sides, strict=True)]
    found = {v.rows[0].record.variant: v for v in of(*records)}
    return found["a"], found["b"]


def wave(level):
    return [level + 0.1 * (n % 10) / 10 for n in range(40)]


def test_ap_is_compared_draw_by_draw():
    a, b = pair([wave(0.40)], [wave(0.43)])  # 0.1 from draw to draw, 0.03 in each of them
    found = difference(AP, a, b)
    assert (found.word, found.difference) == ("better", pytest.approx(0.03))
    assert (found.low, found.high) == (pytest.approx(0.03), pytest.approx(0.03))
    assert difference(AP, b, a).word == "worse"
    shuffled = wave(0.43)[5:] + wave(0.43)[:5]  # the same draws, of other images
    assert difference(AP, *pair([wave(0.40)], [shuffled])).word == "tie"


def test_what_differs_between_repeats_is_in_the_interval():
    near = difference(AP, *pair([wave(0.40), wave(0.41)], [wave(0.44), wave(0.45)]))
    assert near.word == "better"
    assert near.low < near.difference < near.high
    far = difference(AP, *pair([wave(0.30), wave(0.51)], [wave(0.34), wave(0.55)]))
    assert far.difference == pytest.approx(near.difference)
    assert far.word == "tie"


def test_ap_without_common_draws_is_not_comparable():
    a, b = repeated_runs([0.4], name="a"), repeated_runs([0.5], name="b")
    left, right = of(*a, *b)
    assert difference(AP, left, right).word == "not comparable"
    left, right = of(with_draws(a[0], wave(0)), with_draws(b[0], wave(0), key="others"))
    assert difference(AP, left, right).word == "not comparable"


@pytest.mark.parametrize(("repeats", "word"), [(1, "worse"), (3, "not comparable"), (4, "worse")])
def test_times_are_compared_by_repeats_and_single_runs_by_blocks(repeats, word):
    fast = repeated_runs([0.5] * repeats, name="fast", latency_s=0.020)
    slow = repeated_runs([0.4] * repeats, name="slow", latency_s=0.022)
    found = difference(P50, *of(*fast, *slow))
    assert found.word == word
    assert ("blocks" in found.method) == (repeats == 1)
    assert found.difference == pytest.approx(2 if word == "worse" else 2.0, abs=0.3)


def test_counted_numbers_need_no_test_and_single_values_have_none():
    a, b = of(*repeated_runs([0.5], name="a"), *repeated_runs([0.4], name="b"))
    assert difference(SIZE, a, b).word == "tie"
    assert difference(find_metric("peak_ram_bytes", "test"), a, b).word == "not comparable"
    heavy = replace(b.record, export=replace(b.record.export, size_bytes=99_000_000))
    assert difference(SIZE, a, of(heavy)[0]).word == "worse"


def test_ties_with_the_best_of_each_metric():
    a = with_draws(make_record(name="a", variant="a", ap=0.50, latency_s=0.02), wave(0.45))
    b = with_draws(make_record(name="b", ap=0.49, batch_size=4, latency_s=0.03), wave(0.44)[::-1])
    c = with_draws(
        make_record(name="c", variant="c", ap=0.20, batch_size=2, latency_s=0.02), wave(0.15)
    )
    failed = make_failed(name="d", variant="d", ap=0.9)
    found = of(a, b, c, failed)
    names = {v.key: v.label for v in found}
    assert {names[k] for k in tied_with_best(AP, found)} == {"a", "b"}
    assert {names[k] for k in tied_with_best(P50, found)} == {"a", "c"}
    assert tied_with_best(AP, found[:1]) == {}
