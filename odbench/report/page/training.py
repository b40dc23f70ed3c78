"""What training did: curves, the time of every stage, and how a bigger batch pays off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from odbench.report.page.figure import (
    DATA,
    MAX_BARS,
    MAX_LINES,
    Chart,
    Datum,
    PageFigure,
    Spec,
    colours,
    rounded,
    spec_of,
)
from odbench.report.page.parts import Part
from odbench.report.variants import Variant
from odbench.report.varying import as_given
from odbench.results import Stage, Status

MAX_CURVE_POINTS = 200  # of one run
_AP = "AP of evaluations on the way"
_RATE = "learning rate"

# What a batch size changes: key in the data, heading, metrics of which the largest counts, unit.
_SCALING = (
    ("images", "Trained images per second", ("train/images_per_s",), 1.0),
    ("time", "1000-step train time (s)", ("train/time_1000_steps_s",), 1.0),
    ("ram", "Peak RAM in training (MB)", ("train/peak_ram_bytes",), 1e6),
    ("gpu", "Peak GPU memory in training (MB)", ("train/peak_gpu_bytes",), 1e6),
)


def curves(part: Part) -> PageFigure | None:
    """Each loss, the learning rate and the AP on the way against the train step."""
    shown, limits = part.first(MAX_LINES, lambda row: row.record.train is not None)
    data = [datum for row in shown for datum in _points(part, row)]
    kinds = list(dict.fromkeys(datum["kind"] for datum in data))
    if not kinds:
        return None
    order = {"Loss/total_loss": 0, _AP: 1}
    kinds.sort(key=lambda kind: order.get(kind, 2 if kind != _RATE else 3))
    note = "Every model defines its own loss: compare the losses of one model only."
    note += limits
    if any(len(row.rows) > 1 for row in shown):
        note += " Of repeats the first one is drawn."
    specs = [(_kind_words(kind), _curve(kind, len(shown))) for kind in kinds]
    return PageFigure("curves", "Training curves", note, data, specs, "Curve")


def _points(part: Part, row: Variant) -> Iterable[Datum]:
    train = row.record.train
    if train is None:
        return
    head = {"row": part.id_of(row), "name": part.name(row)}
    every = max(1, -(-len(train.losses) // MAX_CURVE_POINTS))
    for point in train.losses[::every]:
        values = dict(point.losses) | {_RATE: point.learning_rate}
        for kind, value in values.items():
            if value is not None:
                yield head | {"step": point.step, "kind": kind, "value": rounded(value)}
    for evaluation in train.evaluations:
        if (ap := evaluation.metrics.get("AP")) is not None:
            yield head | {"step": evaluation.step, "kind": _AP, "value": rounded(ap)}


def _kind_words(kind: str) -> str:
    return kind.removeprefix("Loss/").replace("_", " ")


def _curve(kind: str, count: int) -> Spec:
    import altair as alt

    words = _kind_words(kind)
    words = words if kind == _AP else words[0].upper() + words[1:]
    chart: Chart = (
        alt.Chart(alt.NamedData(DATA))
        .transform_filter(f"datum.kind === {kind!r}")
        .mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.8)
        .encode(
            x=alt.X("step:Q").title("Train step"),
            y=alt.Y("value:Q").title(words).scale(zero=False),
            color=alt.Color("name:N").title("Run").scale(alt.Scale(**colours(count))).sort(None),
            tooltip=[
                alt.Tooltip("name:N").title("Run"),
                alt.Tooltip("step:Q").title("Step"),
                alt.Tooltip("value:Q").title(words),
            ],
        )
    )
    return spec_of(chart)


def stage_times(part: Part) -> PageFigure | None:
    """Wall time of each stage that ended, stacked."""
    shown, limits = part.first(MAX_BARS, lambda row: row.record.usage)
    if not shown:
        return None
    data = [
        {
            "row": part.id_of(row),
            "name": part.name(row),
            "stage": str(stage),
            "order": list(Stage).index(stage),
            "s": rounded(seconds),
        }
        for row in shown
        for stage in Stage
        if (seconds := row.metrics.get(f"{stage}/wall_s")) is not None
    ]
    note = "Whole stages, with building, tracing, warm-up and checkpoints; the highest AP first."
    note += limits
    return PageFigure("stages", "Time per stage", note, data, [("", _bars())])


def _bars() -> Spec:
    import altair as alt

    stages = [str(stage) for stage in Stage]
    chart: Chart = (
        alt.Chart(alt.NamedData(DATA))
        .mark_bar()
        .encode(
            y=alt.Y("name:N").title(None).sort(None).axis(labelLimit=320),
            x=alt.X("s:Q").title("Wall time of the stages that ended (s)"),
            color=alt.Color("stage:N").title("Stage").scale(domain=stages, range=PALETTE_STAGES),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("name:N").title("Run"),
                alt.Tooltip("stage:N").title("Stage"),
                alt.Tooltip("s:Q").title("Seconds"),
            ],
        )
        .properties(height=alt.Step(24))
    )
    return spec_of(chart, None)


PALETTE_STAGES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7"]


def batch_scaling(part: Part) -> PageFigure | None:
    """Speed and memory against batch size, with the sizes that ran out of memory.

    None where no configuration was run with two batch sizes.
    """
    series: dict[str, list[Variant]] = {}
    for row in part.variants:
        series.setdefault(_series(part, row), []).append(row)
    kept = {
        name: rows
        for name, rows in series.items()
        if len({row.record.batch_size for row in rows}) > 1
    }
    shown = dict(list(kept.items())[:MAX_LINES])
    data = [
        datum for name, rows in shown.items() for row in rows if (datum := _sized(part, name, row))
    ]
    used = [entry for entry in _SCALING if any(datum.get(entry[0]) for datum in data)]
    if not used:
        return None
    gone = [datum for name, rows in shown.items() if (datum := _boundary(name, rows))]
    sizes = sorted({datum["batch"] for datum in (*data, *gone)})
    note = "A line joins the runs of one configuration that differ in batch size alone."
    if gone:
        note += " A dashed line stands at the smallest batch that ran out of memory."
    if len(shown) < len(kept):
        note += f" The first {len(shown)} of {len(kept)} configurations."
    specs = [
        (heading, _scaling(key, heading, list(shown), sizes, bool(gone)))
        for key, heading, _, _ in used
    ]
    return PageFigure(
        "batch", "Scaling with batch size", note, data, specs, "Against batch size", {"oom": gone}
    )


def _series(part: Part, row: Variant) -> str:
    """What a run is, but for the batch size and what chance makes of it."""
    left_out = ("train.batch_size", "seed", "repeat", "model.name", "model.family")
    others = [
        as_given(path, row.varying[path], row.record.overrides)
        for path in part.varying
        if path not in left_out and not path.startswith("model.")
    ]
    models = [] if part.one_model and others else [row.record.model]
    return ", ".join(dict.fromkeys([*models, *others]))


def _sized(part: Part, name: str, row: Variant) -> Datum | None:
    if row.record.train is None:
        return None
    found: Datum = {"row": part.id_of(row), "name": part.name(row), "series": name}
    found["batch"] = row.record.train.batch_size  # of a shrunk one, what was run
    for key, _, metrics, per in _SCALING:
        value = row.metrics.get(metrics[0])
        if value is not None:
            found[key] = rounded(value / per)
    return found


def _boundary(name: str, rows: Sequence[Variant]) -> Datum | None:
    sizes = [row.record.batch_size for row in rows if Status.oom in row.statuses]
    return {"series": name, "batch": min(sizes)} if sizes else None


def _scaling(key: str, heading: str, names: list[str], sizes: list[int], boundary: bool) -> Spec:
    import altair as alt

    scale = alt.Scale(domain=names, **colours(len(names)))
    colour: Any = alt.Color("series:N").title("Configuration").scale(scale)
    x: Any = alt.X("batch:Q").title("Batch size (images per step)").scale(type="log", base=2)
    x = x.axis(format="d", values=sizes)
    base: Any = alt.Chart(alt.NamedData(DATA)).transform_filter(f"isValid(datum['{key}'])")
    y = alt.Y(f"mean({key}):Q").title(heading).scale(zero=True)
    line = base.mark_line().encode(x=x, y=y, color=colour)
    points = base.mark_point(filled=True, size=80).encode(
        x=x,
        y=alt.Y(f"{key}:Q").title(heading),
        color=colour,
        tooltip=[
            alt.Tooltip("name:N").title("Run"),
            alt.Tooltip("batch:Q").title("Batch size"),
            alt.Tooltip(f"{key}:Q").title(heading),
        ],
    )
    layers = [line, points]
    if boundary:
        oom: Any = alt.Chart(alt.NamedData("oom")).encode(x=x, color=colour)
        layers.append(
            oom.mark_rule(strokeDash=[5, 4], strokeWidth=2).encode(
                tooltip=[
                    alt.Tooltip("series:N").title("Out of memory"),
                    alt.Tooltip("batch:Q").title("At batch size"),
                ]
            )
        )
        layers.append(
            oom.mark_text(dy=-6, dx=4, align="left", angle=0).encode(
                y=alt.value(12), text=alt.value("out of memory")
            )
        )
    return spec_of(alt.layer(*layers))
