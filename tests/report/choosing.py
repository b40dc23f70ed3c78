"""What the tests of picking share."""

import io
from dataclasses import replace
from pathlib import Path

from factories import make_record
from rich.console import Console

from odbench.measure.comparing import Verdict
from odbench.records import StoredRun
from odbench.report.comparison import Group, Row, compare
from odbench.report.differences import Difference
from odbench.report.pick import pick
from odbench.report.pick_options import parse_constraints, parse_preference
from odbench.report.pick_text import render_choices
from odbench.results import Stage, StageUsage

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
        return Difference(Verdict.tie if tied else Verdict.worse, "as told")

    return test


def shown(choice, training=None, width=80):
    out = io.StringIO()
    Console(width=width, file=out).print(render_choices([choice], training))
    return out.getvalue()


BASE = make_record(name="base", measured_steps=2)
GROUP: Group = group_of(BASE)


def row_of(number, values):
    ap, latency, size = values
    metrics = {
        "eval/AP": ap / 10,
        "latency/p50_ms": latency * 10.0,
        "export/size_bytes": size * 1e6,
    }
    record = replace(BASE, run_id=str(number), name=str(number), variant=str(number))
    return Row(StoredRun(record, Path(str(number))), metrics, [], {}, str(number))
