"""A choice in words and as JSON; groups, repeats and what a training costs."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from choosing import GROUP, choose, group_of, row_of, shown
from factories import gpu_changes, make_failed, make_record
from rich.console import Console
from variant_records import repeated_runs

from odbench.records import StoredRun
from odbench.report.comparison import compare
from odbench.report.differences import difference
from odbench.report.pick import pick, pick_each
from odbench.report.pick_json import choices_to_json
from odbench.report.pick_options import parse_constraints, parse_preference
from odbench.report.pick_text import render_choices
from odbench.report.pick_words import Training, sentence
from odbench.report.training_cost import training_cost
from odbench.report.variants import variants
from odbench.results import Stage, Status


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


def test_repeats_are_one_candidate_with_their_means():
    steady = repeated_runs([0.42, 0.40, 0.41, 0.5], name="steady")
    lucky = make_record(name="lucky", ap=0.405)
    broken = replace(steady[3], status=Status.timeout)
    choice = choose(*steady[:3], broken, lucky, test=difference)
    assert [c.row.label for c in choice.candidates] == ["steady", "lucky"]
    assert choice.chosen.values["eval/AP"] == pytest.approx(0.41)
    assert "Means of repeats: steady (3 ok, 1 timeout)." in shown(choice, width=200)
    (group,) = choices_to_json([choice], None)["groups"]
    told = group["candidates"][0]["repeats"]
    assert (len(told["runs"]), told["counted"]) == (4, 3)
    low, high = told["intervals"]["eval/AP"]
    assert low < 0.41 < high
    cost = training_cost(choice.chosen.row, 36_000)
    assert cost.measured_steps == 3000
    assert cost.hours_low < cost.hours < cost.hours_high


def test_a_training_is_projected():
    record = make_record(name="a", step_s=0.1)
    (row,) = variants(group_of(record))
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
    (row,) = variants(group_of(make_failed(name="a", stage=Stage.train)))
    assert training_cost(row, 1000, 1.0).hours is None
    (one,) = variants(group_of(make_record(name="a", measured_steps=1)))
    single = training_cost(one, 1000)
    assert single.hours > 0
    assert single.hours_low is None


def test_the_text_fits_80_columns_and_begins_with_the_answer():
    choice = choose(
        make_record(name="ssd_mobilenet_v2_fpnlite_320x320 batch_size=8"),
        make_record(name="ssd_resnet50_v1_fpn_640x640 batch_size=4", ap=0.4, latency_s=0.09),
        make_failed(name="big"),
        low=["AP50=0.4"],
        high=["latency_p50_ms=40", "size_bytes=50MB"],
        test=difference,
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
