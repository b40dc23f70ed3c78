import json
import re
from dataclasses import replace

import pytest
from analyses import make_analysis
from factories import draw_picture, gpu_changes, make_failed, make_record, store_record

from odbench.measure.statistics import percentile
from odbench.report.comparison import compare
from odbench.report.page.columns import page_columns
from odbench.report.page.document import as_script, render_page
from odbench.report.page.parts import parts_of
from odbench.report.page.pictures import seen_pictures
from odbench.report.page.scripts import inline, policy
from odbench.report.page.table import BEST, TIED, table_data
from odbench.report.pick_options import parse_constraints, parse_preference
from odbench.report.pick_words import Training
from odbench.report.question import Question, answer_of
from odbench.report.text import DASH
from odbench.results import Stage, StageUsage, Status


def variant(name, make=make_record, *arguments, **changes):
    """A run of a variant of its own."""
    return make(*arguments, **{"name": name, "variant": name} | changes)


def table_of(records, tmp_path, training=None, price=None):
    comparison = compare([store_record(record, tmp_path) for record in records])
    columns = page_columns(training, price)
    return table_data(comparison, parts_of(comparison), columns, tmp_path)


def column(table, key):
    """The cells of one column by the names of the rows."""
    at = [entry["key"] for entry in table["columns"]].index(key)
    return {row["cells"][0]: row["cells"][at] for row in table["rows"]}


def test_cells_carry_number_text_interval_flags_and_rank(tmp_path):
    records = [
        variant("a", ap=0.5, latency_s=0.02, analysis=make_analysis(0.5, 1)),
        variant("b", ap=0.3, latency_s=0.01, measured_steps=30),
        variant("c", make_failed, Status.oom, Stage.eval, "memory ran out"),
    ]
    table = table_of(records, tmp_path)
    number, text, below, marks, note = column(table, "ap")["a"]
    assert (number, text, marks, note) == (0.5, "0.500", "", BEST)
    low, high = map(float, below.split(DASH))
    assert 0.44 < low < 0.5 < high < 0.56
    projected = column(table, "time_1000_steps")["b"]
    assert projected[1].startswith("≈ ") and "from 30 steps" in projected[2]
    assert projected[3] == "p"
    p50 = percentile(records[1].latency.latency_s, 50) * 1000
    assert column(table, "latency_p50")["b"][0] == pytest.approx(p50, rel=1e-4)
    assert column(table, "ap")["c"] is None and column(table, "latency_p50")["c"] is None
    assert column(table, "status") == {"a": "ok", "b": "ok", "c": "oom"}
    failed = next(row for row in table["rows"] if row["cells"][0] == "c")
    assert failed["reasons"] == ["oom in eval: memory ran out"]
    keys = [entry["key"] for entry in table["columns"]]
    assert "peak_gpu" not in keys and "energy" not in keys and "runs" not in keys
    assert "timing.measured_steps" in keys and "timing.measured_steps" not in table["constant"]
    assert table["constant"]["train.batch_size"] == "8"


def test_repeats_are_one_row_with_their_mean_and_interval(tmp_path):
    records = [
        make_record(name=f"m-seed{n}", ap=ap, variant="m", repeat=n, sampling_seed=n)
        for n, ap in enumerate((0.40, 0.42, 0.44))
    ]
    (row,) = table_of([*records], tmp_path)["rows"]
    assert len(row["records"]) == 3
    table = table_of([*records, variant("other", make_failed)], tmp_path / "more")
    (name,) = set(column(table, "ap")) - {"other"}
    assert column(table, "runs")[name][0] == 3
    number, text, below = column(table, "ap")[name]
    assert (number, text) == (0.42, "0.420")
    # Student's t of three values that are 0.02 apart: 0.42 +- 4.303 * 0.02 / sqrt(3)
    assert below == f"0.370{DASH}0.470"


