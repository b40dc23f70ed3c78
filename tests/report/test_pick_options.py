"""Names, units and options by which runs are picked."""

import pytest
from choosing import group_of
from factories import make_record
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.errors import InputError
from odbench.report.pick_metrics import find_metric, metrics_table
from odbench.report.pick_options import parse_constraints, parse_preference
from odbench.report.quantities import parse_quantity
from odbench.results import Flag


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
