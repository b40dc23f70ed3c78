r"""The variants of a comparison as LaTeX tables, for ``\input``; they need the package booktabs."""

from __future__ import annotations

import re

from odbench.report.columns import Column
from odbench.report.comparison import Comparison, Group
from odbench.report.flags import NOTES, marks
from odbench.report.summaries import MAX_VARIANTS, Cell, summary
from odbench.report.text import DASH
from odbench.report.variants import variants

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    DASH: "--",
} | {char: f"\\{char}" for char in "&%$#_{}"}
_TO_ESCAPE = re.compile("|".join(map(re.escape, _SPECIAL)))


def render_latex(comparison: Comparison) -> str:
    r"""Write a ``table`` environment for each group of comparable runs."""
    head = "% Needs \\usepackage{booktabs}. Numbers, units and flags are those of report.md.\n"
    return head + "\n".join(_table(group) for group in comparison.groups)


def latex_escape(text: str) -> str:
    """Write a text on one line so that LaTeX sets it as it is."""
    return _TO_ESCAPE.sub(lambda found: _SPECIAL[found[0]], " ".join(text.split()))


def _table(group: Group) -> str:
    found = summary(group)
    columns = found.columns
    cells = [[_cell(cell) for cell in column] for column in found.cells]
    rows = [
        " & ".join([latex_escape(v.label), str(len(v.rows)), *(column[n] for column in cells)])
        for n, v in enumerate(found.variants)
    ]
    headings = " & ".join(["Variant", "Runs", *(_heading(column) for column in columns)])
    body = "\n".join(f"    {row} \\\\" for row in rows)
    return f"""\\begin{{table}}
  \\centering
  \\caption{{{_caption(group, len(variants(group)))}}}
  \\begin{{tabular}}{{l{"r" * (len(columns) + 1)}}}
    \\toprule
    {headings} \\\\
    \\midrule
{body}
    \\bottomrule
  \\end{{tabular}}
\\end{{table}}
"""


def _heading(column: Column) -> str:
    return latex_escape(column.heading)


def _cell(cell: Cell) -> str:
    text = latex_escape(cell.text)
    if cell.best:
        text = f"\\textbf{{{text}}}"
    if cell.tied:
        text += "$^{=}$"
    return f"{text} {{\\scriptsize {latex_escape(cell.between)}}}" if cell.between else text


def _caption(group: Group, count: int) -> str:
    flags = {flag for row in group.rows for flag in row.flags}
    notes = "; ".join(f"{marks([flag])} {NOTES[flag].meaning}" for flag in NOTES if flag in flags)
    text = latex_escape(
        f"{group.title}; {group.common.software}; protocol {group.common.protocol_version}. "
        "Small: 95 % intervals of the mean over repeats, of the AP of fewer over images. "
        "Bold: the best of a column."
    )
    if count > MAX_VARIANTS:
        text += f" The first {MAX_VARIANTS} of {count} variants."
    text += " $^{=}$: no difference from it was shown."
    return f"{text} {latex_escape(notes)}." if notes else text
