"""`odbench compare`: what changed between two sides, and what of it is a regression."""

import json
from dataclasses import replace

import pytest
from factories import gpu_changes, make_dataset, make_failed, make_record, store_record
from typer.testing import CliRunner
from variant_records import repeated_runs, with_draws

from odbench.cli import app
from odbench.errors import InputError
from odbench.report.changes import parse_bounds

DRAWS = [0.40 + 0.002 * (n % 10) for n in range(40)]


def run(name="a", ap=0.45, shift=0.0, **changes):
    record = make_record(name=name, ap=ap + shift, sampling_seed=1, **changes)
    return with_draws(record, [d + shift for d in DRAWS])


@pytest.fixture
def compared(tmp_path):
    """Calls `odbench compare before after ...` on records that are stored first."""

    def call(before, after, *arguments):
        for side, records in (("before", before), ("after", after)):
            for number, record in enumerate(records):
                store_record(replace(record, run_id=f"{side}{number}"), tmp_path / side)
        sides = [str(tmp_path / "before"), str(tmp_path / "after")]
        return CliRunner().invoke(app, ["compare", *sides, *arguments])

    return call


def changes_of(done):
    (pair,) = json.loads(done.stdout)["pairs"]
    return {change["metric"]: change for change in pair["changes"]}


def test_nothing_changed(compared):
    done = compared([run()], [run()], "--json")
    assert done.exit_code == 0, done.output
    assert {c["verdict"] for c in changes_of(done).values()} == {"same", "not comparable"}
    assert changes_of(done)["eval/AP"]["verdict"] == "same"


def test_a_significant_loss_of_ap_is_a_regression(compared):
    done = compared([run()], [run(shift=-0.01)], "--json")
    assert done.exit_code == 3
    ap = changes_of(done)["eval/AP"]
    assert (ap["verdict"], ap["regression"]) == ("worse", True)
    assert ap["delta"] == pytest.approx(-0.01)
    assert ap["low"] == pytest.approx(ap["high"]) == pytest.approx(-0.01)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--max-regression", "latency_p50_ms=5%"], 3),
        (["--max-regression", "latency_p50_ms=1ms"], 3),
        (["--max-regression", "latency_p50_ms=50%"], 0),
        (["--max-regression", "size_bytes=0"], 0),
    ],
)
def test_bounds_of_times(compared, arguments, code):
    done = compared([run(latency_s=0.020)], [run(latency_s=0.023)], *arguments)
    assert done.exit_code == code, done.output
    assert "worse" in done.stdout
    assert ("beyond the bound" in done.stdout) == (code == 3)


def test_a_bound_of_ap_replaces_the_default(compared):
    assert compared([run()], [run(shift=-0.01)], "--max-regression", "AP=0.02").exit_code == 0


def test_repeats_are_compared_as_one(compared):
    before, after = (
        repeated_runs([0.4] * 4, latency_s=latency, name="v") for latency in (0.020, 0.030)
    )
    done = compared(before, after, "--json", "--max-regression", "latency_p50_ms=20%")
    assert done.exit_code == 3
    assert "repeats" in changes_of(done)["latency/p50_ms"]["method"]


def test_what_no_longer_ends_well_is_a_regression(compared):
    failed = make_failed(name="a", variant=run().variant)
    done = compared([run()], [failed])
    assert done.exit_code == 3
    assert "no longer ends well" in done.stdout


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (gpu_changes(), "hardware"),
        ({"dataset": make_dataset(hash="other")}, "data set"),
        ({"protocol_version": 2}, "protocol"),
    ],
)
def test_what_is_not_comparable_is_said_and_not_compared(compared, changes, what):
    moved = [run("a", **changes), run("b")]
    done = compared([run("a"), run("b")], moved, "--by", "name")
    assert done.exit_code == 0, done.output
    assert "1 variant compared" in done.stdout
    assert f"Not compared, not comparable: a: {what}" in done.stdout


