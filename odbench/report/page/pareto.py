"""AP against whatever it costs, with the runs that nothing betters in both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from odbench.report.columns import COLUMNS, Column
from odbench.report.page.figure import (
    DATA,
    PALETTE,
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

MAX_POINTS = 200
_KEY, _HEADING = "KEY_OF_COLUMN", "HEADING_OF_COLUMN"
_AP = next(column for column in COLUMNS if column.key == "ap")

# What is shown in another unit than its metric's.
_PER = {"size": 1e6, "peak_ram": 1e6, "peak_gpu": 1e6, "parameters": 1e6, "energy": 1e3}


def pareto(part: Part, columns: Sequence[Column]) -> PageFigure | None:
    """AP against each cost that at least one run has; None where there is no AP."""
    rows = part.by_ap
    costs = [c for c in columns if _is_cost(c) and any(c.value(row) is not None for row in rows)]
    if not rows or not costs:
        return None
    costs.sort(key=lambda column: column.key != "latency_p50")
    fronts = {column.key: front(rows, column) for column in costs}
    on_any = {name for names in fronts.values() for name in names}
    shown = sorted(rows, key=lambda row: row.key not in on_any)[:MAX_POINTS]
    one_model = len({row.record.model for row in shown}) == 1
    by_name = one_model and len(shown) <= len(PALETTE)
    data = [_datum(part, row, costs, fronts, by_name=by_name) for row in shown]
    note = (
        "Up and to the left is better. The line joins the runs that no other one equals in both "
        "and betters in one; flagged runs are hollow and not on it."
    )
    if len(shown) < len(rows):
        note += f" {len(shown)} of {len(rows)} runs: those on a line, then the highest AP."
    words = [{_KEY: column.key, _HEADING: column.heading} for column in costs]
    specs = variations(_spec(data, "Run" if by_name else "Model"), *words)
    labelled = [(column.heading, spec) for column, spec in zip(costs, specs, strict=True)]
    return PageFigure("pareto", "AP against cost", note, data, labelled, "Cost")


def front(rows: Iterable[Variant], column: Column) -> list[str]:
    """Keys of those that no other unflagged one betters, cheapest first."""
    clean = [
        (value, -(_AP.value(row) or 0.0), row.key)
        for row in rows
        if row.ok
        and not column.flags(row)
        and not _AP.flags(row)
        and (value := column.value(row)) is not None
    ]
    found: list[tuple[float, float, str]] = []
    for point in sorted(clean):
        if not found or point[1] < found[-1][1] or point[:2] == found[-1][:2]:
            found.append(point)
    return [name for _, _, name in found]


def _is_cost(column: Column) -> bool:
    return column.better == "lower" or column.key == "parameters"


def _datum(
    part: Part,
    row: Variant,
    costs: Sequence[Column],
    fronts: dict[str, list[str]],
    *,
    by_name: bool,
) -> Datum:
    name = part.name(row)
    found: Datum = {"row": part.id_of(row), "name": name}
    found["colour"] = name if by_name else row.record.model
    found["ap"] = rounded(_AP.value(row))
    for column in costs:
        value = column.value(row)
        found[column.key] = None if value is None else rounded(value / _PER.get(column.key, 1.0))
        if row.key in fronts[column.key]:
            found[f"front_{column.key}"] = 1
        if not row.ok or column.flags(row) or _AP.flags(row):
            found[f"flagged_{column.key}"] = 1
    return found


def _spec(data: Sequence[Datum], colour_of: str) -> Spec:
    """With what stands for a column's key and heading."""
    import altair as alt

    models = list(dict.fromkeys(datum["colour"] for datum in data))
    key = _KEY
    base: Any = alt.Chart(alt.NamedData(DATA)).transform_filter(f"isValid(datum['{key}'])")
    x = alt.X(f"{key}:Q").title(f"{_HEADING}; left is better").scale(zero=False, padding=18)
    y = alt.Y("ap:Q").title("AP; higher is better").scale(zero=False, padding=18)
    line = (
        base.transform_filter(f"datum['front_{key}']")
        .mark_line(interpolate="step-after", color="#8A8A8A", strokeDash=[4, 3])
        .encode(x=x, y=y, order=alt.Order(f"{key}:Q"))
    )
    tooltip = [
        alt.Tooltip("name:N").title("Run"),
        alt.Tooltip("ap:Q").title("AP").format(".3f"),
        alt.Tooltip(f"{key}:Q").title(_HEADING),
    ]
    scale = alt.Scale(domain=models, **colours(len(models)))
    colour: Any = alt.Color("colour:N").title(colour_of).scale(scale)
    if len(models) > 20:
        colour = alt.value("#0072B2")
    points = base.mark_point(size=110, strokeWidth=2).encode(
        x=x,
        y=y,
        stroke=colour,
        fill=colour,
        fillOpacity=alt.condition(f"datum['flagged_{key}']", alt.value(0), alt.value(0.85)),
        tooltip=tooltip,
    )
    named = base.transform_filter(f"datum['front_{key}']").mark_text(
        align="left", dx=9, dy=-9, limit=260
    )
    return spec_of(alt.layer(line, points, named.encode(x=x, y=y, text="name:N")), 420)
