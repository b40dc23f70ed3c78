"""Work on many pictures, done in order by one process or shared out among several.

A process is given a few pictures at a time, and only a few such pieces are under way at once, so
memory does not grow with the data set. Results come in the order of the pieces, so the number of
processes changes nothing but the time. The processes start with the first work that is worth it,
and then serve until the end: the survey and the conversion have the same ones.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TypeVar

from odbench.errors import OutOfMemoryError

_PIECE = 16  # pictures that a process is given at a time
_AHEAD = 2  # pieces under way for each process
_FEW = 500  # pictures that one process converts before another one has started
_MOST = 16  # processes that are started without being asked for

_BETWEEN_COLLECTIONS = 20_000  # objects of a few pictures, of which hardly any are in cycles

_PR_SET_PDEATHSIG = 1

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
        self._pool: ProcessPoolExecutor | None = None
        self._size = 1

    def map(
        self,
        work: Callable[[_T], _R],
        items: Sequence[_S],
        piece: Callable[[int, Sequence[_S]], _T],
    ) -> Iterator[_R]:
        """The results of the work on some items, cut into pieces, in order.

        Args:
            work: Done on each piece; where there are several processes, in one of them.
            items: Of all pictures, such as their keys.
            piece: Makes what ``work`` is given, of the first item's index and some items; made
                as late as possible.

        Raises:
            OutOfMemoryError: A process died.
        """
        self._start(len(items))
        if self._pool is None:
            for index, item in enumerate(items):
                yield work(piece(index, [item]))
            return
        pieces = (piece(i, items[i : i + _PIECE]) for i in range(0, len(items), _PIECE))
        under_way: deque[Future[_R]] = deque()
        try:
            for given in pieces:
                if len(under_way) == _AHEAD * self._size:
                    yield under_way.popleft().result()
                under_way.append(self._pool.submit(work, given))
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            raise OutOfMemoryError(
                "a converting process was killed; most likely memory ran out",
                fix="ask for fewer: workers=1",
            ) from error

    def _start(self, items: int) -> None:
        count = useful_workers(items) if self._workers is None else self._workers
        if self._pool is not None or count < 2:
            return
        self._size = count
        self._pool = ProcessPoolExecutor(
            count,
            # a fork would copy whatever threads the caller has in the middle of their work
            multiprocessing.get_context("spawn"),
            initializer=end_with,
            initargs=(os.getpid(),),
        )

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
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def end_with(parent: int) -> None:
    """Let this process leave Ctrl-C to its parent, end when that one does, and collect little."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    gc.freeze()  # what was imported stays
    gc.set_threshold(_BETWEEN_COLLECTIONS)
