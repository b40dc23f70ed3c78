import html
import shlex

import pytest
from factories import gpu_changes, make_eval, make_failed, make_record, store_record
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from variant_records import repeated_runs

from odbench.report.comparison import compare
from odbench.report.figures import Drawing
from odbench.report.markdown import per_class_table, render_markdown, reproduce
from odbench.report.markup import code, escape
from odbench.results import Stage, Status

HARDWARE = "CPU Intel(R) Xeon(R) Processor, 2 cores"


def render(records, tmp_path, title="Title"):
    comparison = compare([store_record(record, tmp_path) for record in records])
    drawings = [Drawing("Drawn", "drawn.png", "Note."), Drawing("Other", None, "not drawn: why.")]
    return render_markdown(comparison, [drawings for _ in comparison.groups], title, tmp_path)


def tables(text):
    """Every table as a list of rows of cells, read by a Markdown parser."""
    found, row = [], []
    for token in MarkdownIt().enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            row = []
        elif token.type == "inline":
            row.append("".join(child.content for child in token.children))
        elif token.type == "tr_close":
            found[-1].append(row)
            row = []
    return found


def test_results_table(tmp_path):
    text = render(
        [
            make_record(name="good", ap=0.5, step_s=0.1),
            make_record(name="short", ap=0.6, batch_size=4, measured_steps=30),
            make_failed(name="bad"),
        ],
        tmp_path,
    )
    head, good, short, bad = tables(text)[0]
    assert head[:5] == ["Run", "Model", "Batch size", "AP", "AP50"]
    assert head[5] == "1000-step train time (s)"
    assert "Peak GPU memory (MB)" not in head
    assert {len(row) for row in (good, short, bad)} == {len(head)}
    assert [row[0] for row in (good, short, bad)] == ["good", "short", "bad"]
    assert "projected from 30 steps) [p]" in short[5]
    assert bad[3:-1] == ["\u2013"] * (len(head) - 4)
    assert bad[-1] == "oom in train: memory ran out"
    assert "**0.600**" in text


def test_the_report_says_what_it_is_about(tmp_path):
    text = render([make_record(), make_failed(Status.timeout, name="bad")], tmp_path, "My *runs*")
    assert text.startswith(r"# My \*runs\*")
    assert f"\n2 runs (1 ok, 1 timeout), on {HARDWARE}.\n" in text
    for part in (
        "tensorflow 2.21.0",
        "numpy 2.4.6",
        "16.0 GB RAM",
        "zero_area_box: 2",
        "4f0c9a6be1d2",
        "| train | 512 | 1532 |",
        "| val | 64 | 190 |",
        "first step, 10 warm-up and 1000 measured steps",
        "10 warm-up and 100 measured calls, batch 1",
        "Student's t",
        "(0123abc)",
    ):
        assert part in text, part


def test_every_table_of_numbers_names_its_hardware(tmp_path):
    text = render([make_record(), make_record(name="b", **gpu_changes())], tmp_path)
    for heading in ("## Results", "## AP by class"):
        section = text.split(heading)[1].split("\n## ")[0]
        parts = section.split("\n### ")[1:]
        assert [part.count("Measured on") for part in parts] == [1, 1]
        assert {part.split("Measured on ")[1].split(";")[0] for part in parts} == {
            HARDWARE,
            "NVIDIA A10G",
        }


def test_figures_are_shown_or_missed(tmp_path):
    text = render([make_record()], tmp_path)
    assert f"![Drawn, shapes on {HARDWARE}](figures/drawn.png)\n\nDrawn. Note.\n" in text
    assert "\nOther not drawn: why.\n" in text


def test_the_legend_holds_the_flags_that_occur_and_no_others(tmp_path):
    text = render([make_record(measured_steps=30)], tmp_path)
    assert "- [p] projection: " in text
    assert "few_samples" not in text
    (tmp_path / "clean").mkdir()
    assert "Flags beside a number" not in render([make_record()], tmp_path / "clean")


def test_reasons_are_given_whole(tmp_path):
    text = render([make_failed(reason="first\n```\nlast | <b>", name="bad")], tmp_path)
    assert "**bad**: oom in train, after 140 s." in text
    assert "````\nfirst\n```\nlast | <b>\n````" in text
    (tmp_path / "clean").mkdir()
    assert "did not end well\n" not in render([make_record()], tmp_path / "clean")


