"""Repeats summed up, and two sides of times compared: what is a difference and what is a tie.

**What is counted.** The steps of one run share a process, a memory layout, a clock and a
temperature: they are autocorrelated, and ten thousand of them are not ten thousand observations.
A test that takes them for that finds a difference between a variant and itself. The unit of
replication is therefore the run: its mean is one observation (:func:`replicates`). Where a side
has a single run, means of consecutive blocks of its steps stand in (batch means; Schmeiser,
Operations Research 30(3), 1982, finds 10 to 30 of them enough). Blocks outlast the correlation
between steps but know nothing of what differs from run to run: what they tell apart is these two
runs, and another pair may fall out otherwise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from odbench.measure.statistics import mean, t_half_width

# Fewest measurements with an interval: that of two is 13 times as wide as they lie apart.
INTERVAL_OF = 3

_EXACT = 8  # the smaller side's size up to which untied ranks are counted, as SciPy chooses too
_ARRANGEMENTS = 10_000  # of tied values that are gone through one by one


Samples: TypeAlias = Sequence[float] | NDArray[np.float64]  # of one run


class Verdict(StrEnum):
    """How one side stands against another."""

    better = "better"
    worse = "worse"
    tie = "tie"  # no difference was shown, which is not the same as none being there


class Unit(StrEnum):
    """What one observation is the mean of."""

    run = "run"
    block = "block"  # consecutive steps within a run


@dataclass(frozen=True)
class Repeats:
    """Repeated measurements of one figure, in its own unit."""

    n: int
    mean: float | None
    spread: float | None  # sample standard deviation; of one measurement None
    low: float | None  # of the mean, by Student's t; of fewer than three None
    high: float | None


@dataclass(frozen=True)
class Replicates:
    """Observations of two sides, of one unit."""

    a: list[float]
    b: list[float]
    unit: Unit


@dataclass(frozen=True)
class RankTest:
    """Side ``b`` against side ``a``. Everything is None where a side is empty."""

    verdict: Verdict | None  # of b
    p_value: float | None  # two-sided
    shift: float | None  # b - a after Hodges and Lehmann, in the unit of the samples
    low: float | None  # of the shift; None where so few observations bound nothing
    high: float | None
    ratio: float | None  # median of b to median of a; None where the latter is 0
    n_a: int
    n_b: int
    decidable: bool  # whether so many observations could have given anything but a tie


def repeated(values: Sequence[float], confidence: float = 0.95) -> Repeats:
    """Mean, spread and interval of the mean by Student's t.

    Args:
        values: One per repeat, independent of each other.
        confidence: Of the interval, two-sided.
    """
    n, average = len(values), mean(values)
    if average is None or n < 2:
        return Repeats(n, average, None, None, None)
    spread = float(np.std(np.asarray(values, dtype=float), ddof=1))
    if n < INTERVAL_OF:
        return Repeats(n, average, spread, None, None)
    half = t_half_width(values, confidence)
    return Repeats(n, average, spread, average - half, average + half)


def replicates(a: Sequence[Samples], b: Sequence[Samples], blocks: int = 20) -> Replicates:
    """Raw samples of two sides' runs as observations that a test may take for independent.

    The means of the runs where both sides have two or more; otherwise, of both sides, the means
    of consecutive blocks, see the module's text for what they cannot tell.

    Args:
        a: Samples of each run, in the order in which they were taken. Empty runs are left out.
        b: The same.
        blocks: How many of a side, where blocks are taken.
    """
    runs_a, runs_b = ([run for run in side if len(run)] for side in (a, b))
    if min(len(runs_a), len(runs_b)) >= 2:
        return Replicates(_means(runs_a), _means(runs_b), Unit.run)
    return Replicates(_of_blocks(runs_a, blocks), _of_blocks(runs_b, blocks), Unit.block)


def block_means(samples: Samples, blocks: int) -> list[float]:
    """Means of consecutive blocks whose lengths differ by one at most; no block is empty."""
    parts = np.array_split(np.asarray(samples, dtype=float), min(blocks, len(samples)) or 1)
    return [float(part.mean()) for part in parts if part.size]


def mann_whitney(
    a: Sequence[float],
    b: Sequence[float],
    *,
    alpha: float = 0.05,
    relevant: float = 0.0,
    lower_is_better: bool = True,
) -> RankTest:
    """Compare two sides by the Mann-Whitney test, with the Hodges-Lehmann shift.

    The p-value is exact where the smaller side has 8 or fewer without ties, or where the ways to
    arrange tied values can be gone through; else by the normal approximation, corrected for ties
    and continuity. The shift is the median of all differences b - a, its interval is Moses' from
    their order statistics, which inverts the test (Hollander and Wolfe, Nonparametric Statistical
    Methods, chapter 4). Four observations of each are the fewest that can differ at 5 %.

    Args:
        a: Observations of the side that is compared against, finite; see :func:`replicates`.
            All len(a) x len(b) differences are held at once.
        b: Observations of the side that is judged.
        alpha: Level of significance; the interval has confidence 1 - ``alpha``.
        relevant: Smallest shift that matters, in the samples' unit: a significant difference
            whose estimate is smaller is a tie.
        lower_is_better: As of times; False as of images per second.

    Raises:
        ValueError: An observation is not finite, or ``alpha`` is not between 0 and 1.
    """
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if not (np.isfinite(left).all() and np.isfinite(right).all() and 0 < alpha < 1):
        raise ValueError("observations must be finite, and 0 < alpha < 1")
    sizes = (left.size, right.size)
    if 0 in sizes:
        return RankTest(None, None, None, None, None, None, *sizes, decidable=False)
    p_value = _p_value(left, right)
    shift, low, high = _shift(left, right, alpha)
    verdict = Verdict.tie
    if p_value <= alpha and shift != 0 and abs(shift) >= relevant:
        verdict = Verdict.better if (shift < 0) == lower_is_better else Verdict.worse
    base = float(np.median(left))
    return RankTest(
        verdict=verdict,
        p_value=p_value,
        shift=shift,
        low=low,
        high=high,
        ratio=float(np.median(right)) / base if base else None,
        n_a=left.size,
        n_b=right.size,
        decidable=2 / math.comb(sum(sizes), left.size) <= alpha,
    )


def _means(runs: Sequence[Samples]) -> list[float]:
    return [math.fsum(run) / len(run) for run in runs]


def _of_blocks(runs: Sequence[Samples], blocks: int) -> list[float]:
    share = max(1, blocks // len(runs)) if runs else 1
    return [value for run in runs for value in block_means(run, share)]


def _p_value(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    _, place, ties = np.unique(
        np.concatenate([left, right]), return_inverse=True, return_counts=True
    )
    ranks = (ties.cumsum() - (ties - 1) / 2)[place]  # of equal ones their mean
    m, n = left.size, right.size
    if ties.size == 1:
        return 1.0  # the approximation would divide by a spread of 0
    if ties.size < ranks.size and math.comb(m + n, m) <= _ARRANGEMENTS:
        return _p_value_of_tied(ranks, m)
    u = float(ranks[:m].sum()) - m * (m + 1) / 2
    extreme = max(u, m * n - u)
    if ties.size == ranks.size and min(m, n) <= _EXACT:
        return _p_value_of_untied(int(extreme), m, n)
    tied = float((ties**3 - ties).sum()) / ((m + n) * (m + n - 1))
    deviation = math.sqrt(m * n / 12 * (m + n + 1 - tied))
    beyond = (extreme - m * n / 2 - 0.5) / deviation  # 0.5: the correction for continuity
    return min(1.0, math.erfc(beyond / math.sqrt(2)))


def _p_value_of_untied(extreme: int, m: int, n: int) -> float:
    """Twice the share of arrangements whose U is at least the larger of the two."""
    counts = _arrangements(min(m, n), max(m, n))
    return min(1.0, 2 * sum(counts[extreme:]) / math.comb(m + n, m))


def _p_value_of_tied(ranks: NDArray[np.float64], size: int) -> float:
    """By the rank sum of the first ``size`` in every arrangement; ranks are whole or half."""
    chosen = np.array(list(itertools.combinations(range(ranks.size), size)))
    sums, mine = ranks[chosen].sum(axis=1), ranks[:size].sum()
    return min(1.0, 2 * float(min((sums <= mine).mean(), (sums >= mine).mean())))


def _shift(
    left: NDArray[np.float64], right: NDArray[np.float64], alpha: float
) -> tuple[float, float | None, float | None]:
    """The Hodges-Lehmann estimate of right - left, and its interval."""
    differences = np.sort(np.subtract.outer(right, left), axis=None)
    estimate = float(np.median(differences))
    depth = _depth(left.size, right.size, alpha)
    if depth < 1:
        return estimate, None, None
    return estimate, float(differences[depth - 1]), float(differences[-depth])


def _depth(m: int, n: int, alpha: float) -> int:
    """Largest C with P(U <= C - 1) <= alpha / 2 where both sides are of one population."""
    if min(m, n) > _EXACT:
        deviation = math.sqrt(m * n * (m + n + 1) / 12)
        reach = NormalDist().inv_cdf(1 - alpha / 2) * deviation
        return math.floor(m * n / 2 + 0.5 - reach)  # 0.5: the correction for continuity
    counts = _arrangements(min(m, n), max(m, n))
    bound = alpha / 2 * math.comb(m + n, m)
    depth, below = 0, counts[0]
    while below <= bound:
        depth += 1
        below += counts[depth]
    return depth


@cache
def _arrangements(m: int, n: int) -> tuple[int, ...]:
    """In how many ways U takes each value 0..m*n: the coefficients of the Gaussian binomial."""
    counts = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):  # times 1 - q^(n+i)
            counts[u] -= counts[u - n - i]
        for u in range(i, m * n + 1):  # over 1 - q^i
            counts[u] += counts[u - i]
    return tuple(counts)
