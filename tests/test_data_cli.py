"""The commands of ``odbench data``."""

import io
import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from lxml import etree
from PIL import Image
from typer.testing import CliRunner

from odbench.cli import app
from odbench.evaluation.coco import score
from odbench.evaluation.inputs import load_ground_truth

pytestmark = pytest.mark.process


def draw(path, number, size=(64, 48)):
    """A picture; other bytes for another number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).save(buffer, "JPEG", quality=40 + number)
    path.write_bytes(buffer.getvalue())


def label(path, boxes):
    """The annotation of a picture, as labelImg writes it."""
    root = etree.Element("annotation")
    etree.SubElement(root, "filename").text = path.with_suffix(".jpg").name
    for name, *corners in boxes:
        item = etree.SubElement(root, "object")
        etree.SubElement(item, "name").text = name
        box = etree.SubElement(item, "bndbox")
        for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            etree.SubElement(box, side).text = str(value)
    path.write_bytes(etree.tostring(root, pretty_print=True))


@pytest.fixture
def call(tmp_path, monkeypatch):
    """As `odbench`, in this process: what a test of many calls has the time for."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = CliRunner().invoke(app, arguments)
        return CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def source(tmp_path):
    """Twelve labelled pictures in one folder, `data`; no split named."""
    folder = tmp_path / "data"
    for number in range(12):
        draw(folder / f"p{number:02d}.jpg", number)
        name = "dog" if number % 3 == 0 else "cat"
        label(folder / f"p{number:02d}.xml", [(name, 2 + number, 3, 40, 30), ("cat", 1, 1, 9, 9)])
    return folder


