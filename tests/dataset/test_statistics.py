import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.coco import CocoWriter
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.statistics import (
    SizeCounts,
    Spread,
    dataset_statistics,
    render_statistics,
    statistics_to_json,
)
from odbench.dataset.types import Box, Dataset, LabelledImage, Split
from odbench.errors import DatasetError

CLASSES = ["cat", "dog", "owl"]


def image(boxes, width=200, height=100):
    return LabelledImage("a.jpg", b"", "jpeg", width, height, boxes)


def square(label, side, **options):
    return Box(label, 0.0, 0.0, float(side), float(side), **options)


@pytest.fixture
def dataset_of(tmp_path):
    """A data set whose splits hold the given pictures; only its ground truth is on disk."""

    def make(**splits):
        made = {}
        for name, images in splits.items():
            truth = tmp_path / f"instances_{name}.json"
            with CocoWriter(truth, {label: n for n, label in enumerate(CLASSES, 1)}) as coco:
                for number, each in enumerate(images, 1):
                    coco.add(each, number)
            made[name] = Split(coco.images, coco.boxes.total(), [], truth)
        return Dataset("trial", tmp_path, "f" * 64, CLASSES, tmp_path / "label_map.pbtxt", made)

    return make


def text(stats, width=120):
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_statistics(stats))
    return stream.getvalue()


def test_a_set_counted_by_hand(dataset_of):
    train = [
        image([square("cat", 10), square("cat", 40), square("dog", 100, difficult=True)]),
        image([], 64, 64),
        image([Box("dog", 0, 0, 60, 30, crowd=True)]),
    ]
    stats = dataset_statistics(dataset_of(train=train, val=[image([square("owl", 20)])]))
    split = stats.splits["train"]
    assert (split.images, split.boxes, split.images_without_boxes) == (3, 4, 1)
    assert (split.crowd, split.difficult) == (1, 1)
    assert split.boxes_by_class == {"cat": 2, "dog": 2, "owl": 0}
    assert split.images_by_class == {"cat": 1, "dog": 2, "owl": 0}
    assert split.boxes_per_image == Spread(0, 4 / 3, 1, 3)
    assert split.images_by_boxes == {0: 1, 1: 1, 3: 1}
    assert split.sizes == SizeCounts(small=1, medium=2, large=1)
    assert split.sizes_by_class["cat"] == SizeCounts(1, 1, 0)
    assert split.sizes_by_class["owl"] == SizeCounts(0, 0, 0)
    assert split.aspect == Spread(1, 1.25, 1, 2)
    assert split.side_share.max == pytest.approx(100 / 20000**0.5)
    assert split.image_sizes.commonest == {"200x100": 2, "64x64": 1}
    assert (split.image_sizes.smallest, split.image_sizes.largest) == ([64, 64], [200, 100])
    assert stats.class_shares["cat"] == {"train": 0.5, "val": 0.0}
    assert stats.missing_classes == {"train": ["owl"], "val": ["cat", "dog"]}


@pytest.mark.parametrize(
    ("side", "size"),
    [(31.99, "small"), (32, "medium"), (95.99, "medium"), (96, "large")],
)
def test_the_bounds_of_coco(dataset_of, side, size):
    split = dataset_statistics(dataset_of(train=[image([square("cat", side)])])).splits["train"]
    counts = {"small": 0, "medium": 0, "large": 0} | {size: 1}
    assert split.sizes == SizeCounts(**counts)
    # The same bounds are edges of the histogram.
    edges, filled = split.side_px.edges, split.side_px.counts.index(1)
    assert edges[filled] <= side < edges[filled + 1]
    assert {32, 96} <= set(edges)


def test_the_area_of_a_mask_counts(dataset_of):
    box = square("cat", 50, mask_area=900.0)
    split = dataset_statistics(dataset_of(train=[image([box])])).splits["train"]
    assert split.sizes == SizeCounts(1, 0, 0)
    assert split.side_share.max == pytest.approx(50 / 20000**0.5)  # of the box


