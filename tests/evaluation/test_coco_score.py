import copy
import io
import json
from contextlib import redirect_stdout

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.config.spec import ScoringEngine
from odbench.evaluation.coco import score, score_files
from odbench.evaluation.names import COCO_METRICS

each_engine = pytest.mark.parametrize("engine", list(ScoringEngine))


@pytest.fixture
def known_answer(shared_data):
    """Ground truth, detections and their published numbers."""
    folder = shared_data / "eval_fixtures" / "cocoapi_val2014_100"
    names = ("instances_val2014_100", "instances_val2014_fakebbox100_results", "expected")
    return [folder / f"{name}.json" for name in names]


def truth_of(boxes, images=(1,), classes=("thing",), **common):
    """Ground truth of (image, category, x, y, width, height)."""
    return {
        "images": [{"id": number} for number in images],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": bbox, **common}
            for number, (image, category, *bbox) in enumerate(boxes, 1)
        ],
    }


def found_of(boxes):
    """Detections of (image, category, x, y, width, height, score)."""
    return [
        {"image_id": image, "category_id": category, "bbox": bbox, "score": value}
        for image, category, *bbox, value in boxes
    ]


def as_found(truth, value=0.9):
    return [
        {key: box[key] for key in ("image_id", "category_id", "bbox")} | {"score": value}
        for box in truth["annotations"]
    ]


def assert_engines_equal(truth, found):
    reference = score(truth, found, ScoringEngine.pycocotools)
    faster = score(truth, found, ScoringEngine.faster_coco_eval)
    assert reference.metrics == faster.metrics
    assert reference.per_class == faster.per_class
    return reference


@pytest.mark.shared
@each_engine
def test_known_answer(engine, known_answer):
    *files, published = known_answer
    expected = json.loads(published.read_text())["bbox"]
    spelled = {"APs": "AP_small", "APm": "AP_medium", "APl": "AP_large"}
    spelled |= {"ARs": "AR_small", "ARm": "AR_medium", "ARl": "AR_large"}
    scores = score_files(*files, engine)
    assert len(expected) == len(scores.metrics) == 12
    for name, value in expected.items():
        assert scores.metrics[spelled.get(name, name)] == pytest.approx(value, abs=1e-9)
    assert (scores.images, scores.detections, len(scores.per_class)) == (100, 734, 80)


@pytest.mark.shared
def test_every_engine_equals_the_stock_evaluation_to_the_last_bit(known_answer):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    files = known_answer[:2]
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(files[0]))
        stock = COCOeval(truth, truth.loadRes(str(files[1])), "bbox")
        stock.evaluate()
        stock.accumulate()
        stock.summarize()
    reference, faster = (score_files(*files, engine) for engine in ScoringEngine)
    assert list(reference.metrics.values()) == stock.stats.tolist()
    assert reference.metrics == faster.metrics
    assert reference.per_class == faster.per_class


@each_engine
def test_average_precision_by_hand(engine):
    # Two boxes of 10 x 10. By falling score: a hit, a miss, a hit.
    #   precision 1/1, 1/2, 2/3    recall 1/2, 1/2, 1
    # Interpolated, the precision is 1 at the 51 recalls 0.00 to 0.50, then 2/3 at the other 50.
    truth = truth_of([(1, 1, 0, 0, 10, 10), (1, 1, 50, 50, 10, 10)])
    found = found_of(
        [
            (1, 1, 0, 0, 10, 10, 0.9),
            (1, 1, 200, 200, 10, 10, 0.8),
            (1, 1, 50, 50, 10, 10, 0.7),
        ]
    )
    by_hand = (51 * 1 + 50 * 2 / 3) / 101
    scores = score(truth, found, engine)
    for name in ("AP", "AP50", "AP75", "AP_small"):
        assert scores.metrics[name] == pytest.approx(by_hand, abs=1e-12)
    assert scores.per_class == {"thing": scores.metrics["AP"]}
    # With one detection of the image only the first hit counts; with ten both do.
    assert [scores.metrics[name] for name in ("AR1", "AR10", "AR100")] == [0.5, 1.0, 1.0]
    # 100 square pixels are small: nothing is known of the other sizes.
    for name in ("AP_medium", "AP_large", "AR_medium", "AR_large"):
        assert scores.metrics[name] is None


