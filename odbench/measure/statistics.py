"""Statistics over raw samples. A statistic that its samples do not support is None."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Samples: TypeAlias = Sequence[float] | Floats


@dataclass(frozen=True)
class Total:
    """Time of a number of steps.

    ``low`` and ``high`` bound the projected total with 95 % confidence; both equal ``value``
    where every step was measured.
    """

    value: float | None
    low: float | None
    high: float | None
    projected: bool


def mean(samples: Sequence[float]) -> float | None:
    """Arithmetic mean, or None of nothing."""
    return math.fsum(samples) / len(samples) if samples else None


def percentile(samples: Sequence[float], q: float) -> float | None:
    """As :func:`percentiles`, of one."""
    return percentiles(samples, (q,))[0]


def percentiles(samples: Samples, qs: Sequence[float]) -> list[float | None]:
    """Percentiles ``qs`` (0..100) by linear interpolation.

    None where fewer than ``1 / (1 - q)`` samples lie behind one: a p99 needs 100 of them, since
    below that it is the maximum under another name.
    """
    supported = [q for q in qs if len(samples) >= samples_needed(q)]
    found = dict(zip(supported, quantiles(samples, [q / 100 for q in supported]), strict=True))
    return [found.get(q) for q in qs]


def quantiles(samples: Samples, shares: Sequence[float]) -> list[float]:
    """Quantiles (0..1) of at least one sample by linear interpolation, to the bit as NumPy's.

    For a few hundred samples NumPy's own takes ten times as long.
    """
    ordered = np.sort(np.asarray(samples, dtype=float)) if shares else np.empty(0)
    return [_between(ordered, (len(ordered) - 1) * share) for share in shares]


def _between(ordered: Floats, place: float) -> float:
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    share = place - below
    if share < 0.5:
        return low + (high - low) * share
    return high - (high - low) * (1 - share)


def samples_needed(q: float) -> int:
    """How many samples a percentile (0..100) needs."""
    tail = 1 - q / 100
    return math.ceil(1 / tail - 1e-9) if tail > 0 else 1


def project_total(samples: Sequence[float], steps: int) -> Total:
    """Time of ``steps`` steps: the sum of the first ``steps`` samples, or a projection.

    With fewer samples the mean is scaled to ``steps``, with the 95 % confidence interval of the
    mean by Student's t (samples taken as independent). One sample gives no interval.
    """
    if not samples:
        return Total(None, None, None, projected=True)
    if len(samples) >= steps:
        measured = math.fsum(samples[:steps])
        return Total(measured, measured, measured, projected=False)
    n = len(samples)
    average = math.fsum(samples) / n
    if n < 2:
        return Total(average * steps, None, None, projected=True)
    half = t_half_width(samples) * steps
    return Total(
        average * steps, max(0.0, average * steps - half), average * steps + half, projected=True
    )


def t_half_width(samples: Sequence[float], confidence: float = 0.95) -> float:
    """Half width of the confidence interval of the mean, by Student's t.

    Args:
        samples: At least two.
        confidence: Two-sided.
    """
    n = len(samples)
    deviation = float(np.std(np.asarray(samples, dtype=float), ddof=1))
    return _t_quantile(0.5 + confidence / 2, n - 1) * deviation / math.sqrt(n)


@cache
def _t_quantile(share: float, freedom: int) -> float:
    from scipy.special import stdtrit  # of scipy.stats the import alone takes a second

    return float(stdtrit(freedom, share))
