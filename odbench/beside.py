"""Work in a second process beside this one, which a fork gives all records without copying them."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TypeVar, cast

T = TypeVar("T")


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Begin some work in a process forked from this one; what is given waits for its result.

    Whatever goes wrong there, the work is done again here, so that it succeeds or its error is
    raised as if there had been no other process. Left early, the process is killed.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    gc.freeze()  # a collection in the new process would copy every page of what it goes through
    process = context.Process(target=_carry_out, args=(work, sender), daemon=True)

    def result() -> T:
        try:
            return cast(T, receiver.recv())
        except EOFError:
            return work()

    try:
        process.start()
        sender.close()
        yield result
    finally:
        receiver.close()
        process.kill()
        process.join()
        gc.unfreeze()


def _carry_out(work: Callable[[], object], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits is told, and ends this
    with suppress(Exception):  # said by ending without a result
        sender.send(work())