@each_engine
def test_overlap_by_hand(engine):
    # 72 of 100 square pixels covered: IoU 0.72 reaches 0.50, 0.55, 0.60, 0.65 and 0.70, five of
    # the ten thresholds.
    truth = truth_of([(1, 1, 0, 0, 10, 10)])
    metrics = score(truth, found_of([(1, 1, 0, 0, 10, 7.2, 0.9)]), engine).metrics
    assert metrics["AP50"] == pytest.approx(1, abs=1e-12)
    assert metrics["AP75"] == 0
    assert metrics["AP"] == pytest.approx(0.5, abs=1e-12)
    assert metrics["AR100"] == pytest.approx(0.5, abs=1e-12)


@each_engine
def test_class_average_precision_by_hand(engine):
    # dog: found. cat: a better scored miss comes first, so the precision is 1/2 throughout.
    # AP is the mean of the classes that have ground truth.
    boxes = [(1, 1, 0, 0, 40, 40), (2, 2, 0, 0, 40, 40)]
    truth = truth_of(boxes, images=(1, 2), classes=("dog", "cat", "bird"))
    found = [(1, 1, 0, 0, 40, 40, 0.5), (2, 2, 0, 0, 40, 40, 0.5), (2, 2, 99, 99, 40, 40, 0.6)]
    scores = score(truth, found_of([*found, (1, 3, 0, 0, 9, 9, 1.0)]), engine)
    assert scores.per_class == {"dog": pytest.approx(1), "cat": pytest.approx(0.5), "bird": None}
    assert scores.metrics["AP"] == pytest.approx(0.75)
    assert scores.metrics["AP_medium"] == pytest.approx(0.75)
    assert scores.metrics["AP_small"] is None


@each_engine
def test_ground_truth_against_itself_is_perfect(engine):
    boxes = [(n, 1 + n % 3, 5 * n, 7, 20 * n, 20 * n) for n in range(1, 9)]
    truth = truth_of(boxes, images=range(1, 9), classes="abc")
    scores = score(truth, as_found(truth), engine)
    for value in (*scores.metrics.values(), *scores.per_class.values()):
        assert value == pytest.approx(1, abs=1e-12)


@each_engine
def test_no_detections_are_zero_where_there_is_ground_truth(engine):
    truth = truth_of([(1, 1, 0, 0, 10, 10)], classes=("a", "b"))
    scores = score(truth, [], engine)
    assert scores.per_class == {"a": 0.0, "b": None}
    assert scores.metrics["AP"] == scores.metrics["AP_small"] == scores.metrics["AR1"] == 0.0
    assert scores.metrics["AP_large"] is None
    assert (scores.images, scores.detections) == (1, 0)


@each_engine
@pytest.mark.parametrize(
    ("images", "classes"), [((), ()), ((1,), ()), ((), ("a",)), ((1, 2), ("a", "b"))]
)
def test_no_ground_truth_is_unknown(engine, images, classes):
    truth = truth_of([], images, classes)
    found = found_of([(1, 1, 0, 0, 9, 9, 0.5)]) if images and classes else []
    scores = score(truth, found, engine)
    assert scores.metrics == dict.fromkeys(COCO_METRICS)
    assert scores.per_class == dict.fromkeys(classes)


@each_engine
def test_only_crowds_are_no_ground_truth(engine):
    truth = truth_of([(1, 1, 0, 0, 99, 99)], iscrowd=1)
    assert score(truth, as_found(truth), engine).metrics["AP"] is None


@each_engine
def test_given_area_decides_the_size_class(engine):
    truth = truth_of([(1, 1, 0, 0, 50, 50)], area=100)
    metrics = score(truth, as_found(truth), engine).metrics
    assert metrics["AP_small"] == pytest.approx(1)
    assert metrics["AP_medium"] is None


