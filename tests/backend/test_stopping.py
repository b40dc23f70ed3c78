import pytest
from factories import make_point
from hypothesis import given
from hypothesis import strategies as st

from odbench.backend.stopping import best_point, has_stalled

NUMBERS = st.lists(st.none() | st.sampled_from([0.0, 0.1, 0.2, 0.5]), max_size=8)


def points(aps):
    return [make_point(10 * (i + 1), ap) for i, ap in enumerate(aps)]


@pytest.mark.parametrize(
    ("aps", "step"),
    [
        ([0.1, 0.3, 0.2], 20),
        ([0.3, 0.3], 10),  # the earlier of equals
        ([None, 0.0, None], 20),  # no AP is worse than an AP of 0
        ([None, None], 10),  # unless there is nothing else
    ],
)
def test_the_best(aps, step):
    assert best_point(points(aps)).step == step


def test_there_is_no_best_of_nothing():
    assert best_point([]) is None


@pytest.mark.parametrize(
    ("aps", "patience", "min_delta", "stalled"),
    [
        ([0.1, 0.2, 0.3], 1, 0.0, False),
        ([0.3, 0.3], 1, 0.0, True),  # not better
        ([0.3, 0.2, 0.4, 0.3], 2, 0.0, False),  # begins anew with a better one
        ([0.3, 0.2, 0.1], 2, 0.0, True),
        ([0.30, 0.31, 0.32], 2, 0.05, True),  # better, but not by enough
        ([0.30, 0.34, 0.36], 2, 0.05, False),  # measured from the last one that counted
        ([0.0, 0.0], 2, 0.5, False),  # the first AP counts however small
        ([None, None], 2, 0.0, True),
        ([], 1, 0.0, False),
    ],
)
def test_early_stopping(aps, patience, min_delta, stalled):
    assert has_stalled(points(aps), patience, min_delta) == stalled


@given(NUMBERS, st.integers(1, 4))
def test_more_patience_never_stops_sooner(aps, patience):
    if has_stalled(points(aps), patience + 1, 0.0):
        assert has_stalled(points(aps), patience, 0.0)
