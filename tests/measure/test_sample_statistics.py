import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odbench.measure.statistics import mean, percentile, project_total, quantiles, t_half_width

times = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50)


def test_mean_of_nothing_is_none():
    assert mean([]) is None
    assert mean([1.0, 2.0, 6.0]) == 3.0


def test_percentile_by_hand():
    # 1..5: p50 is the third; p75 lies at position 3.0, the fourth
    assert percentile([5, 1, 4, 2, 3], 50) == 3.0
    assert percentile([5, 1, 4, 2, 3], 75) == 4.0


@pytest.mark.parametrize(("q", "needed"), [(50, 2), (90, 10), (99, 100)])
def test_percentile_needs_samples_behind_it(q, needed):
    assert percentile([1.0] * (needed - 1), q) is None
    assert percentile([1.0] * needed, q) == 1.0


def test_t_interval_by_hand():
    # 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.302653, half width 4.302653 / sqrt(3) = 2.484138
    assert t_half_width([1.0, 2.0, 3.0]) == pytest.approx(2.484138, abs=1e-6)


def test_total_is_the_sum_where_every_step_was_measured():
    total = project_total([0.5] * 4 + [9.0], 4)
    assert (total.value, total.low, total.high, total.projected) == (2.0, 2.0, 2.0, False)


def test_total_is_projected_from_fewer_steps():
    total = project_total([1.0, 2.0, 3.0], 1000)
    assert total.projected
    assert total.value == pytest.approx(2000)
    assert total.high == pytest.approx(2000 + 2484.138, abs=0.01)
    assert total.low == 0.0  # 2000 - 2484 would be negative


def test_one_sample_gives_no_interval():
    total = project_total([2.0], 10)
    assert (total.value, total.low, total.high) == (20.0, None, None)
    assert project_total([], 10).value is None


@given(times, st.integers(1, 60))
def test_total_lies_within_its_interval(samples, steps):
    total = project_total(samples, steps)
    assert total.value is not None and math.isfinite(total.value)
    assert total.projected == (len(samples) < steps)
    if total.low is not None:
        assert total.low <= total.value <= total.high


@given(times)
def test_median_lies_between_the_extremes(samples):
    median = percentile(samples, 50)
    assert (median is None) == (len(samples) < 2)
    if median is not None:
        assert min(samples) <= median <= max(samples)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_quantiles_are_numpys_to_the_bit(samples, shares):
    assert quantiles(samples, shares) == np.quantile(samples, shares).tolist()
