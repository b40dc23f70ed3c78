"""Changes between two sides of runs as text, as Markdown for a pull request, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from odbench.report.changes import Apart, Change, Changes, Pair
from odbench.report.differences import BOOTSTRAP
from odbench.report.markup import escape, table
from odbench.report.text import DASH, significant
from odbench.report.variants import Variant

CHANGES_SCHEMA_VERSION = 1

_HEADINGS = ("Metric", "Before", "After", "Change", "95 % interval", "Verdict")
_NAMES = 8


def headline(changes: Changes) -> str:
    """How many variants were compared, what became worse, and what could not be judged."""
    count, worse = len(changes.pairs), changes.regressions
    text = f"{count} variant{'s' if count != 1 else ''} compared: "
    if worse:
        found = []
        for pair in worse:
            names = [c.metric.short for c in pair.changes if c.regression]
            names += ["no longer ends well"] if pair.broke else []
            found.append(f"{pair.after.label} ({', '.join(names)})")
        text += f"{len(worse)} with a regression: {_listed(found)}"
    else:
        text += "no regression was shown" if changes.unjudged else "no regression"
    if changes.unjudged:
        left = [
            f"{pair.after.label} ({'; '.join(map(_unjudged, pair.unjudged))})"
            for pair in changes.unjudged
        ]
        text += f", but not everything could be judged: {_listed(left)}"
    return f"{text}." if changes.pairs else "Nothing could be compared."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _unjudged(change: Change) -> str:
    return f"{change.metric.short}, {change.tested.method}"


def render_changes(changes: Changes) -> Stack:
    """Lay the changes out for a terminal."""
    parts: list[RenderableType] = [Text(headline(changes), style="bold")]
    for pair in changes.pairs:
        parts.append(Text(f"\n{_title(pair)}", style="underline"))
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, heading in enumerate((*_HEADINGS, "By")):
            shown.add_column(heading, justify="right" if 1 <= number <= 4 else "left")
        for change in pair.changes:
            style = "red" if change.regression else ""
            shown.add_row(*map(Text, (*_cells(change), change.tested.method)), style=style)
        parts.append(shown)
    parts += [Text(f"- {line}") for line in _notes(changes)]
    return Stack(*parts)


def changes_markdown(changes: Changes) -> str:
    """Write the changes for a pull request."""
    lines = [f"**{escape(headline(changes))}**"]
    right = [False, True, True, True, True, False]
    for pair in changes.pairs:
        rows = [[_emphasised(change, cell) for cell in _cells(change)] for change in pair.changes]
        lines += [f"#### {escape(_title(pair))}", table(_HEADINGS, rows, right)]
    lines.append("\n".join(f"- {escape(line)}" for line in _notes(changes)))
    return "\n\n".join(line for line in lines if line) + "\n"


def changes_json(changes: Changes) -> dict[str, Any]:
    """Everything that the text says, with full numbers in the metrics' units."""
    return {
        "schema_version": CHANGES_SCHEMA_VERSION,
        "regression": bool(changes.regressions),
        "judged": bool(changes.pairs) and not changes.unjudged,
        "summary": headline(changes),
        "bounds": [
            {
                "metric": bound.metric.key,
                "limit": bound.limit,
                "relative": bound.relative,
                "tested": bound.tested,
            }
            for bound in changes.bounds
        ],
        "pairs": [_pair_json(pair) for pair in changes.pairs],
        "not_comparable": [
            _named(entry) | {"differing": {k: list(v) for k, v in entry.differing.items()}}
            for entry in changes.apart
        ],
        "only_before": [_variant(variant) for variant in changes.only_before],
        "only_after": [_variant(variant) for variant in changes.only_after],
    }


def _title(pair: Pair) -> str:
    names = dict.fromkeys((pair.before.label, pair.after.label))
    counts = f"{len(pair.before.rows)} and {len(pair.after.rows)}"
    several = max(len(pair.before.rows), len(pair.after.rows)) > 1
    repeats = f", {counts} repeats" if several else ""
    return f"{' to '.join(names)} on {pair.common.hardware}{repeats}"


def _cells(change: Change) -> list[str]:
    show, unit = change.metric.show, change.metric.unit
    values = [DASH if v is None else show(v) for v in (change.before, change.after)]
    if change.delta is None:
        return [change.metric.short, *values, DASH, DASH, change.word]
    scale = 1e-6 if unit == "bytes" else 1.0
    share = f" ({change.relative * 100:+.1f} %)" if change.relative is not None else ""
    between = DASH
    if change.tested.low is not None and change.tested.high is not None:
        between = f"{_signed(change.tested.low * scale)} to {_signed(change.tested.high * scale)}"
    word = f"{change.word}, beyond the bound" if change.regression else change.word
    return [change.metric.short, *values, f"{_signed(change.delta * scale)}{share}", between, word]


def _signed(value: float) -> str:
    return ("+" if value > 0 else "-" if value < 0 else "") + significant(abs(value))


def _emphasised(change: Change, cell: str) -> str:
    return f"**{escape(cell)}**" if change.regression else escape(cell)


def _notes(changes: Changes) -> Iterator[str]:
    yield f"A regression: worse in {', or '.join(bound.text for bound in changes.bounds)}."
    for pair in changes.pairs:
        if pair.broke:
            record = pair.after.record
            yield f"{pair.after.label} no longer ends well: {record.status}: {record.reason}."
    single = [p for p in changes.pairs if min(len(p.before.counted), len(p.after.counted)) == 1]
    if any(change.tested.method == BOOTSTRAP for pair in single for change in pair.changes):
        yield (
            "Of single runs the interval of AP is over images alone: the same command run again "
            "may differ by more. repeats=3 on both sides covers that; runtime=deterministic "
            "avoids it."
        )
    for entry in changes.apart:
        what = "; ".join(f"{k} ({one} / {other})" for k, (one, other) in entry.differing.items())
        yield f"Not compared, not comparable: {entry.after.label}: {what}."
    for side, only in (("before", changes.only_before), ("after", changes.only_after)):
        if only:
            names = ", ".join(variant.label for variant in only[:_NAMES])
            more = f" and {len(only) - _NAMES} more" if len(only) > _NAMES else ""
            yield f"Only {side}: {names}{more}."


def _pair_json(pair: Pair) -> dict[str, Any]:
    return _named(pair) | {
        "common": pair.common._asdict(),
        "regression": pair.regression,
        "no_longer_ends_well": pair.broke,
        "changes": [
            {
                "metric": change.metric.key,
                "unit": change.metric.unit,
                "better": change.metric.better,
                "before": change.before,
                "after": change.after,
                "delta": change.delta,
                "relative": change.relative,
                "verdict": change.word,
                "regression": change.regression,
                "judged": not change.unjudged,
                "method": change.tested.method,
                "difference": change.tested.difference,
                "low": change.tested.low,
                "high": change.tested.high,
                "p_value": change.tested.p_value,
            }
            for change in pair.changes
        ],
    }


def _named(entry: Pair | Apart) -> dict[str, Any]:
    return {"before": _variant(entry.before), "after": _variant(entry.after)}


def _variant(variant: Variant) -> dict[str, Any]:
    return {
        "variant": variant.record.variant,
        "label": variant.label,
        "runs": [row.record.run_id for row in variant.rows],
    }
