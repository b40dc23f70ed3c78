import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from odbench.measure.comparing import (
    Unit,
    Verdict,
    block_means,
    mann_whitney,
    repeated,
    replicates,
)

# Hollander and Wolfe, Nonparametric Statistical Methods, on the permeability of two membranes
# (also an example of R's wilcox.test): W = 35, one-sided p = 0.1272, estimate 0.305, and with
# conf.int = TRUE the interval -0.15 to 0.76.
AT_TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLIER = [1.15, 0.88, 0.90, 0.74, 1.21]

few = st.lists(st.integers(0, 8).map(float), min_size=1, max_size=4)


def test_repeats_by_hand():
    # 1, 2, 3: s = 1, t(0.975, 2) = 4.302653, half width 4.302653 / sqrt(3)
    three = repeated([1.0, 2.0, 3.0])
    assert (three.n, three.mean, three.spread) == (3, 2.0, 1.0)
    assert three.low == pytest.approx(2 - 2.484138, abs=1e-6)
    assert three.high == pytest.approx(2 + 2.484138, abs=1e-6)


def test_few_measurements_have_no_interval_and_one_has_no_spread():
    one, none, two = repeated([4.0]), repeated([]), repeated([1.0, 3.0])
    assert (two.n, two.mean, two.low, two.high) == (2, 2.0, None, None)
    assert two.spread == pytest.approx(2**0.5)
    assert (one.n, one.mean, one.spread, one.low, one.high) == (1, 4.0, None, None, None)
    assert (none.n, none.mean, none.spread, none.low, none.high) == (0, None, None, None, None)


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=20).filter(lambda v: np.std(v) > 1e-3))
def test_repeats_equal_scipy(values):
    summed = repeated(values, confidence=0.9)
    low, high = stats.t.interval(0.9, len(values) - 1, np.mean(values), stats.sem(values))
    assert (summed.low, summed.high) == (pytest.approx(low), pytest.approx(high))
    assert summed.spread == pytest.approx(stats.tstd(values))


def test_four_against_four_by_hand():
    # Of the 70 ways to place four among eight, two are as far apart as this: p = 2/70. One
    # difference on either side may be left out of the 16: the interval is 5 - 4 to 8 - 1.
    result = mann_whitney([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0])
    assert result.p_value == pytest.approx(2 / 70)
    assert (result.shift, result.low, result.high) == (4.0, 1.0, 7.0)
    assert result.ratio == pytest.approx(6.5 / 2.5)
    assert (result.n_a, result.n_b, result.decidable) == (4, 4, True)
    assert result.verdict is Verdict.worse
    faster = mann_whitney([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], lower_is_better=False)
    assert faster.verdict is Verdict.better


def test_three_against_three_can_only_tie():
    # 2 of 20 arrangements: p = 0.1, however far apart they lie
    result = mann_whitney([1.0, 2.0, 3.0], [1001.0, 1002.0, 1003.0])
    assert result.p_value == pytest.approx(0.1)
    assert (result.verdict, result.decidable) == (Verdict.tie, False)
    assert (result.shift, result.low, result.high) == (1000.0, None, None)


def test_published_example():
    result = mann_whitney(EARLIER, AT_TERM)
    assert result.p_value == pytest.approx(2 * 0.1272, abs=1e-4)
    assert result.shift == pytest.approx(0.305)
    assert (result.low, result.high) == (pytest.approx(-0.15), pytest.approx(0.76))
    assert result.verdict is Verdict.tie


# Critical values of U of the usual tables, two-sided at 5 %: significant at or below.
TABLE = [(4, 4, 0), (5, 5, 2), (6, 6, 5), (5, 8, 6), (7, 7, 8), (8, 8, 13), (8, 20, 41)]
TABLE += [(9, 9, 17), (10, 10, 23), (15, 15, 64), (20, 20, 127)]


@pytest.mark.parametrize(("m", "n", "critical"), TABLE)
def test_interval_leaves_out_what_the_tables_say(m, n, critical):
    generator = np.random.default_rng(m * n)
    a, b = generator.normal(size=m), generator.normal(size=n)
    differences = sorted(y - x for x in a for y in b)
    result = mann_whitney(a.tolist(), b.tolist())
    assert result.low == differences[critical]
    assert result.high == differences[-critical - 1]
    assert result.shift == pytest.approx(np.median(differences))


@given(few, few)
@settings(max_examples=60, deadline=None)
def test_small_p_values_are_exact_ties_or_not(a, b):
    """By counting wins and draws in every way to deal the values out."""

    def wins(chosen):
        rest = [values[i] for i in range(len(values)) if i not in chosen]
        mine = [values[i] for i in chosen]
        return sum((y < x) + (y == x) / 2 for x in mine for y in rest)

    values = a + b
    dealt = [wins(chosen) for chosen in itertools.combinations(range(len(values)), len(a))]
    mine = wins(range(len(a)))
    tail = min(sum(w <= mine for w in dealt), sum(w >= mine for w in dealt)) / len(dealt)
    assert mann_whitney(a, b).p_value == pytest.approx(min(1, 2 * tail))


