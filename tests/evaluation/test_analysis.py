"""Error types, confusion and pictures, on scenes of a few boxes that can be counted by hand."""

import pytest

from odbench.evaluation.analysis import DRAWS, analyse
from odbench.evaluation.coco import score
from odbench.evaluation.seen import EXTREMES, SHARED

A, B = 1, 2
BOX = [0.0, 0.0, 10.0, 10.0]
FAR = [500.0, 500.0, 10.0, 10.0]
SHIFTED = [5.0, 0.0, 10.0, 10.0]  # IoU 1/3 with BOX
BESIDE = [100.0, 0.0, 10.0, 10.0]


def truth_of(*objects, images=2):
    """Objects as (image, class, bbox) and more fields."""
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in range(1, images + 1)],
        "categories": [{"id": A, "name": "a"}, {"id": B, "name": "b"}],
        "annotations": [
            {"id": n, "image_id": image, "category_id": kind, "bbox": box, **dict(*more)}
            for n, (image, kind, box, *more) in enumerate(objects)
        ],
    }


def found_of(*boxes):
    return [
        {"image_id": image, "category_id": kind, "bbox": box, "score": value}
        for image, kind, box, value in boxes
    ]


# Two objects of class a, one found with score 0.5: AP50 is 51/101. A false detection before it
# halves the precision.
PAIR = truth_of((1, A, BOX), (2, A, BOX))
HIT = (1, A, BOX, 0.5)
HALF, ALL = 51 / 101, 1.0


@pytest.mark.parametrize(
    ("wrong", "kind", "lost"),
    [
        # mended it finds the second object, before the hit
        ((2, A, SHIFTED, 0.9), "localisation", ALL - HALF / 2),
        ((2, B, BOX, 0.4), "classification", ALL - HALF),
        # of these nothing could be made; without them the hit is first
        ((2, A, FAR, 0.9), "background", HALF / 2),
        ((2, B, SHIFTED, 0.9), "both", 0.0),  # of a class without objects: it costs nothing
    ],
)
def test_each_error_has_its_kind_and_price(wrong, kind, lost):
    found = analyse(PAIR, found_of(HIT, wrong))
    missed = 0 if kind in ("localisation", "classification") else 1
    counts = {name: count for name, count in found.error_counts.items() if count}
    assert counts == ({kind: 1, "missed": 1} if missed else {kind: 1})
    assert found.errors[kind] == pytest.approx(lost, abs=1e-5)
    assert set(found.errors) == set(found.error_counts)
    others = {k: v for k, v in found.errors.items() if k not in (kind, "missed")}
    assert set(others.values()) == {0.0}


def test_duplicates_and_misses():
    twice = analyse(truth_of((1, A, BOX), (2, A, BOX)), found_of(HIT, (1, A, BOX, 0.4)))
    assert (twice.error_counts["duplicate"], twice.errors["duplicate"]) == (1, 0.0)
    assert twice.error_counts["missed"] == 1
    assert twice.errors["missed"] == pytest.approx(ALL - HALF, abs=1e-5)


def test_only_the_best_detection_is_mended_for_an_object():
    found = analyse(
        truth_of((1, A, BOX)),
        found_of((1, A, SHIFTED, 0.4), (1, A, SHIFTED, 0.8), (1, B, BOX, 0.6)),
    )
    assert found.error_counts["localisation"] == 2
    assert found.errors["localisation"] == pytest.approx(1.0)
    # the localisation error of score 0.8 would be mended for it, so this one is taken away
    assert found.errors["classification"] == 0.0
    assert found.error_counts["missed"] == 0


def test_draws_are_the_same_for_every_run_on_the_same_images():
    one, other = (analyse(PAIR, found_of(*found)) for found in ([HIT], [HIT, (2, A, BOX, 0.9)]))
    assert one.draws_key == other.draws_key
    assert analyse(truth_of((1, A, BOX), (2, B, BOX)), []).draws_key != one.draws_key
    assert {name: len(draws) for name, draws in one.draws.items()} == dict.fromkeys(
        ("AP", "AP50", "AP75"), DRAWS
    )
    # a draw has the found image 0, 1 or 2 times, and the other run finds everything in each
    assert set(one.draws["AP50"]) == {0.0, round(HALF, 5), 1.0}
    assert set(other.draws["AP"]) == {1.0}
    assert one == analyse(PAIR, found_of(HIT))


