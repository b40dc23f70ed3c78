import json

import numpy as np
import pytest
from scipy import stats

from odbench.errors import EvaluationError
from odbench.evaluation.bootstrap import (
    ap_interval,
    difference_of,
    interval_of,
    paired_ap_difference,
)
from odbench.evaluation.coco import score
from odbench.evaluation.weighted import match
from odbench.measure.comparing import Verdict

BOX = [0.0, 0.0, 10.0, 10.0]


def one_each(images):
    """One object of one class in every image."""
    return {
        "images": [{"id": number} for number in range(images)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": BOX}
            for number in range(images)
        ],
    }


def found_in(images, value=0.9):
    return [{"image_id": i, "category_id": 1, "bbox": BOX, "score": value} for i in images]


def test_two_images_by_hand():
    # One found, one missed. Of four draws one has the found image twice (AP 1) and one the
    # missed one (AP 0): at 40 % confidence the limits lie among the other half of the draws.
    truth, found = one_each(2), found_in([0])
    wide = ap_interval(truth, found)
    assert wide.estimate == pytest.approx(51 / 101, abs=1e-12)
    assert (wide.low, wide.resamples, wide.level) == (0.0, 1000, 0.95)
    assert wide.high == pytest.approx(1, abs=1e-12)
    narrow = ap_interval(truth, found, level=0.4)
    assert [narrow.low, narrow.high] == pytest.approx([51 / 101] * 2, abs=1e-12)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_share_of_images_found_is_binomial(level):
    # With one object an image and one detection at most, AR100 is the share of images found, and
    # its bootstrap distribution is binomial.
    interval = ap_interval(one_each(40), found_in(range(28)), "AR100", resamples=4000, level=level)
    ends = stats.binom.ppf([(1 - level) / 2, (1 + level) / 2], 40, 28 / 40) / 40
    assert interval.estimate == pytest.approx(0.7)
    assert (interval.low, interval.high) == (
        pytest.approx(ends[0], abs=1 / 40 + 1e-9),
        pytest.approx(ends[1], abs=1 / 40 + 1e-9),
    )


def test_share_of_images_found_equals_scipy_bootstrap():
    truth, hits = one_each(60), np.arange(60) % 3 > 0
    found = found_in(np.flatnonzero(hits).tolist())
    interval = ap_interval(truth, found, "AR100", resamples=1000)
    theirs = stats.bootstrap(
        (hits.astype(float),), np.mean, n_resamples=1000, method="percentile", rng=7
    ).confidence_interval
    assert interval.low == pytest.approx(theirs.low, abs=1 / 60 + 1e-9)
    assert interval.high == pytest.approx(theirs.high, abs=1 / 60 + 1e-9)


@pytest.mark.shared
def test_interval_of_known_detections(shared_data):
    folder = shared_data / "eval_fixtures" / "cocoapi_val2014_100"
    names = ("instances_val2014_100", "instances_val2014_fakebbox100_results")
    problem = [json.loads((folder / f"{name}.json").read_text()) for name in names]
    interval = ap_interval(*problem, "AP50", resamples=100)
    assert interval.estimate == pytest.approx(score(*problem).metrics["AP50"], abs=1e-12)
    assert interval.low < interval.estimate < interval.high
    assert 0.02 < interval.high - interval.low < 0.2
    half = [{**box, "score": 0.5} if box["image_id"] % 2 else box for box in problem[1]]
    difference = paired_ap_difference(*problem, half, "AP50", resamples=100)
    expected = score(problem[0], half).metrics["AP50"] - interval.estimate
    assert difference.difference == pytest.approx(expected, abs=1e-12)


def test_a_seed_gives_one_interval():
    matches = match(one_each(30), found_in(range(17)))
    one = interval_of(matches, resamples=1500, seed=4)
    assert interval_of(matches, resamples=1500, seed=4) == one
    others = {interval_of(matches, resamples=50, seed=seed).low for seed in range(5)}
    assert len(others) > 1


