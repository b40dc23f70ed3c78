"""Work on many pictures, done in order by one process or shared out among several.

A process is given a few pictures at a time, and only a few such pieces are under way at once, so
memory does not grow with the data set. Results come in the order of the pieces, so the number of
processes changes nothing but the time. The processes start with the first work that is worth it,
and then serve until the end: the survey and the conversion have the same ones.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from odbench.dataset.hands import Died, Hand, Hands, Result
from odbench.errors import OutOfMemoryError

_FIRST_PIECE = 16  # pictures; later pieces are as long as makes their results about as large as
_PIECE_BYTES = 1 << 20  # this,
_LONGEST_PIECE = 64  # and no longer than this
_EACH = 2  # pieces that a process has at once: one that it works on, and the next
_AHEAD = 3  # pieces under way for each process, with those that are done before their turn
_FEW = 500  # pictures that one process converts before another one has started
_MOST = 16  # processes that are started without being asked for

_MODULES = ("odbench.dataset.encode",)  # what a process works with sooner or later

_S = TypeVar("_S")
_T = TypeVar("_T")
_R = TypeVar("_R")


def useful_workers(images: int) -> int:
    """How many processes are worth their start for so many pictures, on this machine."""
    return 1 if images < _FEW else min(_MOST, len(os.sched_getaffinity(0)))


class Crew:
    """The processes that share the work; a context manager.

    Args:
        workers: Processes; 1: this one alone; None: as many as are worth it.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers
        self._hands: Hands | None = None

    def map(
        self,
        work: Callable[[_T], _R],
        items: Sequence[_S],
        piece: Callable[[int, Sequence[_S]], _T],
    ) -> Iterator[_R]:
        """The results of the work on some items, cut into pieces, in order.

        Args:
            work: Done on each piece; where there are several processes, in one of them. Of a
                module that can be imported.
            items: Of all pictures, such as their keys.
            piece: Makes what ``work`` is given, of the first item's index and some items; made
                as late as possible.

        Raises:
            OutOfMemoryError: A process died.
        """
        hands = self._start(len(items), work.__module__)
        if hands is None:
            for index, item in enumerate(items):
                yield work(piece(index, [item]))
            return
        finished = False
        try:
            yield from _Shared(hands, work, items, piece).results()
            finished = True
        except Died as error:
            raise OutOfMemoryError(
                "a converting process was killed; most likely memory ran out",
                fix="ask for fewer: workers=1",
            ) from error
        finally:
            if not finished:  # nobody takes what they still give back
                self._end(at_once=True)

    def _start(self, items: int, module: str) -> Hands | None:
        count = useful_workers(items) if self._workers is None else self._workers
        if self._hands is None and count > 1:
            self._hands = Hands(count, [module, *_MODULES])
        return self._hands

    def _end(self, at_once: bool) -> None:
        hands, self._hands = self._hands, None
        if hands is not None:
            hands.end(at_once)

    def __enter__(self) -> Crew:
        """Processes start with the first work."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the processes; after an error without doing what is left."""
        self._end(at_once=kind is not None)


class _Shared:
    """One work that is shared out."""

    def __init__(
        self,
        hands: Hands,
        work: Callable[[Any], Any],
        items: Sequence[Any],
        piece: Callable[[int, Sequence[Any]], Any],
    ) -> None:
        self._hands = hands
        self._work = work
        self._items = items
        self._piece = piece
        self._place = 0  # of the first item that is in no piece
        self._length = _FIRST_PIECE
        self._lengths: dict[int, int] = {}  # of the pieces under way
        self._made = 0  # pieces
        self._next: bytes | None = None  # a piece that nobody had room for

    def results(self) -> Iterator[Any]:
        """In the order of the pieces."""
        done: dict[int, Result] = {}
        turn = 0
        while True:
            self._share_out(turn)
            if turn == self._made:
                return
            while turn not in done:
                for hand in self._hands.ready():
                    result = hand.take()
                    done[result.piece] = result
                    self._learn(result)
                self._share_out(turn)
            result = done.pop(turn)
            turn += 1
            if result.error is not None:
                raise result.error
            yield result.value

    def _share_out(self, turn: int) -> None:
        for load in range(_EACH):
            for hand in self._hands.all:
                most = turn + _AHEAD * len(self._hands.all)
                if hand.busy == load and self._made < most and not self._give(hand):
                    return

    def _give(self, hand: Hand) -> bool:
        """Give a process the next piece; False: there is none, or it has no room for it."""
        if self._next is None:
            some = self._items[self._place : self._place + self._length]
            if not some:
                return False
            self._next = pickle.dumps(self._piece(self._place, some))
            self._place += len(some)
            self._lengths[self._made] = len(some)
        if not hand.give(self._made, self._work, self._next):
            return False
        self._next = None
        self._made += 1
        return True

    def _learn(self, result: Result) -> None:
        """How long a piece should be, of how large the result of one was."""
        length = self._lengths.pop(result.piece)
        self._length = max(1, min(_LONGEST_PIECE, length * _PIECE_BYTES // result.size))
