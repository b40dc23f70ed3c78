"""In what the pipeline configurations of the best runs differ from the recommended one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from odbench.errors import OdbenchError
from odbench.report.page.parts import Part
from odbench.report.question import Answer
from odbench.report.text import DASH, shorten

PIPELINE_FILE = "pipeline.config"

MAX_OTHERS = 8
MAX_FIELDS = 40
_VALUE_LENGTH = 120


def differences(part: Part, answer: Answer) -> dict[str, Any] | None:
    """What the template shows: the first runs by AP, each against the recommended one."""
    chosen = answer.chosen
    if chosen is None:
        return None
    base = chosen.row.run.dir / PIPELINE_FILE
    others = [v for v in part.best_first if chosen.row.record.run_id not in _ids(v)]
    others = [v for v in others if (v.counted[0].run.dir / PIPELINE_FILE).is_file()]
    if not base.is_file():
        return None
    found = []
    for variant in others[:MAX_OTHERS]:
        changes = _changes(base, variant.counted[0].run.dir / PIPELINE_FILE)
        if changes:
            found.append(
                {
                    "name": variant.label,
                    "count": len(changes),
                    "changes": changes[:MAX_FIELDS],
                }
            )
    if not found:
        return None
    more = len(others) > MAX_OTHERS
    return {
        "heading": part.group.title,
        "base": chosen.row.label,
        "note": f" The first {MAX_OTHERS} of {len(others)} by AP." if more else "",
        "others": found,
    }


def _ids(variant: Any) -> set[str]:
    return {row.record.run_id for row in variant.rows}


def _changes(base: Path, other: Path) -> list[tuple[str, str, str]]:
    """Path, value of the one, value of the other; paths of this machine's files are no difference.

    Nothing where one of the two cannot be read: a record is reported without its configuration.
    """
    from odbench.pipeline.diff import diff_protos
    from odbench.pipeline.read import read_pipeline

    try:
        changes = diff_protos(read_pipeline(base), read_pipeline(other))
    except OdbenchError:
        return []
    return [
        (change.path, _text(change.old), _text(change.new))
        for change in changes
        if not change.path.endswith(("_path", "input_path[0]", "fine_tune_checkpoint"))
    ]


def _text(value: Any) -> str:
    if value is None:
        return DASH
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shorten(text, _VALUE_LENGTH)
