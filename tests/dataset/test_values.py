from __future__ import annotations

import numpy as np
import pytest

from odbench.dataset import values
from odbench.dataset.statistics_types import Spread
from odbench.dataset.values import Values


@pytest.mark.parametrize("count", [1, 2, 1000, 1001])
def test_the_spread_of_numbers_in_a_file_is_that_of_an_array(monkeypatch, count):
    monkeypatch.setattr(values, "_AT_A_TIME", 128)
    rng = np.random.default_rng(count)
    numbers = rng.random(count) * rng.integers(0, 3, count)  # some are 0, and none is rare
    found = Values()
    for part in np.array_split(numbers, 7):
        found.add(part)
    expected = (numbers.min(), numbers.mean(), np.median(numbers), numbers.max())
    assert found.spread() == Spread(*map(float, expected))
