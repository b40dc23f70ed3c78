"""Markdown's own marks: escaping, tables, code, links."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

# An underscore inside a word is no mark, and names are full of them; brackets are one only
# before a parenthesis, since a report defines no link references.
_SPECIAL = re.compile(r"[\\`*<>&|~]|\](?=\()|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def escape(text: str) -> str:
    """Write a text on one line so that Markdown shows it as it is."""
    return _SPECIAL.sub(lambda match: "\\" + match.group(), " ".join(text.split()))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Lay out a table of ready cells; ``right`` says which columns are aligned to the right."""
    rule = ["---:" if aligned else "---" for aligned in right]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows))


def code(text: str, language: str = "") -> str:
    """Write a block of code behind a fence that is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def link(text: str, path: str) -> str:
    """Link a text to a relative path."""
    return f"[{escape(text)}]({quote(path)})"
