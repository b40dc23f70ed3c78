"""Transfers over HTTP, against a real server that does everything wrong that servers do."""

import errno
import os
import socket
from pathlib import Path

import pytest
from zoo_world import answer, cut, serving, silent

from odbench.errors import DownloadError
from odbench.zoo.transfer import Patience, download

CONTENT = os.urandom(300_000)
QUICK = Patience(tries=3, backoff_s=0.0, backoff_max_s=0.0, connect_s=5.0, read_s=20.0)


@pytest.fixture
def zoo():
    with serving(CONTENT) as zoo:
        yield zoo


@pytest.fixture
def target(tmp_path):
    return tmp_path / ".model.download"


def get(zoo, target, address=None, **options):
    seen = []
    wanted = {"max_bytes": 10**6, "patience": QUICK, **options}
    download(address or zoo.url, target, advance=lambda *at: seen.append(at), **wanted)
    return seen


def test_a_file_comes_whole_and_is_counted(zoo, target):
    seen = get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert [there for there, _ in seen] == sorted(there for there, _ in seen)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert zoo.asked[0]["accept-encoding"] == "identity"


def test_a_cut_transfer_goes_on_where_it_broke_off(zoo, target):
    zoo.next.extend([cut(100_000), cut(50_000)])
    seen = get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert [a.get("range") for a in zoo.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert [a.get("if-range") for a in zoo.asked] == [None, '"one"', '"one"']
    assert zoo.sent == len(CONTENT)  # nothing came twice
    assert (100_000, len(CONTENT)) in seen


def test_a_later_call_goes_on_with_what_an_earlier_one_left(zoo, target):
    zoo.always = cut(0)
    zoo.next.append(cut(120_000))
    with pytest.raises(DownloadError, match="cannot be fetched"):
        get(zoo, target)
    assert target.stat().st_size == 120_000
    zoo.always = None
    get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert zoo.asked[-1]["range"] == "bytes=120000-"


def test_many_cuts_are_borne_as_long_as_each_try_brings_something(zoo, target):
    zoo.next.extend([cut(20_000)] * 14)  # many more than `tries`
    get(zoo, target)
    assert target.read_bytes() == CONTENT


def test_what_is_whole_is_not_asked_for_again(zoo, target):
    get(zoo, target)
    get(zoo, target)
    assert len(zoo.asked) == 1


def test_two_versions_are_never_joined(zoo, target):
    def changes(handler):
        handler.serve(cut=100_000)
        zoo.content, zoo.etag = CONTENT[::-1], '"two"'

    zoo.next.append(changes)
    get(zoo, target)
    assert target.read_bytes() == CONTENT[::-1]
    assert zoo.asked[1]["if-range"] == '"one"'


def test_a_server_without_ranges_is_begun_with_anew(zoo, target):
    zoo.ranges = False
    zoo.next.append(cut(100_000))
    get(zoo, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_resumed(zoo, target, etag):
    zoo.etag = etag
    zoo.next.append(cut(100_000))
    get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert "range" not in zoo.asked[1]


def test_a_part_from_one_address_is_not_gone_on_with_from_another(zoo, target):
    zoo.next.append(cut(100_000))
    zoo.next.extend([answer(404)])
    with pytest.raises(DownloadError):
        get(zoo, target)
    get(zoo, target, f"{zoo.address}/mirror/x.tar.gz")
    assert "range" not in zoo.asked[-1]
    assert target.read_bytes() == CONTENT


def test_last_modified_is_a_validator_too(zoo, target):
    zoo.etag, zoo.modified = None, "Sat, 11 Jul 2020 10:00:00 GMT"
    zoo.next.append(cut(100_000))
    get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert zoo.asked[1]["if-range"] == zoo.modified
    assert zoo.sent == len(CONTENT)


@pytest.mark.parametrize(
    "span", ["bytes 7-299999/300000", "bytes 100000-299999/300001", "", "nonsense"]
)
def test_another_part_than_asked_is_not_taken(zoo, target, span):
    def wrong_part(handler):
        handler.send_response(206)
        handler.send_header("Content-Range", span)
        handler.send_header("Content-Length", "9")
        handler.end_headers()
        handler.body(b"elsewhere")

    zoo.next.extend([cut(100_000), wrong_part])
    get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert "range" not in zoo.asked[2]


def test_a_part_beyond_the_end_is_thrown_away(zoo, target):
    zoo.next.extend([cut(100_000), answer(416)])
    get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert "range" not in zoo.asked[2]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_told_at_once(zoo, target, status):
    zoo.always = answer(status)
    with pytest.raises(DownloadError, match=f"answered {status}") as caught:
        get(zoo, target)
    assert zoo.url in str(caught.value)
    assert len(zoo.asked) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_failure_that_may_pass_is_tried_again(zoo, target, status):
    zoo.next.extend([answer(status), answer(status)])
    get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert len(zoo.asked) == 3


def test_a_failure_that_stays_is_given_up(zoo, target):
    zoo.always = answer(503)
    with pytest.raises(DownloadError, match="answered 503"):
        get(zoo, target)
    assert len(zoo.asked) == QUICK.tries


def test_waits_grow_and_a_server_may_ask_for_its_own(zoo, target, monkeypatch):
    slept = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", slept.append)
    zoo.next.extend([answer(500)] * 3 + [answer(503, Retry_After="7"), answer(503)])
    zoo.next.append(answer(503, Retry_After="86400"))
    get(zoo, target, patience=Patience(tries=8, backoff_s=0.5, backoff_max_s=20.0))
    assert slept == [1.0, 2.0, 7.0, 8.0, 20.0]  # the first try again comes at once


def test_a_wait_that_cannot_be_read_is_our_own(zoo, target):
    zoo.next.append(answer(503, Retry_After="soon"))
    get(zoo, target)
    assert target.read_bytes() == CONTENT


def test_a_silent_server_is_left_after_the_time_out(zoo, target):
    zoo.next.append(silent(1.0))
    get(zoo, target, patience=Patience(tries=9, backoff_s=0.0, read_s=0.5))
    assert target.read_bytes() == CONTENT
    zoo.always = silent(0.5)
    target.unlink()
    with pytest.raises(DownloadError, match="timed out"):
        get(zoo, target, patience=Patience(tries=1, read_s=0.1))


def test_nobody_there(target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/x.tar.gz"
        with pytest.raises(DownloadError, match="refused") as caught:
            get(None, target, address)
    assert address in str(caught.value)
    assert not target.exists()


def test_more_bytes_promised_than_come(zoo, target):
    zoo.ranges = False
    zoo.always = lambda handler: handler.serve(length=len(CONTENT) + 5)
    with pytest.raises(DownloadError, match="cannot be fetched"):
        get(zoo, target)


def test_fewer_bytes_promised_than_come(zoo, target):
    zoo.always = lambda handler: handler.serve(length=1000)
    get(zoo, target)
    assert target.read_bytes() == CONTENT[:1000]  # the checks on unpacking find this one


def chunked(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for start in range(0, len(CONTENT), 70_000):
        piece = CONTENT[start : start + 70_000]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


@pytest.mark.parametrize("misdeed", [lambda h: h.serve(length=None), chunked])
def test_a_length_that_is_not_told(zoo, target, misdeed):
    zoo.always = misdeed
    seen = get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), None)


def test_a_file_that_is_told_to_be_too_large_is_not_begun(zoo, target):
    with pytest.raises(DownloadError, match="larger than allowed") as caught:
        get(zoo, target, max_bytes=len(CONTENT) - 1)
    assert "--max-bytes" in str(caught.value)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("misdeed", [lambda h: h.serve(length=None), chunked])
def test_a_file_that_turns_out_too_large_is_stopped(zoo, target, misdeed):
    zoo.always = misdeed
    with pytest.raises(DownloadError, match="larger than allowed"):
        get(zoo, target, max_bytes=len(CONTENT) - 1)
    assert not list(target.parent.iterdir())


def test_a_redirect_is_followed_and_its_part_too(zoo, target):
    zoo.next.extend([answer(302, Location="/elsewhere"), cut(100_000)])
    zoo.next.append(answer(301, Location="/elsewhere"))
    get(zoo, target)
    assert target.read_bytes() == CONTENT
    assert zoo.paths[1] == "/elsewhere"
    assert zoo.asked[3]["range"] == "bytes=100000-"


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[bad/x"])
def test_a_redirect_out_of_http_is_refused(zoo, target, where):
    zoo.always = answer(302, Location=where)
    with pytest.raises(DownloadError, match="cannot be fetched"):
        get(zoo, target)
    assert len(zoo.asked) == 1
    assert not target.exists()


def test_redirects_in_a_ring_end(zoo, target):
    zoo.always = answer(302, Location="/round")
    with pytest.raises(DownloadError, match="redirects"):
        get(zoo, target)
    assert len(zoo.asked) < 50


def test_an_encoding_is_not_taken_off(zoo, target):
    def labelled(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.body(CONTENT)

    zoo.always = labelled
    get(zoo, target)
    assert target.read_bytes() == CONTENT


def test_a_full_disk_is_told_and_left_as_it_was(zoo, target):
    class Full(type(Path())):
        """The disk is full after 100,000 bytes."""

        def open(self, mode="r", *args, **kwargs):
            file = super().open(mode, *args, **kwargs)
            if mode == "ab":
                write = file.write

                class Limited:
                    def __enter__(self):
                        return self

                    def __exit__(self, *_):
                        file.close()

                    def write(self, piece):
                        if file.tell() > 100_000:
                            raise OSError(errno.ENOSPC, "No space left on device")
                        write(piece)

                return Limited()
            return file

    with pytest.raises(OSError, match="No space left"):
        get(zoo, Full(target))
    assert not list(target.parent.iterdir())


def test_credentials_of_an_address_are_not_shown(zoo, target):
    zoo.always = answer(403)
    address = zoo.url.replace("http://", "http://user:secret@")
    with pytest.raises(DownloadError) as caught:
        get(zoo, target, address)
    assert "secret" not in str(caught.value)
    assert "basic" in zoo.asked[0]["authorization"].lower()