def test_tied_p_value_equals_scipy_permutations():
    a, b = [1.0, 2.0, 2.0, 3.0, 4.0], [3.0, 4.0, 4.0, 5.0, 6.0]
    every = stats.PermutationMethod(n_resamples=10_000)
    expected = stats.mannwhitneyu(a, b, method=every).pvalue
    assert mann_whitney(a, b).p_value == pytest.approx(expected)


@given(st.permutations(range(12)), st.integers(3, 9), st.integers(-15, 15))
@settings(max_examples=60, deadline=None)
def test_interval_goes_with_the_test(order, size, shift):
    # halves, so that no two values are equal
    a = [float(v) for v in order[:size]]
    b = [v + shift + 0.5 for v in order[size:]]
    result = mann_whitney(a, b)
    if result.low is not None:
        assert (result.p_value <= 0.05) == (result.low > 0 or result.high < 0)
        assert (result.verdict is Verdict.tie) == (result.low < 0 < result.high)
    else:
        assert not result.decidable


@given(few, few)
@settings(max_examples=60, deadline=None)
def test_sides_changed_give_the_opposite(a, b):
    one, other = mann_whitney(a, b), mann_whitney(b, a)
    opposite = {Verdict.better: Verdict.worse, Verdict.worse: Verdict.better}
    assert one.p_value == pytest.approx(other.p_value)
    assert one.shift == -other.shift
    assert opposite.get(one.verdict, Verdict.tie) is other.verdict
    assert (one.low is None) == (other.low is None)
    if one.low is not None:
        assert (one.low, one.high) == (-other.high, -other.low)


def test_many_equal_scipy_approximation():
    generator = np.random.default_rng(3)
    a, b = generator.normal(10, 1, 40).round(1), generator.normal(11, 1, 50).round(1)
    result = mann_whitney(a.tolist(), b.tolist())
    expected = stats.mannwhitneyu(a, b, method="asymptotic").pvalue
    assert result.p_value == pytest.approx(expected, rel=1e-12)
    assert result.verdict is Verdict.worse
    assert result.low < 1 < result.high


@pytest.mark.parametrize("size", [1, 3, 30])
def test_equal_values_tie(size):
    result = mann_whitney([2.0] * size, [2.0] * size)
    assert (result.verdict, result.p_value, result.shift) == (Verdict.tie, 1.0, 0.0)


def test_smallest_relevant_difference():
    a, b = [10.0, 10.1, 10.2, 10.3, 10.4], [10.6, 10.7, 10.8, 10.9, 11.0]
    assert mann_whitney(a, b, relevant=0.5).verdict is Verdict.worse
    assert mann_whitney(a, b, relevant=0.7).verdict is Verdict.tie
    assert mann_whitney(b, a, relevant=0.5).verdict is Verdict.better
    assert mann_whitney(a, b, relevant=0.7).p_value == pytest.approx(2 / math.comb(10, 5))
    assert mann_whitney(a, b, alpha=0.001).verdict is Verdict.tie


def test_nothing_compared_is_no_verdict():
    result = mann_whitney([], [1.0])
    assert (result.verdict, result.p_value, result.shift, result.ratio) == (None,) * 4
    assert (result.n_a, result.n_b, result.decidable) == (0, 1, False)
    assert mann_whitney([0.0], [1.0]).ratio is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        mann_whitney([1.0, value], [1.0])


def test_blocks_by_hand():
    assert block_means([1.0, 3.0, 5.0, 7.0, 9.0], 2) == [3.0, 8.0]
    assert block_means([1.0, 3.0], 20) == [1.0, 3.0]
    assert block_means([], 20) == []


def test_runs_are_the_unit_where_there_are_repeats():
    taken = replicates([[1.0, 3.0], [5.0]], [[2.0], [4.0], [], [6.0, 8.0]])
    assert (taken.a, taken.b, taken.unit) == ([2.0, 5.0], [2.0, 4.0, 7.0], Unit.run)


def test_blocks_stand_in_on_both_sides_for_a_single_run():
    taken = replicates([[float(i) for i in range(100)]], [[1.0] * 40, [2.0] * 40], blocks=4)
    assert taken.unit is Unit.block
    assert taken.a == [12.0, 37.0, 62.0, 87.0]
    assert taken.b == [1.0, 1.0, 2.0, 2.0]
    nothing = replicates([], [[1.0]])
    assert (nothing.a, nothing.b) == ([], [1.0])


def test_runs_keep_the_level_that_steps_do_not():
    """Two sides of one population whose runs differ by more than their steps do."""
    generator = np.random.default_rng(11)

    def side():
        return [generator.normal(generator.normal(10, 0.3), 0.1, 40).tolist() for _ in range(5)]

    pairs = [(side(), side()) for _ in range(200)]

    def different(observe):
        verdicts = [mann_whitney(*observe(a, b)).verdict for a, b in pairs]
        return np.mean([verdict is not Verdict.tie for verdict in verdicts])

    of_runs = different(lambda a, b: (replicates(a, b).a, replicates(a, b).b))
    of_steps = different(lambda *sides: [np.concatenate(side).tolist() for side in sides])
    # exact for 5 against 5: 8/252 = 0.032 of pairs; within four standard errors of it
    assert of_runs <= 8 / 252 + 4 * math.sqrt(0.032 * 0.968 / 200)
    assert of_steps > 0.5
