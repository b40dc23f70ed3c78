"""``render_page``: the whole report as one HTML file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from odbench.report.columns import Column
from odbench.report.comparison import Comparison
from odbench.report.conditions import conditions
from odbench.report.flags import NOTES
from odbench.report.markdown import reproduce
from odbench.report.page.answers import answer_words
from odbench.report.page.changes import differences
from odbench.report.page.columns import page_columns
from odbench.report.page.figure import PageFigure
from odbench.report.page.pareto import pareto
from odbench.report.page.parts import Part, parts_of
from odbench.report.page.pictures import data_uri, seen_pictures
from odbench.report.page.quality import confusion, errors, per_class, precision_recall
from odbench.report.page.scripts import (
    OWN,
    TEMPLATES,
    figure_library,
    inline,
    own_script,
    policy,
    style,
)
from odbench.report.page.table import TESTED, ended_badly, table_data
from odbench.report.page.training import batch_scaling, curves, stage_times
from odbench.report.published import HEADINGS, published_note, published_rows
from odbench.report.question import Answer, Question
from odbench.report.text import DASH

MAX_ANSWERS = 3  # groups whose answer is shown in full
MAX_PARTS = 3  # groups whose figures are drawn
MAX_CONDITIONS = 12
MAX_FAILED = 100
MAX_COMMANDS = 50


def render_page(
    comparison: Comparison,
    question: Question,
    answers: Sequence[Answer],
    title: str,
    base: Path,
    *,
    studies: Sequence[tuple[str, str, Path]] = (),
) -> str:
    """Write the page.

    Args:
        comparison: What is reported.
        question: What is asked.
        answers: To it, one of each group.
        title: Of the report.
        base: Its folder: paths of records are relative to it.
        studies: Searches that runs were trials of: name, what it came to, PNG of its figure.
    """
    parts = parts_of(comparison)
    columns = page_columns(question.training, question.price_per_hour)
    drawn = [(part, _figures(part, columns)) for part in parts[:MAX_PARTS]]
    figures = [figure for _, found in drawn for figure in found]
    scripts = [inline(text) for text in _scripts(bool(figures))]
    table = table_data(comparison, parts, columns, base)
    sections = {
        **answer_words(question, answers[:MAX_ANSWERS]),
        "hidden_answers": len(answers) - min(MAX_ANSWERS, len(answers)),
        **_figure_words(drawn, len(parts)),
        "studies": [
            (name, text, data_uri(path.read_bytes(), "png")) for name, text, path in studies
        ],
        **seen_pictures(parts[:MAX_PARTS], comparison.rows),
        "differences": [
            found
            for part, answer in zip(parts[:MAX_PARTS], answers, strict=False)
            if (found := differences(part, answer)) is not None
        ],
        **_details(comparison, parts),
    }
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            summary=comparison.summary,
            style=style(),
            policy=policy(scripts),
            scripts=scripts,
            table_json=as_script(table),
            figure_json=as_script([f.as_json(n) for n, f in enumerate(figures, start=1)]),
            count=_count(comparison, parts),
            caption="What was measured, one configuration a row",
            group_titles=table["groups"],
            legend=[(NOTES[f].mark, f"{f}: {NOTES[f].meaning}") for f in comparison.flags],
            tested=TESTED,
            contents=_contents(sections),
            **sections,
        )
    )


def as_script(value: Any) -> str:
    """Write JSON so that nothing in it can end the script element that it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
    )


def _scripts(with_figures: bool) -> list[str]:
    """The table's script first: it works even where the figures' do not."""
    table, figures = (own_script(name) for name in OWN)
    if not with_figures:
        return [table]
    return [table, f"(()=>{{{figure_library()}}})();", figures]


def _figures(part: Part, columns: Sequence[Column]) -> list[PageFigure]:
    made = [
        pareto(part, columns),
        curves(part),
        stage_times(part),
        batch_scaling(part),
        per_class(part),
        precision_recall(part),
        confusion(part),
        errors(part),
    ]
    return [figure for figure in made if figure is not None]


def _figure_words(drawn: Sequence[tuple[Part, Sequence[PageFigure]]], of: int) -> dict[str, Any]:
    """What of the figures stands in the page itself."""
    words, number = [], 0
    for part, figures in drawn:
        shown = []
        for figure in figures:
            number += 1
            shown.append(
                {
                    "id": f"figure-{number}",
                    "title": figure.title,
                    "note": figure.note,
                    "choice": figure.choice,
                    "options": [label for label, _ in figure.specs],
                }
            )
        if shown:
            words.append({"heading": part.group.title if of > 1 else "", "figures": shown})
    return {"parts": words, "hidden_parts": max(0, of - len(drawn))}


def _details(comparison: Comparison, parts: Sequence[Part]) -> dict[str, Any]:
    failed = [row for row in comparison.rows if not row.ok]
    variants = [variant for part in parts for variant in part.variants]
    several = len(parts) > 1
    return {
        "failed": [
            {"name": r.label, "after": f"{r.record.wall_s:.0f}", "reason": ended_badly(r.record)}
            for r in failed[:MAX_FAILED]
        ],
        "failed_more": max(0, len(failed) - MAX_FAILED),
        "conditions": [
            {
                "heading": part.group.title if several else "",
                "facts": conditions(part.group),
                "splits": _splits(part),
            }
            for part in parts[:MAX_CONDITIONS]
        ],
        "conditions_more": max(0, len(parts) - MAX_CONDITIONS),
        "published": [
            (
                part.group.title,
                [row.texts for row in rows[:MAX_COMMANDS]],
                published_note(part.group),
            )
            for part in parts[:MAX_CONDITIONS]
            if (rows := published_rows(part.group))
        ],
        "published_headings": HEADINGS,
        "commands": [(v.label, reproduce(v.record.overrides)) for v in variants[:MAX_COMMANDS]],
        "commands_more": max(0, len(variants) - MAX_COMMANDS),
    }


def _splits(part: Part) -> list[tuple[str, int, int | str]]:
    dataset = part.group.rows[0].record.dataset
    return [(name, count, dataset.boxes.get(name, DASH)) for name, count in dataset.images.items()]


def _count(comparison: Comparison, parts: Sequence[Part]) -> str:
    runs, variants = len(comparison.rows), sum(len(part.variants) for part in parts)
    if runs == variants:
        return f"{runs:,} run{'s' if runs > 1 else ''}"
    return f"{variants:,} configurations of {runs:,} runs"


def _contents(sections: dict[str, Any]) -> list[tuple[str, str]]:
    """Anchors and words of the sections that are there."""
    found = [("table", "Table")]
    named = (
        ("parts", "figures", "Figures"),
        ("studies", "studies", "Searches"),
        ("pictures", "pictures", "Pictures"),
        ("differences", "differences", "Configuration"),
        ("failed", "failed", "Failures"),
    )
    found += [(anchor, words) for key, anchor, words in named if sections[key]]
    return [*found, ("conditions", "Measured with"), ("again", "Run it again")]
