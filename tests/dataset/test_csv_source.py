from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from dataset_builders import picture_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.csv_source import CsvSource, holds_boxes, read_csv
from odbench.dataset.types import Box
from odbench.dataset.voc import VocSource
from odbench.errors import ConfigError, DatasetError

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
FILES = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=8)
NUMBERS = st.floats(-1e6, 1e6)
ROWS = st.tuples(st.sampled_from(["a b.jpg", "ä/c.png"]), WORDS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)


def write(folder: Path, name: str, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding=encoding)
    return path


def add_pictures(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(picture_bytes(comment=name))


def source(folder: Path, **options) -> CsvSource:
    return CsvSource(DatasetSpec(name="t", kind=DatasetKind.csv, dir=str(folder), **options))


def boxes_of(path: Path, **columns: str) -> dict[str, list[Box]]:
    pictures, _ = read_csv(path, columns)
    return {picture.name: [box for box, _ in picture.objects] for picture in pictures}


# --- one file


@FILES
@given(
    st.lists(ROWS, min_size=1, max_size=6),
    st.permutations(["filename", "class", "xmin", "ymin", "xmax", "ymax"]),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_what_is_written_is_read(tmp_path, rows, columns, delimiter, encoding):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerow(columns)
    for name, label, *corners in rows:
        cells = {"filename": name, "class": label}
        cells |= dict(zip(("xmin", "ymin", "xmax", "ymax"), map(repr, corners), strict=True))
        writer.writerow([cells[column] for column in columns])
    path = tmp_path / "boxes.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    expected: dict[str, list[Box]] = {}
    for name, label, *corners in rows:
        expected.setdefault(name, []).append(Box(label, *corners))
    assert boxes_of(path) == expected
    assert holds_boxes(path)


def test_rows_without_a_header(tmp_path):
    path = write(
        tmp_path, "a.csv", "x/a.jpg,1,2,30,40,cat", "b.jpg,,,,,", "", "x/a.jpg,5,6,7,8,big dog"
    )
    pictures, findings = read_csv(path)
    assert [(p.name, p.where.rsplit(":", 1)[1], p.size) for p in pictures] == [
        ("x/a.jpg", "1", None),
        ("b.jpg", "2", None),
    ]
    cat, dog = Box("cat", 1, 2, 30, 40), Box("big dog", 5, 6, 7, 8)
    assert pictures[0].objects == [(cat, f"{path}:1"), (dog, f"{path}:4")]
    assert (pictures[1].objects, findings) == ([], [])


def test_a_first_row_without_boxes_is_no_header(tmp_path):
    path = write(tmp_path, "a.csv", "a.jpg,,,,,", "b.jpg,1,2,3,4,cat")
    assert boxes_of(path) == {"a.jpg": [], "b.jpg": [Box("cat", 1, 2, 3, 4)]}


def test_other_names_of_columns(tmp_path):
    path = write(tmp_path, "a.csv", "image,label,XMIN,ymin,xmax,ymax,note", "a.jpg,cat,1,2,3,4,-")
    with pytest.raises(DatasetError, match=r"a\.csv:1: neither a header"):
        read_csv(path)
    columns = {"filename": "image", "class": "label"}
    assert boxes_of(path, **columns) == {"a.jpg": [Box("cat", 1, 2, 3, 4)]}
    assert holds_boxes(path, columns)
    with pytest.raises(ConfigError, match=r"dataset\.csv_columns"):
        source(tmp_path, csv_columns={"picture": "image"})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty CSV file"),
        ([HEADER], "without a row"),
        (["name,other"], r"a\.csv:1: neither a header"),
        ([HEADER, "a.jpg,64,48,cat,1,2,3,4", "a.jpg,64,48,cat,1,two,3,4"], r"a\.csv:3: ymin is"),
        ([HEADER, "a.jpg,64,48,cat,1,2,3,nan"], r"a\.csv:2: ymax is not a number"),
        ([HEADER, "a.jpg,64,48,cat,1,2,3"], r"a\.csv:2: ymax is not a number\n  value:   ''"),
        ([HEADER, "a.jpg,6O,48,cat,1,2,3,4"], r"a\.csv:2: width is not a number"),
        ([HEADER, "", "a.jpg,64,48, ,1,2,3,4"], r"a\.csv:3: box without a class name"),
        ([HEADER, ",64,48,cat,1,2,3,4"], r"a\.csv:2: row without the name"),
        ([HEADER, '"a.jpg,64,48,cat,1,2,3,4'], r"a\.csv:2: not CSV"),
    ],
)
def test_broken_rows_are_refused_by_file_and_line(tmp_path, lines, message):
    with pytest.raises(DatasetError, match=message):
        read_csv(write(tmp_path, "a.csv", *lines))


def test_other_encodings_are_refused_by_line(tmp_path):
    path = write(tmp_path, "a.csv", HEADER, "ä.jpg,64,48,cat,1,2,3,4", encoding="latin-1")
    with pytest.raises(DatasetError, match=r"a\.csv:2: the CSV is not UTF-8"):
        read_csv(path)


def test_sizes_that_contradict_each_other_are_found(tmp_path):
    row = "a.jpg,{},48,cat,1,2,3,4"
    (picture,), (finding,) = read_csv(
        write(tmp_path, "a.csv", HEADER, row.format(64), row.format(65))
    )
    assert picture.size == (64, 48)
    assert (finding.kind, finding.value) == ("size_contradiction", "65x48, 64x48 before")


# --- files and pictures