@pytest.mark.parametrize("images", [0, 1])
def test_nothing_to_draw_from_is_no_interval(images):
    truth = one_each(images)
    interval = ap_interval(truth, found_in(range(images)))
    assert (interval.low, interval.high, interval.resamples) == (None, None, 0)
    assert interval.estimate == (pytest.approx(1) if images else None)
    difference = paired_ap_difference(truth, [], [])
    assert (difference.p_value, difference.verdict) == (None, None)
    assert difference.difference == (0 if images else None)


def test_no_ground_truth_is_no_metric():
    truth = one_each(3) | {"annotations": []}
    interval = ap_interval(truth, found_in(range(3)))
    assert (interval.estimate, interval.low, interval.resamples) == (None, None, 0)


def test_draws_without_ground_truth_are_left_out():
    truth = one_each(3)
    truth["annotations"] = truth["annotations"][:1]
    interval = ap_interval(truth, found_in([0]), resamples=2000)
    # a draw misses the one image with an object with probability (2/3)^3
    assert interval.resamples == pytest.approx(2000 * (1 - 8 / 27), abs=80)
    limits = [interval.low, interval.estimate, interval.high]
    assert limits == pytest.approx([1, 1, 1])


def test_a_side_ties_with_itself():
    truth, found = one_each(20), found_in(range(13))
    result = paired_ap_difference(truth, found, found)
    assert (result.difference, result.interval.low, result.interval.high) == (0.0, 0.0, 0.0)
    assert (result.p_value, result.verdict) == (1.0, Verdict.tie)


def test_pairing_shows_what_the_intervals_alone_do_not():
    # b finds what a finds, and six of 60 images more
    truth, a, b = one_each(60), found_in(range(30)), found_in(range(36))
    apart = [ap_interval(truth, side) for side in (a, b)]
    assert apart[0].high > apart[1].low
    result = paired_ap_difference(truth, a, b)
    assert (result.verdict, result.interval.low > 0) == (Verdict.better, True)
    assert result.difference == pytest.approx(apart[1].estimate - apart[0].estimate)
    back = paired_ap_difference(truth, b, a)
    assert (back.verdict, back.difference) == (Verdict.worse, -result.difference)
    assert (back.interval.low, back.interval.high) == (
        pytest.approx(-result.interval.high),
        pytest.approx(-result.interval.low),
    )
    assert back.p_value == result.p_value < 0.05


def test_p_value_by_hand():
    # AR100 of b is higher by 1/30 for each of two images, and lower for none: the difference is
    # 0 in a draw that has neither, probability (28/30)^30 = 0.126, so that p is twice that.
    truth = one_each(30)
    result = paired_ap_difference(
        truth, found_in(range(10)), found_in(range(12)), "AR100", resamples=4000
    )
    assert result.difference == pytest.approx(2 / 30)
    assert result.p_value == pytest.approx(2 * (28 / 30) ** 30, abs=0.04)
    assert (result.verdict, result.interval.low) == (Verdict.tie, 0.0)
    # never 0: the images as they are count as one of the draws
    clear = paired_ap_difference(truth, [], found_in(range(30)), resamples=99)
    assert (clear.p_value, clear.verdict) == (pytest.approx(2 / 100), Verdict.better)


def test_sides_of_two_problems_are_refused():
    a = match(one_each(4), found_in(range(2)))
    fewer = one_each(4)
    fewer["annotations"].pop()
    others = [
        match(one_each(5), found_in(range(2))),
        match(fewer, found_in(range(2))),
        match(one_each(4), found_in(range(2)), "AP50"),
    ]
    for other in others:
        with pytest.raises(EvaluationError, match="one ground truth"):
            difference_of(a, other)


@pytest.mark.parametrize("argument", [{"resamples": 0}, {"level": 1.0}, {"level": 0.0}])
def test_arguments_out_of_range_are_named(argument):
    with pytest.raises(EvaluationError, match=next(iter(argument))):
        ap_interval(one_each(2), [], **argument)