@each_engine
def test_category_ids_may_have_gaps_and_come_in_any_order(engine):
    truth = truth_of([(1, 1, 0, 0, 9, 9), (1, 2, 20, 20, 9, 9)])
    truth["categories"] = [{"id": 90, "name": "late"}, {"id": 3, "name": "early"}]
    truth["annotations"][0]["category_id"] = 90
    truth["annotations"][1]["category_id"] = 3
    found = as_found(truth)[:1]
    scores = score(truth, found, engine)
    assert list(scores.per_class) == ["early", "late"]
    assert scores.per_class == {"early": 0.0, "late": pytest.approx(1)}


@each_engine
def test_ids_may_be_zero_negative_or_large(engine):
    # Both engines take a box of id 0 for "none matched".
    truth = truth_of([(1, 1, 0, 0, 9, 9), (1, 1, 20, 20, 9, 9)])
    truth["images"] = [{"id": 2**53 + 1}, {"id": 2**53}, {"id": 0}]
    for box, identity, image in zip(truth["annotations"], (0, -4), (2**53, 2**53 + 1), strict=True):
        box |= {"id": identity, "image_id": image}
    assert score(truth, as_found(truth), engine).metrics["AP"] == pytest.approx(1)


@each_engine
def test_inputs_are_left_as_they_were_and_nothing_is_printed(engine, capsys):
    truth = truth_of([(1, 1, 0, 0, 9, 9), (1, 1, 20, 20, 9, 9)])
    found = as_found(truth)
    before = copy.deepcopy((truth, found))
    score(truth, found, engine)
    assert (truth, found) == before
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("boxes", [1, 2, 3, 4, 64, 65, 100, 101, 150, 200, 201, 300])
@pytest.mark.parametrize("hits", ["hm", "hh", "hmh", "hhm", "mhh", "hmmhh"])
def test_engines_round_the_first_match_alike(boxes, hits):
    # The reference's precision of one hit among one detection is a little below 1; whether a
    # second hit lifts it to 1 is what the engines could disagree about.
    truth = truth_of([(1 + n % 5, 1, 20 * n, 0, 10, 10) for n in range(boxes)], range(1, 6))
    ranked = iter(as_found(truth))
    found = []
    for rank, hit in enumerate(hits):
        miss = {"image_id": 1, "category_id": 1, "bbox": [0, 500, 10, 10]}
        found.append((next(ranked, miss) if hit == "h" else miss) | {"score": 1 - rank / 10})
    assert_engines_equal(truth, found)


def test_engines_agree_beyond_a_hundred_detections_of_an_image_with_ties():
    truth = truth_of([(1, 1, 12 * n, 0, 10, 10) for n in range(150)])
    found = as_found(truth, 0.5) + as_found(truth, 0.5)
    reference = assert_engines_equal(truth, found)
    assert reference.metrics["AR100"] == pytest.approx(100 / 150)


sides = st.sampled_from([0, 4, 10, 31, 32, 33, 96, 97])
boxes = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(0, 12), st.integers(0, 12), sides, sides
)


@st.composite
def problems(draw):
    truth = truth_of(draw(st.lists(boxes, max_size=14)), images=(1, 2, 3), classes="abc")
    for box in truth["annotations"]:
        box["iscrowd"] = draw(st.sampled_from([0, 0, 0, 1]))
        if draw(st.booleans()):
            box["area"] = draw(sides) ** 2
    values = st.sampled_from([0.1, 0.5, 0.9]) | st.floats(0, 1)
    found = [{**box, "score": draw(values)} for box in as_found(truth) if draw(st.booleans())]
    extra = draw(st.lists(boxes, max_size=14))
    return truth, found + [{**b, "score": draw(values)} for b in as_found(truth_of(extra))]


@settings(max_examples=60, deadline=None)
@given(problems())
def test_engines_agree_on_any_problem(problem):
    scores = assert_engines_equal(*problem)
    for value in (*scores.metrics.values(), *scores.per_class.values()):
        assert value is None or 0 <= value <= 1
