from __future__ import annotations

import os

import pytest

from odbench.dataset.crew import Crew
from odbench.errors import DatasetError


def squares(numbers: list[int]) -> list[int]:
    if 999 in numbers:
        raise DatasetError("a wrong one", where="999")
    return [number * number for number in numbers]


def process_of(numbers: list[int]) -> int:
    return os.getpid()


def piece(first: int, items) -> list[int]:
    assert items[0] == first
    return list(items)


def test_results_come_in_order_however_many_processes_there_are():
    for workers in (1, 2):
        with Crew(workers) as crew:
            found = [n for each in crew.map(squares, range(200), piece) for n in each]
            assert found == [n * n for n in range(200)]
            found = [n for each in crew.map(squares, range(50), piece) for n in each]
            assert found == [n * n for n in range(50)]


def test_few_pictures_are_not_worth_a_process():
    with Crew() as crew:
        assert set(crew.map(process_of, range(40), piece)) == {os.getpid()}


def test_pieces_are_made_as_late_as_possible():
    made = []

    def counted(first, items):
        made.append(first)
        return piece(first, items)

    with Crew(2) as crew:
        next(crew.map(squares, range(1000), counted))
    assert len(made) < 12


def test_an_error_comes_when_its_turn_has_come():
    with Crew(2) as crew:
        found = []
        with pytest.raises(DatasetError, match="999: a wrong one") as raised:
            for each in crew.map(squares, range(1001), piece):
                found += each
        assert found == [n * n for n in range(len(found))]
        assert 999 - 64 <= len(found) <= 999
        assert "in squares" in str(raised.value.__cause__)  # where it was raised
        # and others can go on
        assert list(crew.map(process_of, range(2), piece)) != [os.getpid()]


def test_large_results_make_short_pieces():
    with Crew(2) as crew:
        found = list(crew.map(large, range(150), piece))
    assert sum(len(each) for each in found) == 150
    assert max(len(each) for each in found[-10:]) <= 4


def large(numbers: list[int]) -> list[bytes]:
    return [bytes(1 << 18) for _ in numbers]