def test_ties_with_the_best_are_marked(tmp_path):
    records = [
        variant(name, ap=ap, analysis=make_analysis(ap, seed))
        for name, ap, seed in (("a", 0.5, 1), ("b", 0.499, 2), ("c", 0.2, 3))
    ]
    table = table_of(records, tmp_path)
    assert {name: cell[4:] for name, cell in column(table, "ap").items()} == {
        "a": [BEST],
        "b": [TIED],
        "c": [],
    }
    assert {len(cell) for cell in column(table, "size").values()} == {2}  # of equals nobody is best


def test_energy_is_summed_and_prices_only_stand_where_asked(tmp_path):
    usage = {stage: StageUsage(10.0, gpu_energy_j=500.0) for stage in Stage}
    record = make_record(usage=usage, wall_s=7200.0, step_s=0.1)
    table = table_of([record], tmp_path, Training(36_000, 3.0), price=3.0)
    name = table["rows"][0]["cells"][0]
    assert column(table, "energy")[name][:2] == [2000.0, "2.00"]
    assert column(table, "run_cost")[name][0] == 6.0
    hours = column(table, "training_hours")[name][0]
    assert hours == pytest.approx(1.0, rel=0.02)
    assert column(table, "training_cost")[name][0] == pytest.approx(3 * hours, rel=1e-4)
    partly = {**usage, Stage.eval: StageUsage(10.0)}
    again = table_of([make_record(usage=partly)], tmp_path / "partly")
    assert not {"energy", "run_cost"} & {entry["key"] for entry in again["columns"]}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    hostile = "</script><img src=x onerror=alert(1)><!--"
    records = [
        variant("good", model="best_model", ap=0.6, latency_s=0.05),
        variant("quick", ap=0.4, latency_s=0.01, analysis=make_analysis()),
        variant(hostile, ap=0.1),
        variant("gone", make_failed, Status.oom, Stage.train, f"out of memory {hostile}"),
    ]
    comparison = compare([store_record(record, folder) for record in records])
    question = Question(
        parse_constraints([], ["latency_p50_ms=30"]), parse_preference(["AP"]), price_per_hour=2.0
    )
    return render_page(comparison, question, answer_of(comparison, question), "A title", folder)


def test_the_answer_comes_first_with_its_why(page):
    body = page[page.index("<body>") :]
    answer = body[: body.index("<nav")]
    assert "Which model has the highest AP and keeps latency_p50_ms &lt;= 30.0 ms?" in answer
    assert re.search(r"Take</span> ssd_mobilenet_v2_fpnlite_320x320</h2>", answer)
    assert "the highest AP of the 2 runs that keep latency_p50_ms" in answer
    assert "Published and measured" in page  # a model of the zoo is among them
    assert "good" in answer and "misses latency_p50_ms" in answer  # why the best AP is not it


def test_nothing_of_a_run_becomes_markup_or_ends_a_script(page):
    assert "<img src=x" not in page
    blocks = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', page, re.S)
    assert [name for name, _ in blocks] == ["table-data", "figure-data"]
    table = json.loads(blocks[0][1])
    assert any(row["cells"][0].startswith("</script><img") for row in table["rows"])
    assert json.loads(as_script({"a": "</script>\u2028&"})) == {"a": "</script>\u2028&"}
    assert inline("x = '</script>'") == "x = '<\\/script>'"


def test_the_page_allows_its_own_scripts_and_no_connection(page):
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert found == policy(scripts)
    assert "default-src 'none'" in found and "connect-src 'none'" in found
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert len(page) < 2_000_000


def test_sections_without_data_are_left_out(tmp_path):
    comparison = compare([store_record(make_record(ap=None, train=None, usage={}), tmp_path)])
    page = render_page(comparison, Question(), answer_of(comparison, Question()), "t", tmp_path)
    assert "No model to take" in page
    assert '<h2 id="table-title">The run</h2>' in page
    for absent in ('id="failed"', 'id="differences"', 'id="figures"', "vegaEmbed"):
        assert absent not in page


