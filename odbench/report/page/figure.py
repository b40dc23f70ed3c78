"""What a figure of the page is: Vega-Lite specifications with one body of data.

Specifications are made by Altair with named data, so that a figure with several choices (which
cost, which class) carries its data once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

# Altair's charts are of many types that have no common useful one.
Chart: TypeAlias = Any
Spec: TypeAlias = dict[str, Any]
Datum: TypeAlias = dict[str, Any]

# Okabe and Ito without yellow and black, which are lost on white and on black; then a grey.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8A8A8A"]

DATA = "rows"  # name of a figure's data
MAX_LINES = 12
MAX_BARS = 30
HEIGHT = 340


@dataclass(frozen=True)
class PageFigure:
    """One figure. Data with a ``row`` follow what is picked in the table."""

    key: str
    title: str
    note: str  # what a reader must know, limits included
    data: list[Datum]
    specs: list[tuple[str, Spec]]  # by the words of the choice; one alone is no choice
    choice: str = ""  # what is chosen
    more: dict[str, list[Datum]] = field(default_factory=dict)  # other data by name

    def as_json(self, number: int) -> dict[str, Any]:
        """What ``figures.js`` draws it from."""
        return {
            "id": f"figure-{number}",
            "title": self.title,
            "data": {DATA: self.data, **self.more},
            "specs": [{"label": label, "spec": spec} for label, spec in self.specs],
        }


def spec_of(chart: Chart, height: int | None = HEIGHT) -> Spec:
    """Turn a chart into a specification as wide as the page, without checking it again."""
    if height is not None:
        chart = chart.properties(height=height)
    found: Spec = chart.properties(width="container").to_dict(validate=False)
    for unneeded in ("$schema", "config", "usermeta"):
        found.pop(unneeded, None)
    return found


def variations(spec: Spec, *stands_for: dict[str, str]) -> list[Spec]:
    """The same specification with other texts in it: building one takes a tenth of a second.

    Args:
        spec: With texts that stand for others.
        stands_for: What each of them stands for, a mapping for every specification wanted.
    """
    found = []
    for words in stands_for:
        text = json.dumps(spec)
        for placeholder, word in words.items():
            text = text.replace(placeholder, json.dumps(word)[1:-1])
        found.append(json.loads(text))
    return found


def colours(count: int) -> dict[str, Any]:
    """Colours for so many series, as arguments of an ``alt.Scale``."""
    return {"range": PALETTE} if count <= len(PALETTE) else {"scheme": "tableau20"}


def rounded(value: float | None, digits: int = 4) -> float | None:
    """So many significant digits: more cannot be seen, and the file stays small."""
    return None if value is None else float(f"{value:.{digits}g}")
