"""One file over HTTP: resumed where it broke off, tried again, bounded in size.

A transfer is resumed by ``Range`` with ``If-Range`` (RFC 9110, 13.1.5), so that two versions of a
file are never joined; where the server gives nothing to tell them apart by, it starts anew.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odbench.errors import DownloadError
from odbench.zoo.address import without_credentials

if TYPE_CHECKING:
    import requests
    from urllib3.util import Retry

# Called with the bytes that are there, and with all that there will be or None if not known.
Advance = Callable[[int, int | None], None]

_PIECE = 2**16
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # may be another answer the next time
_MAX_TRIES = 100  # in all, however little each of them brings


@dataclass(frozen=True)
class Patience:
    """When a server is waited for, asked again, and given up."""

    tries: int = 5  # in a row that bring nothing further
    backoff_s: float = 0.5  # doubled from the second wait on
    backoff_max_s: float = 30.0  # of a wait, also of one that the server asks for
    connect_s: float = 10.0
    read_s: float = 60.0  # between two pieces

    def retry(self) -> Retry:
        """The waits, by urllib3."""
        from urllib3.util import Retry

        return Retry(
            total=self.tries - 1,
            backoff_factor=self.backoff_s,
            backoff_max=self.backoff_max_s,
            retry_after_max=int(self.backoff_max_s),
        )


def download(
    address: str, target: Path, *, max_bytes: int, patience: Patience, advance: Advance
) -> None:
    """Transfer a file; what an earlier call left of it is used.

    Args:
        address: http or https.
        target: File to write; ``target`` + ``.json`` beside it holds what a resume needs.
        max_bytes: A larger file is refused, whatever the server says of its size.
        patience: Time-outs and tries.
        advance: Called as bytes come.

    Raises:
        DownloadError: The server refuses, stays silent, breaks off again and again, or the file
            is too large.
        OSError: The target cannot be written; on a full disk nothing of it is left.
    """
    import requests
    from urllib3.exceptions import MaxRetryError

    transfer = _Transfer(address, target, max_bytes, patience, advance)
    retry, most = patience.retry(), size_of(target)
    with requests.Session() as session:
        for _ in range(_MAX_TRIES):
            try:
                return transfer.try_once(session)
            except _Broken as error:
                if size_of(target) > most:
                    retry, most = patience.retry(), size_of(target)
                try:
                    retry = retry.increment("GET", address, error=error)
                except MaxRetryError:
                    raise transfer.given_up(str(error)) from error
                _wait(retry, error.response)
    raise transfer.given_up(f"it broke off {_MAX_TRIES} times")


def _wait(retry: Retry, response: Any) -> None:
    from urllib3.exceptions import InvalidHeader

    try:
        retry.sleep(response)
    except InvalidHeader:  # a Retry-After that is neither a number nor a date
        retry.sleep()


def discard(target: Path) -> None:
    """Remove what is there of a transfer."""
    target.unlink(missing_ok=True)
    _beside(target).unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


class _Broken(Exception):
    """A try that failed in a way that may pass."""

    def __init__(self, reason: str, response: Any = None) -> None:
        super().__init__(reason)
        self.response = response


@dataclass(frozen=True)
class _Began:
    """A file of which a part may be there."""

    address: str
    validator: str | None  # strong ETag, else Last-Modified
    total: int | None  # bytes of the whole


@dataclass(frozen=True)
class _Transfer:
    address: str
    target: Path
    max_bytes: int
    patience: Patience
    advance: Advance

    def try_once(self, session: requests.Session) -> None:
        """Ask once, and take in what comes."""
        import requests
        from requests.exceptions import InvalidSchema, InvalidURL, SSLError, TooManyRedirects
        from urllib3.exceptions import HTTPError

        began, there = self._resumable()
        if began is not None and there == began.total:
            return
        # identity: the bytes as published, to which the checksum belongs
        headers = {"Accept-Encoding": "identity"}
        if began is not None and began.validator is not None:
            headers |= {"Range": f"bytes={there}-", "If-Range": began.validator}
        waits = (self.patience.connect_s, self.patience.read_s)
        try:
            with session.get(self.address, headers=headers, stream=True, timeout=waits) as response:
                if began is not None and response.status_code == 206:
                    self._check_span(response, began, there)
                else:
                    began, there = self._from_the_start(response), 0
                self._receive(response, began, there)
        except (SSLError, TooManyRedirects, InvalidSchema, InvalidURL) as error:
            raise self.given_up(_reason(error)) from error
        except (requests.RequestException, HTTPError) as error:
            raise _Broken(_reason(error)) from error
        except ValueError as error:  # of urllib: a redirect to what is no address
            raise self.given_up(_reason(error)) from error

    def given_up(self, reason: str) -> DownloadError:
        """The error that ends the transfer."""
        return DownloadError(
            f"cannot be fetched: {reason}", where=without_credentials(self.address)
        )

    def _from_the_start(self, response: requests.Response) -> _Began:
        """Judge an answer that is no part; the whole takes the place of what is there."""
        status, headers = response.status_code, response.headers
        if status == 200:
            address = without_credentials(self.address)
            began = _Began(address, _validator(headers), _length(headers))
            self._check_size(began.total or 0)
            discard(self.target)
            _beside(self.target).write_text(json.dumps(asdict(began)), encoding="utf-8")
            return began
        answer = f"the server answered {status} {response.reason}"
        if status == 416:  # what is there is not the beginning of what is published
            discard(self.target)
        if status in _PASSING or status == 416:
            raise _Broken(answer, response.raw)
        raise self.given_up(answer)

    def _check_span(self, response: requests.Response, began: _Began, there: int) -> None:
        """Make sure that a part is the one that was asked for."""
        text = response.headers.get("Content-Range", "").strip()
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text)
        totals = ("*", str(began.total)) if began.total is not None else (span and span[2],)
        if span is None or int(span[1]) != there or span[2] not in totals:
            discard(self.target)
            raise _Broken(f"the server sent {text or 'an unnamed part'}, not from {there} on")

    def _receive(self, response: requests.Response, began: _Began, there: int) -> None:
        try:
            with self.target.open("ab") as file:
                self.advance(there, began.total)
                while piece := response.raw.read1(_PIECE, decode_content=False):
                    there += len(piece)
                    self._check_size(there)
                    file.write(piece)
                    self.advance(there, began.total)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # leave the room to others
                discard(self.target)
            raise
        if began.total is not None and there != began.total:
            raise _Broken(f"the connection ended after {there} of {began.total} bytes")

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            discard(self.target)
            raise DownloadError(
                "the file is larger than allowed",
                where=without_credentials(self.address),
                value=f"{size} bytes or more",
                allowed=f"{self.max_bytes} bytes",
                fix="if that is right, allow more: --max-bytes BYTES",
            )

    def _resumable(self) -> tuple[_Began | None, int]:
        """What can be gone on with, and how much of it is there."""
        there = size_of(self.target)
        try:
            began = _Began(**json.loads(_beside(self.target).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None, 0
        same = began.address == without_credentials(self.address)
        if not there or not same or (began.validator is None and there != began.total):
            return None, 0
        return began, there


def _validator(headers: Mapping[str, str]) -> str | None:
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "").strip()
    return int(text) if text.isdecimal() else None


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _reason(error: BaseException) -> str:
    """The innermost cause: what lies around it names objects of the library."""
    inner = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    return str(error) or type(error).__name__
