"""The zoo's figures stand beside the measured ones, and nowhere else."""

from pathlib import Path

from factories import make_failed, make_record

from odbench.records import StoredRun
from odbench.report.comparison import compare
from odbench.report.published import published_rows, published_table
from odbench.zoo.catalogue import entry

MODEL = "ssd_mobilenet_v2_fpnlite_320x320"


def group_of(*records):
    (group,) = compare([StoredRun(r, Path("runs") / r.run_id) for r in records]).groups
    return group


def test_each_model_of_the_zoo_has_one_row_with_both_figures():
    group = group_of(
        make_record(name="a", model=MODEL, ap=0.5, latency_s=0.05),
        make_record(name="b", model=MODEL, ap=0.4),
        make_record(name="c", model="mine", ap=0.6),
        make_failed(name="d", model="efficientdet_d0"),
    )
    (row,) = published_rows(group)
    assert (row.published_ap, row.published_ms) == (entry(MODEL).AP, entry(MODEL).speed_ms)
    assert row.variant.label == "a"
    assert row.measured_ap == 0.5
    assert f"| {MODEL} | {entry(MODEL).AP:.3f} | 0.500 | {entry(MODEL).speed_ms:.1f} |" in (
        published_table(group)
    )
    assert published_table(group_of(make_record(model="mine"))) is None
