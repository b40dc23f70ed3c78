"""Studies, the searches that runs were trials of: what they came to, as text and as a figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

from odbench.errors import InputError
from odbench.records import StoredRun
from odbench.report.png import shrink

STUDY_FILE = "study.json"
STUDY_FIGURE = "study"  # stem of its figures

_INK, _PALE, _BEST = "#333333", "#999999", "#d1495b"
_DPI = 130

# Matplotlib is untyped here.
MplAxes: TypeAlias = Any


@dataclass(frozen=True)
class DrawnStudy:
    """A study in a report."""

    name: str
    text: str
    file: str  # of its figure, in the folder of figures


def draw_studies(runs: Sequence[StoredRun], folder: Path) -> list[DrawnStudy]:
    """Draw every study that the runs belong to into an existing folder.

    Raises:
        InputError: A ``study.json`` cannot be read.
    """
    places = dict.fromkeys(run.dir.resolve().parent for run in runs)
    found = [place for place in places if (place / STUDY_FILE).is_file()]
    drawn = []
    for number, place in enumerate(found, start=1):
        body = read_study(place)
        file = f"{STUDY_FIGURE}{f'_{number}' if len(found) > 1 else ''}.png"
        _figure(body, folder / file)
        drawn.append(DrawnStudy(place.name, summary(body), file))
    return drawn


def read_study(folder: Path) -> dict[str, Any]:
    """What a search left in its folder."""
    path = folder / STUDY_FILE
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    return body


def summary(body: dict[str, Any]) -> str:
    """The best trial, or the trials of which none is better in both objectives."""
    states = [trial["state"] for trial in body["trials"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    lines = [f"{len(states)} trials: {counts}"]
    if not body["best"]:
        return "\n".join([*lines, "no trial was complete: nothing is best"])
    names = _names(body)
    lines.append("no trial is better in both than these:" if len(names) > 1 else "best:")
    best = [trial for trial in body["trials"] if trial["number"] in body["best"]]
    lines += [f"  {trial_line(trial, names)}" for trial in best]
    return "\n".join(lines)


def trial_line(trial: dict[str, Any], names: Sequence[str]) -> str:
    """A trial in a line: what it reached with which parameters, or why it did not."""
    if trial["values"] is None:
        why = f": {trial['reason']}" if trial["reason"] else ""
        return f"trial {trial['number']}: {trial['state']}{why}"
    pairs = zip(names, trial["values"], strict=True)
    reached = ", ".join(f"{name} {value:.4g}" for name, value in pairs)
    given = " ".join(f"{key}={_short(value)}" for key, value in trial["params"].items())
    return f"trial {trial['number']}: {reached}: {given}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _names(body: dict[str, Any]) -> list[str]:
    return [objective["short"] for objective in body["objectives"]]


def _figure(body: dict[str, Any], path: Path) -> None:
    """One row of panels: each objective by trial, the front of two, what mattered."""
    from matplotlib.figure import Figure

    several, importances = len(body["objectives"]) > 1, body["importances"]
    count = len(body["objectives"]) + several + bool(importances)
    figure = Figure(figsize=(4.6 * count, 3.8), layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for place in range(len(body["objectives"])):
        _history(panels.pop(0), body, place)
    if several:
        _front(panels.pop(0), body)
    if importances:
        _importances(panels.pop(0), importances)
    figure.savefig(path, dpi=_DPI)
    shrink(path)


def _history(axes: MplAxes, body: dict[str, Any], place: int) -> None:
    objective = body["objectives"][place]
    complete = [trial for trial in body["trials"] if trial["values"] is not None]
    numbers = [trial["number"] for trial in complete]
    values = [trial["values"][place] for trial in complete]
    better = max if objective["better"] == "higher" else min
    axes.scatter(numbers, values, s=26, color=_INK, label="complete")
    axes.step(numbers, list(accumulate(values, better)), where="post", color=_BEST, label="best")
    others = [t["number"] for t in body["trials"] if t["state"] in ("pruned", "fail")]
    if others:  # along the lower edge: they have no value
        axes.plot(
            others, [0.02] * len(others), "x", color=_PALE, transform=axes.get_xaxis_transform(),
            label="pruned or failed",
        )  # fmt: skip
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{objective['short']}; {objective['better']} is better")
    axes.legend(fontsize=8)


def _front(axes: MplAxes, body: dict[str, Any]) -> None:
    for trial in body["trials"]:
        if trial["values"] is not None:
            best = trial["number"] in body["best"]
            axes.scatter(*trial["values"], s=30, color=_BEST if best else _PALE)
            if best:
                axes.annotate(str(trial["number"]), trial["values"], fontsize=8)
    x, y = body["objectives"]
    axes.set_xlabel(f"{x['short']}; {x['better']} is better")
    axes.set_ylabel(f"{y['short']}; {y['better']} is better")
    axes.set_title("red: none is better in both", fontsize=9)


def _importances(axes: MplAxes, importances: dict[str, dict[str, float]]) -> None:
    keys = sorted({key for shares in importances.values() for key in shares}, reverse=True)
    height = 0.8 / len(importances)
    for row, (name, shares) in enumerate(importances.items()):
        places = [number + row * height for number in range(len(keys))]
        colour = (_INK, _BEST)[row % 2]
        axes.barh(places, [shares.get(k, 0) for k in keys], height, label=name, color=colour)
    axes.set_yticks(range(len(keys)), [key.rpartition(".")[2] for key in keys])
    axes.set_xlabel("importance (PED-ANOVA), share of 1")
    axes.legend(fontsize=8)
