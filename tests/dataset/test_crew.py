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
        results = crew.map(squares, range(1000), piece)
        assert len([next(results) for _ in range(31)]) == 31
        with pytest.raises(DatasetError, match="999: a wrong one"):
            list(results)
