"""The processes of a crew: started once, with as little in them as their work needs.

One of them is started and imports what the work needs; it then forks the others, which so share
its imports and its memory. It has no threads that a fork could tear apart, and it never runs the
program's main module. Each has two pipes, for what it is given and for what it gives back.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from odbench.orphans import end_with_parent

_START = (
    "import json, sys; told = json.loads(sys.argv[1]); sys.path[:] = told['path']; "
    "from odbench.dataset.hands import serve; serve(told)"
)

_ROOM = 1 << 20  # bytes of a pipe, where the system allows so many
_LEAST_ROOM = 1 << 16

_BETWEEN_COLLECTIONS = 20_000  # objects of a few pictures, of which hardly any are in cycles


class Died(Exception):
    """A process ended that should not have."""


class Elsewhere(Exception):
    """Where in a process an error came up: its cause, which only a traceback shows."""


class Result(NamedTuple):
    """What became of one piece of work."""

    piece: int  # its number
    value: Any
    error: BaseException | None
    size: int  # bytes of the message


class Hand:
    """One of the processes, as its parent sees it."""

    def __init__(self) -> None:
        read, give, room = _pipe()
        take, write, _ = _pipe()
        self._short = room // 2 - 4096  # of messages so long the pipe holds two: nobody waits
        self.theirs = (read, write)  # ends of the pipes that the process has
        self._give, self._take = os.fdopen(give, "wb", 0), os.fdopen(take, "rb", 0)
        self._pieces: deque[int] = deque()  # of the pieces that it has

    @property
    def busy(self) -> int:
        """How many pieces it has."""
        return len(self._pieces)

    def fileno(self) -> int:
        """Becomes readable with a result."""
        return self._take.fileno()

    def give(self, piece: int, work: Callable[[Any], Any], data: bytes) -> bool:
        """Let it do the work on pickled data; False: it has enough and nothing was done."""
        message = pickle.dumps((work, data))
        if self._pieces and len(message) > self._short:
            return False  # it may be waiting for its result to be taken, and not be reading
        try:
            _send(self._give, message)
        except BrokenPipeError as error:
            raise Died from error
        self._pieces.append(piece)
        return True

    def take(self) -> Result:
        """The next result, in the order of what it was given; waits for it."""
        try:
            message = _receive(self._take)
        except EOFError as error:
            raise Died from error
        value, failed, trace = pickle.loads(message)
        if failed is not None:
            failed.__cause__ = Elsewhere(f"in a converting process:\n{trace}")
        return Result(self._pieces.popleft(), value, failed, len(message))

    def part(self) -> None:
        """Close the ends of the process in this one."""
        for end in self.theirs:
            os.close(end)

    def close(self) -> None:
        """Let it end."""
        self._give.close()
        self._take.close()


class Hands:
    """Some processes that do any work of functions of modules, until they are let go.

    Args:
        count: Number of processes, at least 1.
        modules: Imported once for all of them.
    """

    def __init__(self, count: int, modules: Sequence[str]) -> None:
        self.all = [Hand() for _ in range(count)]
        pipes = [hand.theirs for hand in self.all]
        told = {"path": sys.path, "pipes": pipes, "modules": modules, "parent": os.getpid()}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C is ours
        try:
            self._first = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(told)],
                stdin=subprocess.DEVNULL,
                pass_fds=[end for pipe in pipes for end in pipe],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for hand in self.all:
                hand.part()

    def ready(self) -> list[Hand]:
        """Those that have a result; waits until there is one."""
        poll = select.poll()
        for hand in self.all:
            poll.register(hand, select.POLLIN)
        found = {fd for fd, _ in poll.poll()}
        return [hand for hand in self.all if hand.fileno() in found]

    def end(self, at_once: bool) -> None:
        """Let them go; ``at_once`` in the middle of their work."""
        if at_once:
            self._first.kill()  # the others end with it
        for hand in self.all:
            hand.close()
        self._first.wait()


# --- in the processes


def serve(told: dict[str, Any]) -> None:
    """The life of the first process: import, fork the others, work, wait for them."""
    end_with_parent(signal.SIGKILL, told["parent"])
    for module in told["modules"]:
        importlib.import_module(module)
    gc.freeze()  # what was imported stays
    gc.set_threshold(_BETWEEN_COLLECTIONS)
    pipes, me = told["pipes"], os.getpid()
    mine = pipes[0]
    others: list[int] = []
    for number in range(1, len(pipes)):
        child = os.fork()
        if child == 0:
            end_with_parent(signal.SIGKILL, me)
            mine, others = pipes[number], []
            break
        others.append(child)
    for pipe in pipes:
        if pipe is not mine:
            for end in pipe:
                os.close(end)
    with contextlib.suppress(EOFError, BrokenPipeError):  # nobody wants anything any more
        _work_on(*mine)
    for child in others:
        os.waitpid(child, 0)
    os._exit(0)


def _work_on(given: int, back: int) -> None:
    with os.fdopen(given, "rb", 0) as tasks, os.fdopen(back, "wb", 0) as results:
        while True:
            message = _receive(tasks)
            try:
                work, data = pickle.loads(message)
                answer = pickle.dumps((work(pickle.loads(data)), None, ""))
            except Exception as error:
                answer = _failure(error)
            _send(results, answer)


def _failure(error: Exception) -> bytes:
    text = traceback.format_exc()
    try:
        answer = pickle.dumps((None, error, text))
        pickle.loads(answer)
    except Exception:  # it is none that can be sent
        return pickle.dumps((None, RuntimeError(text), text))
    return answer


# --- messages: their length, then as many bytes


def _pipe() -> tuple[int, int, int]:
    """Its two ends and how many bytes it holds."""
    ends, room = os.pipe(), _LEAST_ROOM
    with contextlib.suppress(OSError):
        room = fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _ROOM)
    return *ends, room


def _send(file: Any, message: bytes) -> None:
    for part in (len(message).to_bytes(8, "little"), message):
        left = memoryview(part)
        while left:
            left = left[file.write(left) :]


def _receive(file: Any) -> bytearray:
    return _exactly(file, int.from_bytes(_exactly(file, 8), "little"))


def _exactly(file: Any, size: int) -> bytearray:
    message = bytearray(size)
    left = memoryview(message)
    while left:
        got = file.readinto(left)
        if not got:
            raise EOFError
        left = left[got:]
    return message