def test_a_ground_truth_without_areas(dataset_of):
    dataset = dataset_of(train=[image([square("cat", 50)])])
    path = dataset.splits["train"].ground_truth
    truth = json.loads(path.read_text())
    del truth["annotations"][0]["area"], truth["annotations"][0]["iscrowd"]
    path.write_text(json.dumps(truth))
    split = dataset_statistics(dataset).splits["train"]
    assert (split.sizes, split.crowd) == (SizeCounts(0, 1, 0), 0)


def test_extreme_shapes_are_in_the_outer_bins(dataset_of):
    boxes = [Box("cat", 0, 0, 100, 1), Box("cat", 0, 0, 1, 100), square("dog", 0.5)]
    split = dataset_statistics(dataset_of(train=[image(boxes)])).splits["train"]
    assert split.aspect_histogram.counts[0] == split.aspect_histogram.counts[-1] == 1
    assert split.side_px.counts[0] == 1
    middle = len(split.aspect_histogram.counts) // 2
    assert split.aspect_histogram.counts[middle] == 1
    edges = split.aspect_histogram.edges
    assert edges[middle] * edges[middle + 1] == pytest.approx(1)


def test_what_is_not_there_is_none(dataset_of):
    stats = dataset_statistics(dataset_of(train=[image([])], val=[]))
    assert stats.splits["train"].aspect == Spread(None, None, None, None)
    assert stats.splits["val"].boxes_per_image == Spread(None, None, None, None)
    assert stats.splits["val"].image_sizes.smallest is None
    assert stats.class_shares["cat"] == {"train": None, "val": None}
    assert "None" not in text(stats) and "nan" not in text(stats)


box_sides = st.floats(0.5, 100)
labelled_boxes = st.builds(
    lambda label, w, h: Box(label, 0.0, 0.0, w, h), st.sampled_from(CLASSES), box_sides, box_sides
)


@settings(max_examples=40, deadline=None)
@given(pictures=st.lists(st.lists(labelled_boxes, max_size=6), min_size=1, max_size=6))
def test_every_count_adds_up(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("counted")
    truth = folder / "instances.json"
    with CocoWriter(truth, {label: n for n, label in enumerate(CLASSES, 1)}) as coco:
        for number, boxes in enumerate(pictures, 1):
            coco.add(image(boxes), number)
    splits = {"train": Split(len(pictures), sum(map(len, pictures)), [], truth)}
    dataset = Dataset("trial", folder, "f" * 64, CLASSES, folder, splits)
    split = dataset_statistics(dataset).splits["train"]
    total = sum(map(len, pictures))
    assert split.boxes == total == sum(split.boxes_by_class.values())
    for histogram in (split.side_px, split.aspect_histogram, split.side_share_histogram):
        assert sum(histogram.counts) == total
        assert len(histogram.edges) == len(histogram.counts) + 1
        assert histogram.edges == sorted(histogram.edges)
    sizes = split.sizes
    assert sizes.small + sizes.medium + sizes.large == total
    by_class = list(split.sizes_by_class.values())
    assert sum(size.small for size in by_class) == sizes.small
    assert sum(split.images_by_boxes.values()) == split.images == len(pictures)
    assert sum(n * images for n, images in split.images_by_boxes.items()) == total
    if total:
        shapes = [box.xmax / box.ymax for boxes in pictures for box in boxes]
        assert split.aspect.p50 == pytest.approx(np.median(shapes))


def test_as_json_it_can_be_read_back(dataset_of):
    stats = dataset_statistics(dataset_of(train=[image([square("cat", 10)])], val=[image([])]))
    body = json.loads(json.dumps(statistics_to_json(stats)))
    assert body == statistics_to_json(stats)
    assert body["splits"]["train"]["images_by_boxes"] == {"1": 1}
    assert body["splits"]["train"]["sizes"] == {"small": 1, "medium": 0, "large": 0}
    assert body["splits"]["val"]["aspect"]["mean"] is None
    assert body["hash"] == "f" * 64


def test_the_sizes_of_many_pictures_are_cut_and_counted(dataset_of):
    images = [image([], width, 50) for width in range(60, 360)] + [image([], 77, 50)]
    sizes = dataset_statistics(dataset_of(train=images)).splits["train"].image_sizes
    assert sizes.distinct == 300
    assert len(sizes.commonest) == 200
    assert next(iter(sizes.commonest.items())) == ("77x50", 2)
    assert (sizes.smallest, sizes.largest) == ([60, 50], [359, 50])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not COCO"),
        ('{"images": []}', "not COCO"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "not COCO"),
        (
            '{"images": [{"id": 1, "width": 9, "height": 9}], "annotations": '
            '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3]}], '
            '"categories": [{"id": 1, "name": "cat"}]}',
            "not COCO",
        ),
        (
            '{"images": [{"id": 1, "width": 9, "height": 9}], "annotations": '
            '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}], '
            '"categories": [{"id": 1, "name": "emu"}]}',
            "class that the data set has not",
        ),
    ],
)
def test_a_damaged_ground_truth_is_named(dataset_of, content, message):
    dataset = dataset_of(train=[image([])])
    dataset.splits["train"].ground_truth.write_text(content)
    with pytest.raises(DatasetError, match=message) as caught:
        dataset_statistics(dataset)
    assert caught.value.where == str(dataset.splits["train"].ground_truth)


