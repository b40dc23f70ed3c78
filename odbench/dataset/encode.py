"""Pictures to records, in order, by one process or by several.

Several processes get the source once and then the keys of a few pictures at a time. Only a few
such pieces are under way at once, so memory does not grow with the data set, and their results
are taken in the order of the pictures, so the number of processes changes no byte.
"""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from types import TracebackType

from odbench.dataset.example import encode_example
from odbench.dataset.source import FileSource, Source
from odbench.dataset.types import Finding, LabelledImage
from odbench.errors import OutOfMemoryError

_PIECE = 8  # pictures that a process is given at a time
_AHEAD = 3  # pieces under way for each process
_FEW = 500  # pictures that one process converts before another one has started
_MOST = 16  # processes that are started without being asked for

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Encoded:
    """One picture as it is written."""

    image: LabelledImage  # without its bytes: they are in the record
    image_id: int
    record: bytes
    sha256: str  # of the picture's bytes in the record
    findings: list[Finding] = field(default_factory=list)


def useful_workers(images: int) -> int:
    """How many processes are worth their start for so many pictures, on this machine."""
    return 1 if images < _FEW else min(_MOST, len(os.sched_getaffinity(0)))


class Encoder:
    """Encodes the splits of a source; a context manager, since it may own processes.

    Args:
        source: Surveyed; its pictures assigned to splits.
        ids: Id of every class.
        workers: Processes; a source that cannot be read by key has one.
    """

    def __init__(self, source: Source, ids: Mapping[str, int], workers: int) -> None:
        self._source = source
        self._ids = dict(ids)
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1 and isinstance(source, FileSource):
            self._workers = workers
            self._pool = ProcessPoolExecutor(
                workers,
                # a fork would copy whatever threads the caller has in the middle of their work
                multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=(source, self._ids, os.getpid()),
            )

    def split(self, split: str, keys: Sequence[str] | None) -> Iterator[Encoded]:
        """The pictures of a split; ids count from 1.

        Args:
            split: Its name.
            keys: Of its pictures; None where the source has none.

        Raises:
            DatasetError: Of the first picture in order that cannot be used.
            OutOfMemoryError: A process died.
        """
        if keys is None:
            yield from self._drawn(split)
        elif self._pool is None:
            for image_id, key in enumerate(keys, start=1):
                yield from _encode(self._source, self._ids, image_id, [key])
        else:
            yield from self._shared_out(self._pool, keys)

    def _drawn(self, split: str) -> Iterator[Encoded]:
        findings: list[Finding] = []
        for image_id, image in enumerate(self._source.images(split, findings), start=1):
            yield _encoded(image, image_id, self._ids, list(findings))
            findings.clear()

    def _shared_out(self, pool: ProcessPoolExecutor, keys: Sequence[str]) -> Iterator[Encoded]:
        under_way: deque[Future[list[Encoded]]] = deque()
        try:
            for begin in range(0, len(keys), _PIECE):
                if len(under_way) == _AHEAD * self._workers:
                    yield from under_way.popleft().result()
                piece = list(keys[begin : begin + _PIECE])
                under_way.append(pool.submit(_work, begin + 1, piece))
            while under_way:
                yield from under_way.popleft().result()
        except BrokenProcessPool as error:
            raise OutOfMemoryError(
                "a converting process was killed; most likely memory ran out",
                fix="ask for fewer: workers=1",
            ) from error

    def __enter__(self) -> Encoder:
        """Processes start with their first piece."""
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


def _encode(
    source: Source, ids: Mapping[str, int], first_id: int, keys: Sequence[str]
) -> Iterator[Encoded]:
    assert isinstance(source, FileSource)  # keys come from nothing else
    for image_id, key in enumerate(keys, start=first_id):
        image, findings = source.load(key)
        yield _encoded(image, image_id, ids, findings)


def _encoded(
    image: LabelledImage, image_id: int, ids: Mapping[str, int], findings: list[Finding]
) -> Encoded:
    record = encode_example(image, image_id, ids)
    digest = hashlib.sha256(image.encoded).hexdigest()
    return Encoded(replace(image, encoded=b""), image_id, record, digest, findings)


# --- in the processes

_given: tuple[Source, Mapping[str, int]] | None = None


def _start(source: Source, ids: Mapping[str, int], parent: int) -> None:
    """Once in each process: keep what all pieces need, and end when the parent does."""
    global _given
    _given = (source, ids)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _work(first_id: int, keys: Sequence[str]) -> list[Encoded]:
    assert _given is not None  # _start ran first
    source, ids = _given
    return list(_encode(source, ids, first_id, keys))