def test_the_same_pictures_are_shown_of_every_run_whoever_kept_them(tmp_path):
    cpu = [
        variant(name, ap=ap, analysis=make_analysis(ap)) for name, ap in (("a", 0.5), ("b", 0.4))
    ]
    gpu = replace(cpu[1], run_id="gpu", name="gpu", **gpu_changes())
    runs = [store_record(record, tmp_path) for record in (*cpu, gpu)]
    draw_picture(runs[2].dir / "pictures" / "1.jpg")  # on other hardware, of the same data
    draw_picture(runs[0].dir / "pictures" / "2.jpg")
    (runs[0].dir / "pictures" / "3.jpg").write_bytes(b"no picture")
    comparison = compare(runs)
    shown = seen_pictures(parts_of(comparison), comparison.rows)
    first, second = shown["pictures"]
    assert [name for _, name in first["runs"]] == ["a", "b"]
    # f1 falls from image 1 to 3, see make_analysis
    assert [row["name"] for row in first["rows"]] == ["000003.png", "000002.png", "000001.png"]
    assert [cell["words"] for cell in first["rows"][0]["cells"]] == ["0 of 3 found, 1 false"] * 2
    assert (first["without"], second["without"]) == (1, 1)
    assert len(shown["picture_files"]) == 2
    page = render_page(comparison, Question(), answer_of(comparison, Question()), "t", tmp_path)
    assert page.count('href="data:image/jpeg;base64,') == 2  # each once, however often it is shown
    assert page.count('<use href="#picture-') == 2 * (2 + 1) + 2 * (1 + 1)
    assert page.count('<use href="#truth-') == 3 * 2 + 3 * 1
    assert 'aria-label="000001.png, b: 2 of 3 found, 1 false"' in page
    assert "Of 1 of these pictures only the boxes are known" in page


def test_how_sure_the_answer_is_stands_below_it(tmp_path):
    records = [
        variant(name, ap=ap, analysis=make_analysis(ap, seed))
        for seed, (name, ap) in enumerate((("a", 0.5), ("b", 0.497), ("c", 0.2)))
    ]
    comparison = compare([store_record(record, tmp_path) for record in records])
    page = render_page(comparison, Question(), answer_of(comparison, Question()), "t", tmp_path)
    sure = page[page.index("How sure:") :]
    assert "No difference in AP was shown between it and b (paired image bootstrap)" in sure
    assert "It differs in AP from 1 of the 2 others; the nearest of these is c, by 0.3" in sure
    assert "other seeds would give is not known of all of these: a single run each" in sure
    assert "Its AP is that of 1,011 train steps from random weights" in sure


def test_of_a_best_checkpoint_it_is_said(tmp_path):
    record = variant("a", ap=0.5)
    train = replace(record.train, best_checkpoint="best/ckpt-5", restored_from="models/it")
    record = replace(record, train=train, eval=replace(record.eval, checkpoint="best/ckpt-5"))
    comparison = compare([store_record(record, tmp_path)])
    page = render_page(comparison, Question(), answer_of(comparison, Question()), "t", tmp_path)
    assert "that of the best checkpoint of 1,011 train steps from models/it." in page


def test_what_differs_and_what_is_published_is_told_of_every_group(tmp_path):
    record = variant("a", model="ssd_mobilenet_v2_320x320", ap=0.5)
    other = variant("b", model="ssd_mobilenet_v2_320x320", ap=0.4, batch_size=4)
    gpu = [replace(r, run_id=f"gpu-{r.name}", **gpu_changes()) for r in (record, other)]
    runs = [store_record(each, tmp_path) for each in (record, other, *gpu)]
    for run in runs:
        text = f"train_config {{ batch_size: {run.record.batch_size} }}"
        (run.dir / "pipeline.config").write_text(text)
    comparison = compare(runs)
    page = render_page(comparison, Question(), answer_of(comparison, Question()), "t", tmp_path)
    assert page.count("<code>train_config.batch_size</code>") == 2
    assert page.count("672 (ssd_mobilenet_v2_coco)") == 2
    assert page.count("on an NVIDIA Tesla P100") == 2
