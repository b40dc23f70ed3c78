import json
import multiprocessing
import os
import re
import subprocess
import sys

import pytest
from analyses import make_analysis
from factories import gpu_changes, make_record, store_record

from odbench.beside import beside
from odbench.errors import InputError
from odbench.report.write import write_report


@pytest.fixture
def runs(tmp_path):
    kept = make_analysis(pictures=2)
    records = [
        make_record(analysis=kept),
        make_record(batch_size=4, measured_steps=30, analysis=kept),
    ]
    return [store_record(record, tmp_path, pictures=2) for record in records]


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_everything_that_the_report_links_to_is_there(runs, tmp_path):
    report = write_report(runs, tmp_path / "a" / "b", "Title")
    assert report == tmp_path / "a" / "b" / "report.md"
    links = re.findall(r"\]\(([^)]+)\)", report.read_text(encoding="utf-8"))
    assert len(links) == 4 + 2 + 2  # figures, files, records
    assert all((report.parent / link).resolve().is_file() for link in links)
    assert files_of(report.parent) == {
        "report.md",
        "report.html",
        "report.tex",
        "runs.csv",
        "comparison.json",
        "figures/ap_against_latency.png",
        "figures/loss.png",
        "figures/stage_times.png",
        "figures/ap_against_latency.svg",
        "figures/loss.svg",
        "figures/stage_times.svg",
        "figures/pictures.jpg",
    }


@pytest.mark.parametrize("name", ["record.json", "job.json", "sweep.json"])
def test_the_folder_of_a_run_or_sweep_takes_no_report(runs, tmp_path, name):
    out = tmp_path / "its"
    out.mkdir()
    (out / name).write_text("{}")
    with pytest.raises(InputError, match=rf"--out: a report does not(?s:.*){name}"):
        write_report(runs, out, "Title")
    assert files_of(out) == {name}


def test_groups_have_figures_of_their_own_and_old_figures_go(runs, tmp_path):
    out = tmp_path / "out"
    other = store_record(make_record(name="gpu", **gpu_changes()), tmp_path)
    write_report([*runs, other], out, "Title")
    assert {"figures/loss_1.png", "figures/loss_2.png"} <= files_of(out)
    assert "figures/pictures_2.jpg" not in files_of(out)
    (out / "figures" / "mine.png").write_bytes(b"kept")
    (out / "notes.txt").write_text("kept")
    write_report(runs[:1], out, "Title")
    left = files_of(out)
    assert "figures/loss.png" in left
    assert not {"figures/loss_1.png", "figures/loss_2.png"} & left
    assert {"figures/mine.png", "notes.txt"} <= left
    assert len(json.loads((out / "comparison.json").read_text())["groups"]) == 1


def test_the_same_runs_make_the_same_files_and_none_tells_of_the_machine(runs, tmp_path):
    folders = [tmp_path / "reports" / name for name in ("one", "two")]
    for folder in folders:
        write_report(runs, folder, "Title")
    one, two = ({name: (f / name).read_bytes() for name in files_of(f)} for f in folders)
    assert one == two
    host = runs[0].record.environment.host.encode()
    for name, body in one.items():
        assert str(tmp_path).encode() not in body, name
        assert host not in body, name


def test_no_runs_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no run to report") as caught:
        write_report([], tmp_path / "out", "Title")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(runs, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="cannot write the report") as caught:
            write_report(runs, out, "Title")
        assert caught.value.where == str(out)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_report_that_fails_leaves_the_earlier_one_whole(runs, tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_report(runs, out, "First")
    before = {name: (out / name).read_bytes() for name in files_of(out)}

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("odbench.report.write.render_markdown", no_space)
    with pytest.raises(InputError, match="No space left"):
        write_report(runs, out, "Second")
    assert {name: (out / name).read_bytes() for name in files_of(out)} == before


def test_figures_that_another_process_could_not_draw_are_drawn_here(tmp_path):
    asked = []

    def work():
        asked.append(os.getpid())
        if multiprocessing.parent_process() is not None:
            os._exit(1)  # as one that the kernel killed
        return "drawn"

    with beside(work) as result:
        assert result() == "drawn"
    assert asked == [os.getpid()]
    with beside(multiprocessing.parent_process) as result:
        assert result() is not None  # of another process


@pytest.mark.process
def test_a_report_imports_nothing_that_takes_a_second(runs, tmp_path):
    heavy = ("scipy.stats", "mlflow", "pandas", "matplotlib", "tensorflow", "optuna")
    code = (
        "import sys; from odbench.cli import app; "
        "app(sys.argv[1:], standalone_mode=False); "
        f"print('imported:', [name for name in {heavy} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, "report", str(tmp_path / "runs"), "--out", "out"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("imported: []\n")
    assert (tmp_path / "out" / "figures" / "loss.png").is_file()
