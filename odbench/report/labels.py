"""How figures show runs: names in short lines with the marks of their flags, colours, lines.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart with any colour
vision.
"""

from __future__ import annotations

import re

from odbench.report.comparison import Group, Row
from odbench.report.flags import marks
from odbench.results import Flag

# Okabe and Ito, without the yellow that is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ("-", "--", ":")


def run_styles(group: Group) -> dict[str, tuple[str, str]]:
    """Return colour and line style by label, the same in every figure of a group."""
    return {
        row.label: (COLOURS[n % len(COLOURS)], _DASHES[n // len(COLOURS) % len(_DASHES)])
        for n, row in enumerate(group.rows)
    }


def run_name(row: Row, concerned: frozenset[Flag], width: int) -> str:
    """Write a row's label with the marks of the flags that concern a figure, in short lines."""
    marked = marks(flag for flag in row.flags if flag in concerned)
    status = "" if row.ok else f"({row.record.status})"
    # No-break spaces keep the marks beside the end of the name.
    text = "\u00a0".join(part for part in (row.label, status, marked) if part)
    return "\n".join(plain(line) for line in wrap(text, width))


def wrap(text: str, width: int) -> list[str]:
    """Break a name into at most three lines: between words, else behind ``_``, ``,`` and ``=``."""
    lines = [""]
    for word in text.split(" "):
        for number, piece in enumerate(_pieces(word, width)):
            space = " " if number == 0 and lines[-1] else ""
            if lines[-1] and len(lines[-1] + space + piece) > width:
                lines.append(piece)
            else:
                lines[-1] += space + piece
    return lines if len(lines) <= 3 else [*lines[:2], lines[2] + "…"]


def _pieces(word: str, width: int) -> list[str]:
    if len(word) <= width:
        return [word]
    joined = re.split(r"(?<=[_,=/])", word)
    return [part[start : start + width] for part in joined for start in range(0, len(part), width)]


def plain(text: str) -> str:
    """Write a text so that Matplotlib shows it as it is."""
    # A dollar sign would begin a formula, and a legend leaves out what begins with "_".
    escaped = text.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped
