"""Variants in tables of LaTeX and Markdown: intervals, the best and what is tied with it."""

import re
from pathlib import Path

from factories import make_record
from variant_records import repeated_runs, with_draws

from odbench.records import StoredRun
from odbench.report.comparison import compare
from odbench.report.latex import latex_escape, render_latex
from odbench.report.markdown import variants_table
from odbench.report.text import DASH


def comparison_of(*records):
    return compare([StoredRun(r, Path("runs") / r.run_id) for r in records])


def three():
    draws = [0.40 + 0.02 * (n % 5) for n in range(40)]
    return comparison_of(
        with_draws(make_record(name="best_one", ap=0.45, latency_s=0.05), draws),
        with_draws(make_record(name="like", ap=0.44, latency_s=0.02), draws[::-1]),
        *repeated_runs([0.1, 0.2, 0.3], name="poor"),
    )


def test_latex_has_intervals_ties_and_the_best():
    lines = render_latex(three()).splitlines()
    rows = {line.split(" & ")[0].strip(): line.split(" & ") for line in lines if " & " in line}
    assert list(rows) == ["Variant", r"best\_one", "like", "poor"]
    assert rows[r"best\_one"][2] == r"\textbf{0.450} {\scriptsize 0.400--0.480}"
    assert rows["like"][2].startswith("0.440$^{=}$ {")
    assert rows["poor"][1] == "3"
    assert re.fullmatch(r"0.200 \{\\scriptsize 0.000--0.448\}", rows["poor"][2])
    assert sum("begin{table}" in line for line in lines) == 1
    assert all(line.endswith(r"\\") for line in lines if " & " in line)


def test_latex_sets_every_character_as_it_is():
    assert latex_escape("a_b 50% & {x} #1 ~^ \\ <$>") == (
        r"a\_b 50\% \& \{x\} \#1 \textasciitilde{}\textasciicircum{} \textbackslash{} "
        r"\textless{}\$\textgreater{}"
    )
    text = render_latex(comparison_of(make_record(name="100% & more")))
    assert r"100\% \& more & 1 &" in text


def test_markdown_shows_variants_where_they_say_more_than_the_runs():
    text = variants_table(three().groups[0])
    assert f"| best_one | 1 | **0.450** (0.400{DASH}0.480) |" in text
    assert f"| like | 1 | 0.440 = (0.400{DASH}0.480) |" in text
    assert variants_table(comparison_of(make_record(ap=0.4)).groups[0]) is None
