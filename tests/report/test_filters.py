from pathlib import Path

import pytest
from factories import make_failed, make_record

from odbench.errors import InputError
from odbench.records import StoredRun
from odbench.report.filters import keep

RECORDS = [
    make_record(name="a", model="ssd_mobilenet_v2_320x320", batch_size=4, ap=0.3, latency_s=0.03),
    make_record(name="b", model="ssd_mobilenet_v2_320x320", batch_size=8, ap=0.5, latency_s=0.05),
    make_record(name="c", model="efficientdet_d0", batch_size=16, ap=None),
    make_failed(name="d", model="efficientdet_d0", batch_size=4),
]
RUNS = [StoredRun(record, Path(record.run_id)) for record in RECORDS]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], "abcd"),
        (["model=ssd*"], "ab"),
        (["model!=ssd*"], "cd"),
        (["status=ok"], "abc"),
        (["train.batch_size=4,8"], "abd"),
        (["train.batch_size=4", "status=ok"], "a"),
        (["AP>=0.5"], "b"),
        (["latency_p50_ms < 40ms"], "ac"),
        (["experiment=*", "name=?"], "abcd"),
    ],
)
def test_filters(filters, names):
    assert "".join(run.record.name for run in keep(RUNS, filters)) == names


def test_experiments():
    (default,) = {run.record.spec["tracking"]["experiment"] for run in RUNS}
    assert len(keep(RUNS, [], [default, "other"])) == 4
    with pytest.raises(InputError, match=r"^--experiment: none of 1 run is ") as caught:
        keep(RUNS[:1], ["model=ssd*"], ["nope"])
    assert (caught.value.value, caught.value.allowed) == ("nope", default)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model", "not a filter"),
        ("modle=ssd", "no such field"),
        ("train.batchsize=4", "no run has such a field"),
        ("APP>0.3", "no such metric"),
        ("AP>lots", "not a number"),
        ("model=none", "none of 4 runs"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(text, message):
    with pytest.raises(InputError, match=message) as caught:
        keep(RUNS, [text])
    assert "--filter" in str(caught.value)
