"""What detections tell beyond one AP: classes, precision against recall, confusion, errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from odbench.analyses import Analysis
from odbench.measure.statistics import mean
from odbench.report.page.figure import (
    DATA,
    MAX_BARS,
    MAX_LINES,
    PALETTE,
    Chart,
    Datum,
    PageFigure,
    Spec,
    colours,
    rounded,
    spec_of,
    variations,
)
from odbench.report.page.parts import Part
from odbench.report.variants import Variant

MAX_HEAT_ROWS = 40
MAX_HEAT_CLASSES = 60
MAX_CURVE_CLASSES = 20
MAX_CONFUSED = 30  # classes of a confusion matrix

_ROW, _CLASS = "ID_OF_ROW", "NAME_OF_CLASS"  # stand for one, see variations

ALL_CLASSES = "mean of all classes"
BACKGROUND, MISSED = "background", "missed"


def per_class(part: Part) -> PageFigure | None:
    """AP of every class in every run."""
    classes = part.group.rows[0].record.dataset.classes
    kept = classes[:MAX_HEAT_CLASSES]
    shown, limits = part.first(MAX_HEAT_ROWS, lambda row: row.metrics.get("eval/AP") is not None)
    data = [
        {"row": part.id_of(row), "name": part.name(row), "class": name, "ap": rounded(ap)}
        for row in shown
        for name in kept
        if (ap := _class_ap(row, name)) is not None
    ]
    if not data or len(classes) < 2:
        return None
    note = "An empty cell: no object of that class in the evaluation set."
    note += limits
    if len(kept) < len(classes):
        note += f" The first {len(kept)} of {len(classes)} classes."
    return PageFigure("classes", "AP by class", note, data, [("", _heat(len(kept) <= 20))])


def _class_ap(row: Variant, name: str) -> float | None:
    """Of repeats the mean."""
    results = [each.record.eval for each in row.counted]
    values = [result.per_class.get(name) for result in results if result is not None]
    return mean([value for value in values if value is not None])


def _heat(numbers: bool) -> Spec:
    import altair as alt

    base: Any = alt.Chart(alt.NamedData(DATA)).encode(
        x=alt.X("class:N").title(None).sort(None).axis(labelAngle=-40, orient="top"),
        y=alt.Y("name:N").title(None).sort(None).axis(labelLimit=320),
    )
    tooltips = [
        alt.Tooltip("name:N").title("Run"),
        alt.Tooltip("class:N").title("Class"),
        alt.Tooltip("ap:Q").title("AP").format(".3f"),
    ]
    number = alt.Text("ap:Q").format(".2f") if numbers else None
    return _cells(base, "ap", "AP", tooltips, number)


def _cells(base: Any, value: str, title: str, tooltips: list[Any], number: Any) -> Spec:
    """Cells coloured by a value from 0 to 1, with a number in each where one is given."""
    import altair as alt

    scale = alt.Scale(scheme="viridis", domain=[0, 1])
    color = alt.Color(f"{value}:Q").title(title).scale(scale)
    layers = [base.mark_rect().encode(color=color, tooltip=tooltips)]
    if number is not None:
        ink = alt.condition(f"datum.{value} > 0.55", alt.value("#111"), alt.value("#fff"))
        layers.append(base.mark_text(fontSize=11).encode(text=number, color=ink))
    return spec_of(alt.layer(*layers).properties(height=alt.Step(26)), None)


def _analysed(
    part: Part, limit: int, having: Callable[[Analysis], object]
) -> tuple[list[tuple[Variant, Analysis]], str]:
    """The best of those whose analysis has something, and a sentence on the limit."""
    shown, limits = part.first(
        limit, lambda row: row.record.analysis is not None and having(row.record.analysis)
    )
    if any(len(row.rows) > 1 for row in shown):
        limits += " Of repeats the first one is shown."
    return [(row, row.record.analysis) for row in shown if row.record.analysis], limits


def precision_recall(part: Part) -> PageFigure | None:
    """Precision at IoU 0.5 against recall: all classes, or one of them."""
    shown, limits = _analysed(part, MAX_LINES, lambda analysis: analysis.precision)
    if not shown:
        return None
    classes = list(dict.fromkeys(name for _, analysis in shown for name in analysis.precision))
    kept = classes[:MAX_CURVE_CLASSES]
    data: list[Datum] = []
    for row, analysis in shown:
        head = {"row": part.id_of(row), "name": part.name(row)}
        curves = {ALL_CLASSES: _mean_curve(analysis)}
        curves |= {name: analysis.precision[name] for name in kept if name in analysis.precision}
        data += [
            head | {"class": name, "precision": [rounded(value, 3) for value in curve]}
            for name, curve in curves.items()
        ]
    note = "At IoU 0.5. Where a curve ends at 0, that recall is not reached at any score."
    note += limits
    if len(kept) < len(classes):
        note += f" The first {len(kept)} of {len(classes)} classes."
    names = [ALL_CLASSES, *kept] if len(kept) > 1 else [ALL_CLASSES]
    made = variations(_precision(len(shown)), *({_CLASS: _in_quotes(name)} for name in names))
    specs = list(zip(names, made, strict=True))
    return PageFigure("precision", "Precision against recall", note, data, specs, "Class")


def _mean_curve(analysis: Analysis) -> list[float | None]:
    columns = zip(*analysis.precision.values(), strict=True)
    found: list[float | None] = []
    for column in columns:
        values = [value for value in column if value is not None]
        found.append(sum(values) / len(values) if values else None)
    return found


def _precision(count: int) -> Spec:
    import altair as alt

    chart: Chart = (
        alt.Chart(alt.NamedData(DATA))
        .transform_filter(f'datum.class === "{_CLASS}"')
        .transform_flatten(["precision"])
        .transform_window(place="row_number()", groupby=["name"])
        .transform_calculate(recall="(datum.place - 1) / 100")
        .transform_filter("isValid(datum.precision)")
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("recall:Q").title("Recall").scale(domain=[0, 1]),
            y=alt.Y("precision:Q").title("Precision at IoU 0.5").scale(domain=[0, 1]),
            color=alt.Color("name:N").title("Run").scale(alt.Scale(**colours(count))).sort(None),
            order=alt.Order("recall:Q"),
            tooltip=[
                alt.Tooltip("name:N").title("Run"),
                alt.Tooltip("recall:Q").title("Recall").format(".2f"),
                alt.Tooltip("precision:Q").title("Precision").format(".3f"),
            ],
        )
    )
    return spec_of(chart)


def _in_quotes(name: str) -> str:
    """A name as it stands between the quotes of a Vega expression."""
    return json.dumps(name)[1:-1]


def confusion(part: Part) -> PageFigure | None:
    """What objects were taken for, one run at a time."""
    shown, limits = _analysed(part, MAX_LINES, lambda analysis: analysis.confusion)
    if not shown:
        return None
    classes = part.group.rows[0].record.dataset.classes
    data = [datum for row, analysis in shown for datum in _confused(part, row, analysis, classes)]
    threshold = shown[0][1].score_threshold
    note = (
        f"Detections with a score of {threshold:g} or more, at IoU 0.5. A row is the true class, "
        "shaded by the share of its objects; counts are in the cells."
    )
    note += limits
    if len(classes) > MAX_CONFUSED:
        note += f" The first {MAX_CONFUSED} of {len(classes)} classes."
    kept = classes[:MAX_CONFUSED]
    words = [{_ROW: part.id_of(row)} for row, _ in shown]
    made = variations(_matrix(kept, len(kept) <= 15), *words)
    specs = [(part.name(row), spec) for (row, _), spec in zip(shown, made, strict=True)]
    return PageFigure("confusion", "Confusion of classes", note, data, specs, "Run")


def _confused(part: Part, row: Variant, analysis: Analysis, classes: Sequence[str]) -> list[Datum]:
    found = []
    last = len(analysis.confusion) - 1
    for i, counts in enumerate(analysis.confusion):
        total = sum(counts)
        if i >= MAX_CONFUSED and i != last:
            continue
        for j, count in enumerate(counts):
            if count and (j < MAX_CONFUSED or j == last):
                found.append(
                    {
                        "row": part.id_of(row),
                        "true": BACKGROUND if i == last else classes[i],
                        "detected": MISSED if j == last else classes[j],
                        "count": count,
                        "share": rounded(count / total, 3),
                    }
                )
    return found


def _matrix(classes: Sequence[str], numbers: bool) -> Spec:
    import altair as alt

    base: Any = (
        alt.Chart(alt.NamedData(DATA))
        .transform_filter(f"datum.row === '{_ROW}'")
        .encode(
            x=alt.X("detected:N")
            .title("Detected as")
            .scale(domain=[*classes, MISSED])
            .axis(labelAngle=-40, orient="top"),
            y=alt.Y("true:N").title("True class").scale(domain=[*classes, BACKGROUND]),
        )
    )
    tooltips = [
        alt.Tooltip("true:N").title("True class"),
        alt.Tooltip("detected:N").title("Detected as"),
        alt.Tooltip("count:Q").title("Count"),
        alt.Tooltip("share:Q").title("Share of the row").format(".1%"),
    ]
    return _cells(base, "share", "Share", tooltips, alt.Text("count:Q") if numbers else None)


def errors(part: Part) -> PageFigure | None:
    """AP50 that each kind of error costs."""
    shown, limits = _analysed(part, MAX_BARS, lambda analysis: analysis.errors)
    if not shown:
        return None
    kinds = list(dict.fromkeys(kind for _, analysis in shown for kind in analysis.errors))
    data = [
        {"row": part.id_of(row), "name": part.name(row), "kind": kind, "lost": rounded(lost)}
        | {"count": analysis.error_counts.get(kind)}
        for row, analysis in shown
        for kind, lost in analysis.errors.items()
        if lost is not None
    ]
    if not data:
        return None
    note = (
        "How much AP50 would rise were that kind of error mended, each by itself (TIDE: Bolya et "
        "al., ECCV 2020). The rises do not add up to what is missing."
    )
    note += limits
    return PageFigure("errors", "Kinds of errors", note, data, [("", _errors(kinds))])


def _errors(kinds: list[str]) -> Spec:
    import altair as alt

    chart: Chart = (
        alt.Chart(alt.NamedData(DATA))
        .mark_bar()
        .encode(
            y=alt.Y("name:N").title(None).sort(None).axis(labelLimit=320),
            yOffset=alt.YOffset("kind:N").scale(domain=kinds),
            x=alt.X("lost:Q").title("AP50 lost"),
            color=alt.Color("kind:N").title("Error").scale(domain=kinds, range=PALETTE),
            tooltip=[
                alt.Tooltip("name:N").title("Run"),
                alt.Tooltip("kind:N").title("Error"),
                alt.Tooltip("lost:Q").title("AP50 lost").format(".3f"),
                alt.Tooltip("count:Q").title("Count"),
            ],
        )
        .properties(height=alt.Step(11, **{"for": "offset"}))
    )
    return spec_of(chart, None)