def test_what_varies_is_a_table(tmp_path):
    text = render([make_record(batch_size=4), make_record(batch_size=8)], tmp_path)
    varying = next(table for table in tables(text) if table[0] == ["Run", "train.batch_size"])
    assert sorted(row[1] for row in varying[1:]) == ["4", "8"]
    (tmp_path / "one").mkdir()
    assert "No parameter differs" in render([make_record()], tmp_path / "one")


def test_every_row_can_be_run_again(tmp_path):
    overrides = ["model=a", "dataset.dir=/my data/$x", "tracking.tags={a: 'b'}"]
    assert reproduce(["model=a"]) == "odbench run model=a"
    assert shlex.split(reproduce(overrides)) == ["odbench", "run", *overrides]
    text = render([make_record(name="odd", overrides=overrides)], tmp_path)
    line = next(line for line in text.splitlines() if line.startswith("odbench run"))
    assert shlex.split(line)[2:] == overrides


def test_one_of_several_repeats_is_run_again_alone(tmp_path):
    overrides = ["model=a", "repeats=3", "seed=1", "repeat=1"]
    text = render([make_record(name="one", overrides=overrides)], tmp_path)
    assert "\nodbench run model=a seed=1\n" in text


def test_the_best_is_that_of_variants(tmp_path):
    runs = [*repeated_runs([0.3, 0.7], name="a"), *repeated_runs([0.6, 0.62], name="b")]
    assert "Highest AP: 0.610, b (mean of 2 runs)." in render(runs, tmp_path)


def test_records_are_linked_relative_to_the_report(tmp_path):
    record = make_record(name="a b", run_id="with space")
    assert "- [a b](runs/with%20space/record.json)" in render([record], tmp_path)


def test_strange_names_do_not_break_the_tables(tmp_path):
    name = "a|b *c* <i> `d` [e](f) &amp; g\nh"
    text = render([make_record(name=name), make_record(name="plain")], tmp_path)
    results = tables(text)[0]
    assert len({len(row) for row in results}) == 1
    assert " ".join(name.split()) in {row[0] for row in results}


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30))
def test_escaped_text_is_shown_as_it_is(text):
    expected = html.escape(" ".join(text.split()), quote=False).replace('"', "&quot;")
    assert MarkdownIt().renderInline(escape(text)) == expected


@given(st.text("`a\n", max_size=20))
def test_code_holds_any_text(text):
    (token,) = [t for t in MarkdownIt().parse(code(text)) if t.type == "fence"]
    assert token.content == text + "\n"


def group_of(records, tmp_path):
    return compare([store_record(record, tmp_path) for record in records]).groups[0]


def test_classes_are_rows_where_there_are_more_of_them_than_runs(tmp_path):
    (table,) = tables(per_class_table(group_of([make_record(name="a", ap=0.5)], tmp_path)))
    assert table == [
        ["Class", "a"],
        ["circle", "0.400"],
        ["square", "0.500"],
        ["triangle", "0.600"],
    ]


def test_runs_are_rows_where_there_are_more_of_them(tmp_path):
    records = [make_record(name=f"r{n}", ap=0.5) for n in range(3)]
    records += [make_record(name="part", eval=make_eval(images_evaluated=2))]
    records += [make_failed(stage=Stage.eval, name="bad")]
    (table,) = tables(per_class_table(group_of(records, tmp_path)))
    assert table[0] == ["Run", "circle", "square", "triangle"]
    assert table[1] == ["r0", "0.400", "0.500", "0.600"]
    assert table[-1] == ["part [e]", "\u2013", "\u2013", "\u2013"]


def test_no_evaluation_no_classes(tmp_path):
    text = render([make_record(ap=None)], tmp_path)
    assert "AP by class" not in text


@pytest.mark.parametrize("count", [1, 5])
def test_blank_lines_come_one_at_a_time(count, tmp_path):
    records = [make_record(name=f"r{n}", backend=f"b{n}") for n in range(count)]
    assert "\n\n\n" not in render(records, tmp_path)