def test_curves_are_of_classes_with_objects_and_their_mean_is_the_ap():
    truth = truth_of((1, A, BOX), (2, A, BOX), (1, A, FAR))
    boxes = found_of((1, A, BESIDE, 0.9), (1, A, BOX, 0.8), (2, A, BOX, 0.7), (2, A, FAR, 0.6))
    curves = analyse(truth, boxes).precision
    assert list(curves) == ["a"]
    ap50 = score(truth, boxes).metrics["AP50"]
    assert sum(curves["a"]) / 101 == pytest.approx(ap50, abs=1e-5)


def test_confusion_counts_from_a_score_on_and_leaves_crowds_out():
    crowd = (2, A, [0.0, 0.0, 200.0, 200.0], {"iscrowd": 1})
    truth = truth_of((1, A, BOX), (1, B, BESIDE), (1, B, FAR), crowd)
    boxes = found_of(
        (1, A, BOX, 0.9),
        (1, B, BOX, 0.99),  # its object goes to the detection of its own class
        (1, A, BESIDE, 0.6),  # taken for another class
        (1, B, FAR, 0.4),  # not sure enough
        (2, A, BOX, 0.9),  # in the crowd
    )
    found = analyse(truth, boxes)
    #                            a  b  missed
    assert found.confusion == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert found.score_threshold == 0.5


def test_pictures_are_ordered_from_the_worst_to_the_best():
    truth = truth_of(*((n, A, BOX) for n in range(1, 6)), (5, A, BESIDE), images=6)
    boxes = found_of((1, A, BOX, 0.9), (2, A, FAR, 0.9), (5, A, BOX, 0.9), (5, A, BESIDE, 0.9))
    found = analyse(truth, boxes).pictures
    assert [p.file_name for p in found] == ["2.jpg", "3.jpg", "4.jpg", "6.jpg", "1.jpg", "5.jpg"]
    assert (found[0].objects, found[0].found, found[0].false) == (1, 0, 1)
    assert (found[-1].objects, found[-1].found, found[-1].false) == (2, 2, 0)
    assert found[0].size == []  # this ground truth does not tell it: nothing can be drawn


def test_boxes_are_kept_of_pictures_that_every_run_has_and_of_its_own_extremes():
    truth = truth_of(*((n, A, BOX) for n in range(1, 101)), (1, B, FAR, {"iscrowd": 1}), images=100)
    for image in truth["images"]:
        image |= {"width": 640, "height": 480}
    kept = [
        {seen.image_id: seen for seen in analyse(truth, found_of(*boxes)).pictures}
        for boxes in ([(50, B, BESIDE, 0.75), (50, A, BOX, 0.3)], [(77, A, BOX, 0.9)])
    ]
    shared = {1 + n * 100 // SHARED for n in range(SHARED)}
    assert shared <= set(kept[0]) & set(kept[1])
    assert 77 in kept[1] and 77 not in kept[0]  # its only good one
    assert all(len(found) <= SHARED + 2 * EXTREMES for found in kept)
    first, hit = kept[0][1], kept[1][77]
    assert (first.size, first.truth, first.detections) == ([640, 480], [0, *BOX], [])  # no crowd
    assert list(hit.true_boxes()) == [(0, BOX)]
    assert list(hit.detected_boxes()) == [(0, BOX, 0.9)]


def test_nothing_found_and_nothing_to_find():
    empty = analyse(truth_of(), [])
    assert set(empty.errors.values()) == {None}
    assert set(empty.draws["AP"]) == {None}
    assert empty.precision == {}
    nothing = analyse(PAIR, [])
    assert (nothing.error_counts["missed"], nothing.errors["missed"]) == (2, 1.0)
    assert nothing.confusion == [[0, 0, 2], [0, 0, 0], [0, 0, 0]]