def test_flagged_numbers_are_not_compared_unless_allowed(compared):
    before, after = (run(shift=shift, backend="replay") for shift in (0.0, -0.01))
    done = compared([before], [after], "--json")
    assert done.exit_code == 4
    assert changes_of(done)["eval/AP"]["method"] == "flagged: replayed"
    assert json.loads(done.stdout)["judged"] is False
    said = json.loads(done.stdout)["summary"]
    assert "no regression was shown, but not everything could be judged: a (AP, flagged" in said
    assert compared([], [], "--allow-flagged").exit_code == 3


def test_a_bound_of_a_number_that_is_not_there_is_not_kept(compared):
    after = replace(run(), latency=None)
    done = compared([run()], [after], "--max-regression", "latency_p50_ms=5%")
    assert done.exit_code == 4
    assert "latency_p50_ms, a value of one alone" in " ".join(done.stdout.split())


def test_a_bound_of_what_neither_side_has_is_not_kept(compared):
    done = compared([run()], [run()], "--max-regression", "train/gpu_energy_j=5%")
    assert done.exit_code == 4
    assert "gpu_energy_j, no value" in " ".join(done.stdout.split())


@pytest.mark.parametrize("after_too", [True, False])
def test_what_did_not_end_well_before_has_nothing_to_be_held_to(compared, after_too):
    failed = make_failed(name="a", variant=run().variant)
    after = failed if after_too else run()
    done = compared([failed], [after], "--max-regression", "latency_p50_ms=5%")
    assert done.exit_code == 0, done.output


def test_nothing_compared_is_no_pass(compared):
    done = compared([run()], [run(**gpu_changes())], "--by", "name")
    assert done.exit_code == 4
    assert "Nothing could be compared." in done.stdout


def test_a_byte_is_no_difference(compared):
    one = run()
    before, after = (
        replace(one, export=replace(one.export, size_bytes=size)) for size in (6464836, 6464838)
    )
    done = compared([before], [after], "--json", "--max-regression", "size_bytes=0")
    assert done.exit_code == 0
    assert changes_of(done)["export/size_bytes"]["verdict"] == "same"


def test_of_single_runs_it_is_said_what_the_interval_leaves_out(compared, tmp_path):
    assert "over images alone" in compared([run()], [run(shift=-0.01)]).stdout
    repeats = [with_draws(r, DRAWS) for r in repeated_runs([0.4, 0.4], name="v")]
    for side in ("a", "b"):
        for each in repeats:
            store_record(replace(each, run_id=f"{side}{each.repeat}"), tmp_path / side)
    done = CliRunner().invoke(app, ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert done.exit_code == 0
    assert "over images alone" not in done.stdout


def test_markdown_is_for_a_pull_request(compared):
    done = compared([run(), run("x")], [run(shift=-0.01), run("y")], "--markdown")
    assert done.exit_code == 3
    lines = done.stdout.splitlines()
    assert lines[0].startswith("**1 variant compared: 1 with a regression: a (AP)")
    assert any(line.startswith("| **AP** | **0.450** | **0.440** |") for line in lines)
    assert "- Only before: x." in lines
    assert "- Only after: y." in lines


def test_a_baseline_file(compared, tmp_path):
    compared([run()], [run(shift=-0.01)])
    file = tmp_path / "baseline.jsonl.gz"
    runner = CliRunner()
    done = runner.invoke(app, ["export-records", str(tmp_path / "before"), "--out", str(file)])
    assert done.exit_code == 0
    assert runner.invoke(app, ["compare", str(file), str(tmp_path / "after")]).exit_code == 3


def test_nothing_in_common_is_bad_input(compared):
    done = compared([run("a")], [run("b")])
    assert done.exit_code == 2
    assert "no variant is on both sides" in done.stderr


@pytest.mark.parametrize("text", ["AP", "AP=x", "AP=-1%", "nope=1", "latency_p50_ms=5MB"])
def test_bounds_that_cannot_be_read(text):
    with pytest.raises(InputError):
        parse_bounds([text])
    with pytest.raises(InputError, match="named once"):
        parse_bounds(["AP=0.1", "AP=0.2"])
