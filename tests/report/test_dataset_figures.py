import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from odbench.config.dataset_spec import DatasetKind, DatasetSpec, ShapesSpec
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.statistics import dataset_statistics, statistics_to_json
from odbench.report import dataset_figures
from odbench.report.dataset_figures import draw_statistics, write_dataset_files

BLUE, ORANGE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)  # of train and val
FILES = ["contact_sheet.png", "statistics.json", "statistics.png"]


@pytest.fixture
def dataset(cache_dir):
    shapes = ShapesSpec(train_images=8, val_images=4, image_size=48)
    spec = DatasetSpec(name="shapes", kind=DatasetKind.shapes, shards=1, shapes=shapes)
    return prepare_dataset(spec, cache_dir)


@pytest.fixture
def stats(dataset):
    return dataset_statistics(dataset)


@pytest.fixture(autouse=True)
def nothing_written_before(monkeypatch):
    monkeypatch.setattr(dataset_figures, "_written", {})


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def near(drawn, colour):
    return int((np.abs(drawn - colour).max(axis=2) < 24).sum())


def with_classes(stats, count):
    """The same statistics with so many classes, of which the first is the commonest."""
    names = [f"class_{n:03d}" for n in range(count)]
    splits = {
        name: replace(split, boxes_by_class={c: 900 if c == names[0] else 3 for c in names})
        for name, split in stats.splits.items()
    }
    return replace(stats, classes=names, splits=splits)


def test_both_splits_are_in_the_figure(stats, tmp_path):
    drawn = pixels(draw_statistics(stats, tmp_path / "a.png"))
    assert near(drawn, BLUE) > 5000
    assert near(drawn, ORANGE) > 2000
    alone = replace(stats, splits={"train": stats.splits["train"]})
    drawn = pixels(draw_statistics(alone, tmp_path / "b.png"))
    assert near(drawn, BLUE) > 5000
    assert near(drawn, ORANGE) < 50


@pytest.mark.parametrize("classes", [1, 9, 60, 200])
def test_any_number_of_classes_is_drawn(stats, tmp_path, classes):
    drawn = pixels(draw_statistics(with_classes(stats, classes), tmp_path / "a.png"))
    assert drawn.shape == (1365, 1430, 3)
    assert near(drawn, BLUE) > 2000


def test_a_split_without_pictures_or_boxes(stats, tmp_path):
    nothing = dict.fromkeys(stats.classes, 0)
    empty = replace(
        stats.splits["val"],
        images=0,
        boxes=0,
        boxes_by_class=nothing,
        images_by_boxes={},
        image_sizes=replace(
            stats.splits["val"].image_sizes,
            distinct=0,
            commonest={},
            smallest=None,
            largest=None,
        ),
    )
    for splits in ({"train": stats.splits["train"], "val": empty}, {"val": empty}, {}):
        assert draw_statistics(replace(stats, splits=splits), tmp_path / "a.png").is_file()


def test_names_that_mean_something_to_matplotlib(stats, tmp_path):
    renamed = dict(zip(stats.classes, ["$x^2$", "_hidden", "ключ 钥匙"], strict=True))
    splits = {
        name: replace(
            split, boxes_by_class={renamed[c]: n for c, n in split.boxes_by_class.items()}
        )
        for name, split in stats.splits.items()
    }
    odd = replace(stats, name="$\\frac{$", classes=list(renamed.values()), splits=splits)
    assert draw_statistics(odd, tmp_path / "a.png").is_file()


def test_the_files_about_a_data_set(dataset, stats, tmp_path):
    folder = write_dataset_files(dataset, tmp_path / "run" / "dataset")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert json.loads((folder / "statistics.json").read_text()) == statistics_to_json(stats)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def test_runs_on_one_data_set_share_the_work(dataset, tmp_path, monkeypatch):
    first = write_dataset_files(dataset, tmp_path / "0")
    monkeypatch.setattr(dataset_figures, "dataset_statistics", None)  # not to be called again
    second = write_dataset_files(dataset, tmp_path / "1")
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert write_dataset_files(dataset, tmp_path / "0") == first  # the same folder once more


def test_another_data_set_has_files_of_its_own(dataset, tmp_path):
    write_dataset_files(dataset, tmp_path / "0")
    other = write_dataset_files(replace(dataset, hash="0" * 64), tmp_path / "1")
    assert json.loads((other / "statistics.json").read_text())["hash"] == "0" * 64


def test_files_that_were_removed_are_made_again(dataset, tmp_path):
    first = write_dataset_files(dataset, tmp_path / "0")
    (first / "statistics.png").unlink()
    second = write_dataset_files(dataset, tmp_path / "1")
    assert sorted(path.name for path in second.iterdir()) == FILES


def test_matplotlib_only_when_drawing_and_without_pyplot(tmp_path):
    code = (
        "import sys\n"
        "from odbench.report import dataset_figures\n"
        "assert not {'matplotlib', 'pandas'} & set(sys.modules)\n"
        "from odbench.dataset.statistics import Statistics\n"
        "from pathlib import Path\n"
        f"path = Path({str(tmp_path / 'a.png')!r})\n"
        "dataset_figures.draw_statistics(Statistics('a', 'b', [], {}, {}, {}), path)\n"
        "assert 'matplotlib.pyplot' not in sys.modules and path.is_file()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