def test_one_file_is_a_pool(tmp_path):
    add_pictures(tmp_path / "images", "a.jpg", "b.jpg")
    rows = ["a.jpg,64,48,cat,1,2,30,40", "b.jpg,60,48,dog,5,5,5,9", "a.jpg,64,48,cat,1,2,30,40"]
    path = write(tmp_path, "labels.csv", HEADER, *rows)
    read = source(tmp_path)
    survey = read.survey()
    assert [(e.key, e.labels) for e in survey.pool or []] == [
        ("images/a.jpg", ("cat",)),
        ("images/b.jpg", ("dog",)),
    ]
    assert (survey.classes, survey.entries, survey.findings) == (["cat", "dog"], {}, [])
    read.assign({"train": ["images/a.jpg"], "val": ["images/b.jpg"]})
    findings: list = []
    (image,) = read.images("train", findings)
    (empty,) = read.images("val", findings)
    assert (image.filename, image.boxes, empty.boxes) == (
        "images/a.jpg",
        [Box("cat", 1, 2, 30, 40)],
        [],
    )
    assert [(f.kind, f.where) for f in findings] == [
        ("duplicate_box", f"{path}:4"),
        ("zero_area_box", f"{path}:3"),
        ("image_without_boxes", f"{path}:3"),
        ("size_mismatch", f"{path}:3"),
    ]
    assert source(path).survey() == survey


def test_files_of_the_splits(tmp_path):
    for split in ("train", "test"):
        add_pictures(tmp_path / split, f"{split}.jpg")
        write(tmp_path, f"{split}_labels.csv", f"{split}.jpg,1,2,30,40,cat")
    write(tmp_path, "ATTRIBUTION.csv", "name,licence", "x,y")
    survey = source(tmp_path).survey()
    assert survey.pool is None
    assert {s: [e.key for e in entries] for s, entries in survey.entries.items()} == {
        "train": ["train/train.jpg"],
        "val": ["test/test.jpg"],
    }
    (image,) = source(tmp_path).images("val", [])
    assert image.filename == "test/test.jpg"
    write(tmp_path, "val_labels.csv", "train/train.jpg,1,2,30,40,cat")
    with pytest.raises(DatasetError, match="named a second time"):
        source(tmp_path).survey()
    files = {"train": "train_labels.csv", "val": "test_labels.csv"}
    assert source(tmp_path, annotations=files).survey().entries == survey.entries


def test_which_file_is_meant_has_to_be_clear(tmp_path):
    add_pictures(tmp_path, "a.jpg")
    for name in ("one.csv", "two.csv"):
        write(tmp_path, name, "a.jpg,1,2,30,40,cat")
    with pytest.raises(DatasetError, match="several files could hold") as raised:
        source(tmp_path).survey()
    assert "dataset.annotations" in str(raised.value)
    assert len(source(tmp_path, annotations={"all": "two.csv"}).survey().pool or []) == 1
    with pytest.raises(DatasetError, match=r"dataset\.annotations\.all: no such"):
        source(tmp_path, annotations={"all": "three.csv"}).survey()
    with pytest.raises(ConfigError, match=r"dataset\.annotations"):
        source(tmp_path, annotations={"test": "two.csv"})


def test_pictures_are_looked_for(tmp_path):
    add_pictures(tmp_path / "far" / "away", "a.jpg", "b.jpg")
    add_pictures(tmp_path / "other", "b.jpg")
    path = write(tmp_path, "a.csv", "C:\\home\\a.jpg,1,2,30,40,cat")
    assert [e.key for e in source(tmp_path).survey().pool or []] == ["far/away/a.jpg"]
    write(tmp_path, "a.csv", "b.jpg,1,2,30,40,cat")
    with pytest.raises(DatasetError, match="several pictures have this name"):
        source(tmp_path).survey()
    survey = source(tmp_path, images_dir="other").survey()
    assert [e.key for e in survey.pool or []] == ["other/b.jpg"]
    write(tmp_path, "a.csv", "c.jpg,1,2,30,40,cat")
    with pytest.raises(DatasetError, match="picture is missing") as raised:
        source(tmp_path).survey()
    assert raised.value.where == f"{path}:1"


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"dataset\.dir: no such folder or file"):
        source(tmp_path / "none").survey()
    with pytest.raises(DatasetError, match=r"dataset\.dir: no CSV file of boxes"):
        source(tmp_path).survey()


def test_the_digest_follows_boxes_and_pictures(tmp_path):
    add_pictures(tmp_path, "a.jpg")
    digests = set()
    for row in ("a.jpg,1,2,30,40,cat", "a.jpg,1,2,30,41,cat"):
        write(tmp_path, "a.csv", row)
        digests.add(source(tmp_path).survey().digest)
    add_pictures(tmp_path, "b.jpg")  # not named
    digests.add(source(tmp_path).survey().digest)
    (tmp_path / "a.jpg").write_bytes(picture_bytes())
    digests.add(source(tmp_path).survey().digest)
    assert len(digests) == 3


@pytest.mark.shared
def test_csv_and_xml_of_a_real_set_say_the_same(shared_data):
    folder = shared_data / "sets" / "microcontroller" / "images"
    spec = DatasetSpec(name="boards", kind=DatasetKind.voc, dir=str(folder))
    read = {}
    for each in (source(folder), VocSource(spec)):
        survey, findings = each.survey(), []
        images = [i for split in ("train", "val") for i in each.images(split, findings)]
        assert (survey.images, survey.findings, findings) == ({"train": 142, "val": 7}, [], [])
        read[type(each)] = {
            i.filename: sorted((b.label, b.xmin, b.ymin, b.xmax, b.ymax) for b in i.boxes)
            for i in images
        }
        assert (len(images), sum(len(i.boxes) for i in images)) == (149, 177)
        assert len(survey.classes) == 4
    assert read[CsvSource] == read[VocSource]