def tree(folder):
    """Content of all files but the description, which has the time."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "dataset.json"}


def test_convert_writes_everything_that_training_needs(odbench, source, tmp_path):
    done = odbench("data", "convert", "data", "--out", "out", "--shards", "2", "--json")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body["made"] is True
    assert body["classes"] == {"cat": 1, "dog": 2}
    assert body["images"] == {"train": 10, "val": 2}
    assert sum(body["boxes"].values()) == 24
    assert all(Path(p).is_file() for s in body["splits"].values() for p in s["records"])
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"label_map.pbtxt", "splits.json", "instances_train.json", "dataset.json"} <= names
    splits = json.loads((tmp_path / "out" / "splits.json").read_text())
    files = [entry["file"] for entries in splits.values() for entry in entries]
    assert sorted(files) == [f"p{n:02d}.jpg" for n in range(12)]
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert described["provenance"]["val_fraction"] == 0.2
    assert described["statistics"]["splits"]["train"]["images"] == 10
    assert {p.name for p in tmp_path.iterdir()} == {"data", "out"}  # no litter beside it


def test_the_same_again_does_nothing_and_something_else_is_refused(call, source, tmp_path):
    call("data", "convert", "data", "--out", "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    again = call("data", "convert", "data", "--out", "out")
    assert again.returncode == 0
    assert "already there, nothing done" in again.stdout
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == before

    other = call("data", "convert", "data", "--out", "out", "--seed", "3")
    assert (other.returncode, other.stdout) == (2, "")
    assert "--out: another data set is there already" in other.stderr
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == before
    forced = call("data", "convert", "data", "--out", "out", "--seed", "3", "--force")
    assert forced.returncode == 0
    assert tree(tmp_path / "out") != {}


def test_a_folder_of_something_else_is_left_alone(call, source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "mine" / "dataset.json").write_text("{}")  # of some other program
    for options in ((), ("--force",)):
        done = call("data", "convert", "data", "--out", "mine", *options)
        assert done.returncode == 2
        assert "something else is there already" in done.stderr
        assert len(list((tmp_path / "mine").iterdir())) == 2
    for out in ("data", "."):
        done = call("data", "convert", "data", "--out", out, "--force")
        assert done.returncode == 2
        assert "the source lies in the folder to write" in done.stderr
    assert len(list(source.iterdir())) == 24


def test_any_number_of_workers_gives_the_same_bytes(odbench, source, tmp_path):
    for workers in "12":
        done = odbench("data", "convert", "data", "--out", f"out{workers}", "--workers", workers)
        assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "out1") == tree(tmp_path / "out2")
    assert len(tree(tmp_path / "out1")) == 4 + 4 + 2  # train has four shards, val has two


def test_an_error_in_a_worker_is_the_first_and_leaves_nothing(odbench, source, tmp_path):
    for number in (4, 9):
        path = source / f"p{number:02d}.jpg"
        path.write_bytes(path.read_bytes()[:-20])
    told = []
    for workers in "12":
        done = odbench("data", "convert", "data", "--out", "out", "--workers", workers)
        assert (done.returncode, done.stdout) == (2, "")
        assert "picture cannot be read" in done.stderr
        assert "Traceback" not in done.stderr
        told.append(done.stderr)
    assert told[0] == told[1]
    assert {p.name for p in tmp_path.iterdir()} == {"data"}


def test_strict_lists_what_was_found(call, source, tmp_path):
    label(source / "p01.xml", [("cat", 1, 1, 9, 9), ("cat", 5, 5, 5, 9)])
    half = ["--val-fraction", "0.5"]
    done = call("data", "convert", "data", "--out", "out", "--strict", *half)
    assert done.returncode == 2
    assert "1 findings, and a strict conversion allows none" in done.stderr
    assert "p01.xml:12: zero_area_box" in done.stderr
    assert not (tmp_path / "out").exists()
    loose = call("data", "convert", "data", "--out", "out", "--json", *half)
    assert json.loads(loose.stdout)["findings"] == {"zero_area_box": 1}
    again = call("data", "convert", "data", "--out", "out", "--strict", *half)
    assert again.returncode == 2


def test_a_given_split_and_label_map_are_kept(call, source, tmp_path):
    (tmp_path / "split.txt").write_text(
        "".join(f"p{n:02d} {'val' if n in (3, 7) else 'train'}\n" for n in range(12))
    )
    (tmp_path / "map.pbtxt").write_text(
        "item { id: 3 name: 'dog' }\nitem { id: 90 name: 'cat' }\nitem { id: 5 name: 'emu' }\n"
    )
    options = ["--split-file", "split.txt", "--label-map", "map.pbtxt"]
    done = call("data", "convert", "data", "--out", "out", *options, "--json")
    body = json.loads(done.stdout)
    assert body["classes"] == {"dog": 3, "emu": 5, "cat": 90}
    assert body["images"] == {"train": 10, "val": 2}
    assert body["findings"] == {"empty_class": 1, "val_too_small": 1}
    truth = json.loads((tmp_path / "out" / "instances_val.json").read_text())
    assert [image["file_name"] for image in truth["images"]] == ["p03.jpg", "p07.jpg"]
    assert {a["category_id"] for a in truth["annotations"]} == {3, 90}

    (tmp_path / "map.pbtxt").write_text("item { id: 3 name: 'dog' }")
    refused = call("data", "convert", "data", "--out", "out2", *options)
    assert refused.returncode == 2
    assert "p00.jpg: class is not in the label map map.pbtxt" in refused.stderr
    assert "value:   cat" in refused.stderr


def test_a_converted_set_scores_one_against_itself(call, source, tmp_path):
    call("data", "convert", "data", "--out", "out", "--val-fraction", "0.5")
    truth = load_ground_truth(tmp_path / "out" / "instances_val.json")
    keys = ("image_id", "category_id", "bbox")
    found = [{key: a[key] for key in keys} | {"score": 0.9} for a in truth["annotations"]]
    assert score(truth, found).metrics["AP"] == 1.0


def test_check_reports_everything_and_writes_nothing(call, source, tmp_path):
    for number in (4, 9):
        path = source / f"p{number:02d}.jpg"
        path.write_bytes(path.read_bytes()[:-20])
    label(source / "p01.xml", [("cat", 1, 1, 9, 9), ("cat", 5, 5, 5, 9)])
    label(source / "p02.xml", [("cat", 1, 1, 900, 9)])
    before = tree(source)
    done = call("data", "check", "data", "--val-fraction", "0.5", "--json")
    assert done.returncode == 2
    body = json.loads(done.stdout)
    assert body["ok"] is False
    told = sorted((Path(e["where"].split(":")[0]).name, e["what"]) for e in body["errors"])
    assert [name for name, _ in told] == ["p02.xml", "p04.jpg", "p09.jpg"]
    assert body["findings_by_kind"] == {"zero_area_box": 1}
    assert body["findings"][0]["where"].endswith("p01.xml:12")
    assert body["findings"][0]["action"] == "dropped"
    assert body["findings"][0]["level"] == "warning"
    assert tree(source) == before
    assert {p.name for p in tmp_path.iterdir()} == {"data"}


def test_check_goes_on_after_annotations_that_cannot_be_read(call, source):
    (source / "p03.xml").write_text("<annotation>\n<object>")
    (source / "p05.jpg").unlink()
    label(source / "p06.xml", [("cat", "x", 1, 9, 9)])
    (source / "p07.jpg").write_bytes(b"no picture")
    done = call("data", "check", "data", "--format", "voc", "--json")
    assert done.returncode == 2
    where = sorted(Path(e["where"].split(":")[0]).name for e in json.loads(done.stdout)["errors"])
    assert where == ["p03.xml", "p05.xml", "p06.xml", "p07.jpg"]


def test_a_clean_source_of_three_splits_is_converted_strictly(call, tmp_path):
    for split, count in (("train", 8), ("val", 5), ("test", 3)):
        for number in range(count):
            draw(tmp_path / "data" / split / f"p{number}.jpg", number + 10 * len(split))
            label(tmp_path / "data" / split / f"p{number}.xml", [("cat", 2, 3, 40, 30)])
    done = call("data", "convert", "data", "--out", "out", "--strict")
    assert done.returncode == 0, done.stderr
    assert "note: test: split_left_out: 3 images (left out: another folder" in done.stdout
    assert "found" not in done.stdout
    checked = call("data", "check", "data", "--strict")
    assert checked.returncode == 0
    assert "note: data/test: split_left_out: 3 images" in checked.stdout
    assert "0 errors, 0 warnings" in checked.stdout
    again = call("data", "check", "out", "--json")
    assert json.loads(again.stdout)["findings_by_kind"] == {"split_left_out": 1}


def test_annotation_files_are_named(call, source, tmp_path):
    for path, numbers in ((tmp_path / "one.csv", range(6)), (source / "two.csv", range(6, 12))):
        path.write_text("".join(f"p{n:02d}.jpg,1,1,9,9,cat\n" for n in numbers))
    named = ["--annotations", "train=one.csv,val=two.csv"]  # from here, and in the source
    options = [*named, "--images", "data", "--format", "csv", "--json"]
    done = call("data", "convert", "data", "--out", "out", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == {"train": 6, "val": 6}


def test_several_formats_are_told_with_the_option_that_chooses(call, source):
    (source / "a.csv").write_text("".join(f"p{n:02d}.jpg,1,1,9,9,cat\n" for n in range(12)))
    done = call("data", "convert", "data", "--out", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SOURCE: several kinds of annotations" in done.stderr
    assert "of the same 12 pictures" in done.stderr
    assert "say which: --format csv|voc" in done.stderr
    assert "dataset." not in done.stderr
    checked = call("data", "check", "data", "--json")
    (error,) = json.loads(checked.stdout)["errors"]
    assert error["fix"].startswith("say which: --format csv|voc")


def test_check_with_warnings_only_ends_well_unless_strict(call, source):
    label(source / "p01.xml", [("cat", 1, 1, 9, 9), ("cat", 5, 5, 5, 9)])
    half = ["--val-fraction", "0.5"]
    done = call("data", "check", "data", *half)
    assert done.returncode == 0
    assert "0 errors, 1 warning: 1 zero_area_box" in done.stdout
    assert call("data", "check", "data", *half, "--strict").returncode == 2
    label(source / "p01.xml", [("cat", 1, 1, 9, 9)])
    assert call("data", "check", "data", *half, "--strict").returncode == 0
    few = call("data", "check", "data", "--strict")
    assert few.returncode == 2
    assert "val: val_too_small: 2 of 12 images" in few.stdout


def test_check_reads_a_converted_set_back(call, source, tmp_path):
    call("data", "convert", "data", "--out", "out")
    good = call("data", "check", "out", "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["converted"] is True
    record = next((tmp_path / "out").glob("train-00001*"))
    data = bytearray(record.read_bytes())
    data[len(data) // 2] ^= 1
    record.write_bytes(data)
    bad = call("data", "check", "out", "--json")
    assert bad.returncode == 2
    (error,) = json.loads(bad.stdout)["errors"]
    assert "checksum" in error["what"]
    assert record.name in error["where"]


def test_stats_and_show(call, source, tmp_path):
    call("data", "convert", "data", "--out", "out")
    body = json.loads(call("data", "stats", "out", "--json").stdout)
    assert body["splits"]["train"]["images"] == 10
    assert "cat" in call("data", "stats", "out").stdout
    done = call("data", "show", "out", "--out", "sheet.png", "--count", "4")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    assert call("data", "show", "out", "--out", "x.png", "--split", "test").returncode == 2
    for command, option in (("show", "--out"), ("stats", "--figure")):
        nowhere = call("data", command, "out", option, "none/x.png")
        assert (nowhere.returncode, nowhere.stdout) == (2, "")
        assert f"{option}: no such folder" in nowhere.stderr
    unconverted = call("data", "stats", "data")
    assert unconverted.returncode == 2
    assert "no finished data set" in unconverted.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--format", "yolo"], "--format: no such format"),
        (["--val-fraction", "1"], "--val-fraction: value out of range"),
        (["--shards", "0"], "--shards: value out of range"),
        (["--workers", "0"], "--workers: value out of range"),
        (["--columns", "filename"], "--columns: not a list of names"),
        (["--columns", "file=image"], "--columns: value out of range"),
        (["--annotations", "a.json"], "--annotations: not a list of names"),
        (["--annotations", "test=a.json"], "--annotations: value out of range"),
        (["--annotations", "all=a.json", "--format", "coco"], "--annotations.all: no such"),
        (["--split-file", "none.txt"], "none.txt: cannot read the split file"),
        (["--label-map", "none.pbtxt"], "none.pbtxt: cannot read the label map"),
    ],
)
def test_wrong_options_are_said(call, source, tmp_path, arguments, told):
    done = call("data", "convert", "data", "--out", "out", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_takes_a_converted_folder_with_gaps_in_its_ids(odbench, source, tmp_path):
    (tmp_path / "map.pbtxt").write_text(
        "item { id: 3 name: 'dog' }\nitem { id: 9 name: 'cat' }\nitem { id: 5 name: 'emu' }\n"
    )
    odbench("data", "convert", "data", "--out", "out", "--label-map", "map.pbtxt")
    quick = ["backend=replay", "timing=quick", "tracking=none", "paths.reports_dir=null"]
    done = odbench("run", "dataset=auto", "dataset.dir=out", *quick)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "runs").rglob("record.json")
    record = json.loads(path.read_text())
    assert record["dataset"]["classes"] == ["dog", "emu", "cat"]
    assert record["dataset"]["findings"] == {"empty_class": 1, "val_too_small": 1}
    assert set(record["eval"]["per_class"]) == {"dog", "emu", "cat"}
    assert record["eval"]["per_class"]["emu"] is None
    assert "num_classes: 9" in (path.parent / "pipeline.config").read_text()
