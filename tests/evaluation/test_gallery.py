import io
from itertools import pairwise

import pytest
from PIL import Image

from odbench.errors import EvaluationError
from odbench.evaluation.gallery import Picture, class_colour, draw_gallery

GREY = (120, 120, 120)
CLASSES = ["cat", "dog"]


def encoded(width, height, file_format="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), GREY).save(buffer, file_format)
    return buffer.getvalue()


def found(category, bbox, score, image=1):
    return {"image_id": image, "category_id": category, "bbox": bbox, "score": score}


def drawn(tmp_path, picture, detections, **options):
    (path,) = draw_gallery([picture], detections, CLASSES, tmp_path / "gallery", **options)
    with Image.open(path) as image:
        return image.convert("RGB")


def colours(image):
    return {colour for _, colour in image.getcolors(image.width * image.height)}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((128, 128), (256, 256)),
        ((64, 128), (256, 512)),
        ((300, 400), (300, 400)),
        ((1280, 960), (640, 480)),
        ((40, 2000), (13, 640)),
        ((100, 640), (100, 640)),
        ((1, 5000), (1, 640)),
    ],
)
def test_small_pictures_are_enlarged_and_large_ones_reduced(tmp_path, size, expected):
    assert drawn(tmp_path, Picture(1, encoded(*size), []), []).size == expected


def test_one_file_per_picture_in_order(tmp_path):
    pictures = [Picture(12, encoded(300, 300, "JPEG"), []), Picture(3, encoded(300, 300), [])]
    paths = draw_gallery(iter(pictures), [], CLASSES, tmp_path / "a" / "b")
    assert [path.name for path in paths] == ["image_000012.png", "image_000003.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_picture_without_boxes_stays_as_it_was(tmp_path):
    assert colours(drawn(tmp_path, Picture(1, encoded(300, 300), []), [])) == {GREY}


def test_detection_has_the_colour_of_its_class_where_its_box_is(tmp_path):
    picture = Picture(1, encoded(150, 150), [])  # drawn at 256/150
    image = drawn(tmp_path, picture, [found(2, [75, 75, 60, 60], 0.9)])
    scale = 256 / 150
    middle = round(105 * scale)
    for point in [
        (round(75 * scale), middle),
        (round(135 * scale) - 1, middle),
        (middle, round(135 * scale) - 1),
    ]:
        assert image.getpixel(point) == class_colour(1)
    assert image.getpixel((middle, middle)) == GREY
    assert class_colour(0) not in colours(image)


def test_ground_truth_is_dashed(tmp_path):
    image = drawn(tmp_path, Picture(1, encoded(300, 300), [("cat", 50, 60, 250, 260)]), [])
    edge = [image.getpixel((50, y)) for y in range(60, 250)]
    assert {(255, 255, 255), (0, 0, 0)} == set(edge)
    changes = sum(a != b for a, b in pairwise(edge))
    assert changes > 20
    assert image.getpixel((150, 150)) == GREY


def test_threshold_and_other_images_are_left_out(tmp_path):
    detections = [
        found(1, [10, 10, 50, 50], 0.49),
        found(2, [100, 100, 50, 50], 0.5),
        found(1, [10, 10, 50, 50], 0.9, image=2),
    ]
    seen = colours(drawn(tmp_path, Picture(1, encoded(300, 300), []), detections))
    assert class_colour(1) in seen
    assert class_colour(0) not in seen
    low = drawn(tmp_path, Picture(1, encoded(300, 300), []), detections, score_threshold=0.4)
    assert class_colour(0) in colours(low)


def test_the_better_of_two_is_on_top(tmp_path):
    detections = [found(1, [20, 60, 100, 100], 0.9), found(2, [20, 60, 100, 100], 0.6)]
    image = drawn(tmp_path, Picture(1, encoded(300, 300), []), detections)
    assert image.getpixel((20, 100)) == class_colour(0)


@pytest.mark.parametrize(
    "bbox", [[-50, -50, 900, 900], [299.9, 299.9, 5, 5], [500, 500, 10, 10], [20, 20, 0, 0]]
)
def test_boxes_beyond_the_picture_or_without_size_are_drawn_at_its_edge(tmp_path, bbox):
    x, y, width, height = bbox
    picture = Picture(1, encoded(300, 300), [("dog", x, y, x + width, y + height)])
    image = drawn(tmp_path, picture, [found(1, bbox, 0.8)])
    assert image.size == (300, 300)
    assert class_colour(0) in colours(image)


def test_same_input_gives_the_same_bytes(tmp_path):
    pictures = [Picture(1, encoded(90, 120), [("cat", 5, 5, 50, 50)])]
    detections = [found(1, [4, 4, 50, 50], 0.8), found(2, [40, 40, 30, 30], 0.8)]
    first, second = (
        draw_gallery(pictures, detections, CLASSES, tmp_path / name)[0].read_bytes()
        for name in ("first", "second")
    )
    assert first == second


def test_neighbouring_classes_differ_in_colour():
    palette = [class_colour(index) for index in range(20)]
    assert len(set(palette)) == 20
    for a, b in pairwise(palette):
        assert sum(abs(x - y) for x, y in zip(a, b, strict=True)) > 150


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(300, 300)[:200]])
def test_broken_picture_is_named(tmp_path, content):
    with pytest.raises(EvaluationError, match="image 4"):
        draw_gallery([Picture(4, content, [])], [], CLASSES, tmp_path)
