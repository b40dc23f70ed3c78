import subprocess
import sys
from dataclasses import replace

import pytest
from analyses import make_analysis
from factories import make_eval, make_failed, make_record, store_record
from PIL import Image

from odbench.records import find_runs
from odbench.report.comparison import compare
from odbench.report.figures import MAX_LINES, STEMS, draw_figures
from odbench.report.labels import run_styles, wrap
from odbench.results import LossPoint, Stage


def draw(records, tmp_path, pictures=0):
    if pictures:
        analysis = make_analysis(pictures=pictures)
        records = [replace(record, analysis=analysis) for record in records]
    runs = [store_record(record, tmp_path, pictures) for record in records]
    folder = tmp_path / "figures"
    folder.mkdir()
    (group,) = compare(runs).groups
    drawings = draw_figures(group, folder)
    return dict(zip(STEMS, drawings, strict=True)), folder


def colours(path):
    with Image.open(path) as image:
        assert image.width > 300
        assert image.height > 150
        found = image.convert("RGB").getcolors(maxcolors=2**24)
    return {colour for _, colour in found}


def many(count, **changes):
    return [make_record(name=f"run {n}", ap=0.3 + n / 100, **changes) for n in range(count)]


def test_every_figure_is_drawn(tmp_path):
    drawings, folder = draw(many(3), tmp_path, pictures=5)
    for drawing in drawings.values():
        assert drawing.file is not None, drawing.note
        assert len(colours(folder / drawing.file)) > 10


def test_some_figures_alone_are_those_of_all(tmp_path):
    _, folder = draw(many(2), tmp_path, pictures=5)
    (group,) = compare(find_runs([tmp_path])).groups
    alone = tmp_path / "alone"
    alone.mkdir()
    for stem in STEMS:
        (drawing,) = draw_figures(group, alone, only=[stem])
        assert (alone / drawing.file).read_bytes() == (folder / drawing.file).read_bytes()
    assert len(list(alone.iterdir())) == len(STEMS)


def test_points_have_the_colour_of_their_run_and_flagged_ones_are_hollow(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    record = make_record(ap=0.5)
    drawings, folder = draw([record], tmp_path / "a")
    filled = count(folder / drawings["ap_against_latency"].file)
    assert "Hollow" not in drawings["ap_against_latency"].note
    busy = replace(record.usage[Stage.latency], other_cpu_cores=1.5)
    flagged = replace(record, usage=record.usage | {Stage.latency: busy})
    drawings, folder = draw([flagged], tmp_path / "b")
    hollow = count(folder / drawings["ap_against_latency"].file)
    assert "Hollow" in drawings["ap_against_latency"].note
    assert 0 < hollow < filled


def count(path, colour=(0, 114, 178)):
    with Image.open(path) as image:
        found = image.convert("RGB").getcolors(maxcolors=2**24)
    return sum(number for number, other in found if other == colour)


def test_a_projection_does_not_make_a_point_hollow(tmp_path):
    drawings, _ = draw([make_record(measured_steps=30)], tmp_path)
    assert "Hollow" not in drawings["ap_against_latency"].note


def test_points_at_one_place_are_named_as_far_as_there_is_room(tmp_path):
    drawings, _ = draw([replace(record, eval=make_eval(0.4)) for record in many(30)], tmp_path)
    assert "of 30 points are named" in drawings["ap_against_latency"].note


def test_more_runs_than_a_figure_holds_are_counted(tmp_path):
    drawings, _ = draw(many(25, measured_steps=30), tmp_path)
    assert f"first {MAX_LINES} of 25 runs" in drawings["loss"].note
    assert "first 20 of 25 runs" in drawings["stage_times"].note


def test_what_is_missing_is_said_instead_of_drawn(tmp_path):
    drawings, folder = draw([make_failed(stage=Stage.train)], tmp_path)
    assert {key: drawing.note for key, drawing in drawings.items()} == {
        "ap_against_latency": "not drawn: no run has both an AP and a latency.",
        "loss": "not drawn: no run has recorded a total loss.",
        "stage_times": "not drawn: no stage of any run ended.",
        "pictures": "not drawn: no run has kept evaluation pictures.",
    }
    assert list(folder.iterdir()) == []


def test_losses_that_were_not_finite_leave_a_gap(tmp_path):
    record = make_record()
    losses = [LossPoint(1, 0.1, {"Loss/total_loss": 2.0}), LossPoint(2, 0.1, {"other": 1.0})]
    losses += [LossPoint(3, None, {"Loss/total_loss": None})]
    drawings, _ = draw([replace(record, train=replace(record.train, losses=losses))], tmp_path)
    assert drawings["loss"].file is not None


def test_the_same_pictures_stand_side_by_side_but_for_broken_ones(tmp_path):
    records = [
        make_record(name=name, variant=name, ap=0.5, analysis=make_analysis(seed=seed, pictures=n))
        for seed, (name, n) in enumerate((("a", 3), ("b", 2)))
    ]
    runs = [store_record(record, tmp_path, pictures=3) for record in records]
    drawings = draw_figures(compare(runs).groups[0], tmp_path)
    assert drawings[-1].file == "pictures.jpg"
    with Image.open(tmp_path / "pictures.jpg") as image:
        both = image.size  # two pictures that both have, in two rows
    for run in runs:
        (run.dir / "pictures" / "1.jpg").write_bytes(b"\xff\xd8 cut off")
    draw_figures(compare(runs).groups[0], tmp_path)
    with Image.open(tmp_path / "pictures.jpg") as image:
        assert image.height == both[1] > 500
        assert image.width < both[0]
        assert len(image.getcolors(2**24)) > 100


@pytest.mark.parametrize("name", ["$a_b$ \\frac", "_hidden", "模型", "x" * 200, "a, b=[1,2]"])
def test_any_name_can_be_drawn(name, tmp_path):
    drawings, _ = draw([make_record(name=name)], tmp_path, pictures=1)
    assert all(drawing.file for drawing in drawings.values())


def test_runs_have_a_style_of_their_own(tmp_path):
    runs = [store_record(record, tmp_path) for record in many(21, measured_steps=30)]
    styles = run_styles(compare(runs).groups[0])
    assert len(set(styles.values())) == 21


def test_names_are_broken_at_their_joints():
    assert wrap("ssd_mobilenet_v2_fpnlite_320x320 batch_size=8", 26) == [
        "ssd_mobilenet_v2_fpnlite_",
        "320x320 batch_size=8",
    ]
    assert wrap("short", 26) == ["short"]
    assert wrap("a_b_c_d_e", 2)[-1] == "c_…"
    assert wrap("x" * 7, 3) == ["xxx", "xxx", "x"]


def test_pyplot_is_not_used_and_matplotlib_only_when_drawing():
    code = (
        "import sys, odbench.report.write, odbench.report.terminal\n"
        "assert 'matplotlib' not in sys.modules and 'pandas' not in sys.modules\n"
        "from odbench.report import figures\n"
        "from matplotlib.figure import Figure\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