def test_a_missing_ground_truth_is_named(dataset_of, tmp_path):
    dataset = dataset_of(train=[image([])])
    gone = replace(dataset.splits["train"], ground_truth=tmp_path / "gone.json")
    with pytest.raises(DatasetError, match=r"gone\.json: cannot read"):
        dataset_statistics(replace(dataset, splits={"train": gone}))


def test_the_table_shows_the_numbers(dataset_of):
    train = [image([square("cat", 10), square("cat", 40), square("dog", 96)])]
    shown = text(dataset_statistics(dataset_of(train=train, val=[image([square("cat", 10)])])))
    lines = [line.split() for line in shown.splitlines()]
    assert ["cat", "2", "66.7%", "1/1/0", "1", "100.0%", "1/0/0"] in lines
    assert ["boxes", "3", "1"] in lines
    assert "No box in train: owl" in shown
    assert "No box in val: dog, owl" in shown


def test_the_table_takes_names_as_they_are(dataset_of):
    dataset = dataset_of(train=[image([square("cat", 10)])])
    shown = text(dataset_statistics(replace(dataset, name="[red]set[/nothing]")))
    assert "[red]set[/nothing]" in shown


def test_the_embedded_set(shapes_spec, cache_dir):
    dataset = prepare_dataset(shapes_spec, cache_dir)
    stats = dataset_statistics(dataset)
    assert {name: split.images for name, split in stats.splits.items()} == dataset.summary.images
    assert {name: split.boxes for name, split in stats.splits.items()} == dataset.summary.boxes
    assert stats.splits["val"].image_sizes.commonest == {"48x48": 4}


@pytest.mark.shared
def test_a_real_set(shared_data, cache_dir):
    source = str(shared_data / "sets" / "bccd")
    spec = DatasetSpec(name="bccd", kind=DatasetKind.voc, dir=source)
    stats = dataset_statistics(prepare_dataset(spec, cache_dir))
    assert {name: split.images for name, split in stats.splits.items()} == {"train": 205, "val": 87}
    assert stats.splits["train"].image_sizes.commonest == {"640x480": 205}
    boxes = sum(split.boxes for split in stats.splits.values())
    assert boxes / 292 == pytest.approx(13, abs=1)
    assert stats.class_shares["RBC"]["train"] > 0.8
    assert stats.missing_classes == {"train": [], "val": []}
