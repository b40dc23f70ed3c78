"""A zoo for tests: tarballs of the right layout, and a server that misbehaves on request."""

import gzip
import io
import os
import tarfile
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "ssd_mobilenet_v2_320x320"
TOP = "ssd_mobilenet_v2_320x320_coco17_tpu-8"
PATH = f"tf2/20200711/{TOP}.tar.gz"

FILES = {
    "pipeline.config": b"model { ssd { num_classes: 90 } }\n",
    "checkpoint/checkpoint": b'model_checkpoint_path: "ckpt-0"\n',
    "checkpoint/ckpt-0.index": b"index" * 40,
    "checkpoint/ckpt-0.data-00000-of-00001": os.urandom(200_000),  # as good as incompressible
    "saved_model/saved_model.pb": b"graph" * 100,
}


def add(tar, name, content=b"", **fields):
    """Add a member with any fields of its header."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def tarball(files=FILES, top=f"{TOP}/", extra=None, mode="w:gz"):
    """The bytes of a tarball; ``extra(tar)`` adds to it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            add(tar, top + name, content)
        if extra is not None:
            extra(tar)
    return buffer.getvalue()


def gzipped(content):
    return gzip.compress(content, mtime=0)


def unpacked(folder, files=FILES):
    """The same as a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@dataclass
class Zoo:
    """What the server publishes, what it does wrong next, and what it was asked."""

    content: bytes
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    next: deque = field(default_factory=deque)  # one misdeed for each of the next requests
    always: object = None  # the misdeed of all others
    asked: list = field(default_factory=list)  # headers of every request
    paths: list = field(default_factory=list)
    sent: int = 0  # bytes of bodies
    address: str = ""

    @property
    def url(self):
        return f"{self.address}/{PATH}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        zoo = self.server.zoo
        zoo.asked.append({key.lower(): value for key, value in self.headers.items()})
        zoo.paths.append(self.path)
        misdeed = zoo.next.popleft() if zoo.next else zoo.always
        if misdeed is None:
            self.serve()
        else:
            misdeed(self)

    def serve(self, content=None, cut=None, length=True):
        """Answer as a good server does; ``cut``: close the connection after so many bytes."""
        zoo = self.server.zoo
        content, start = zoo.content if content is None else content, self._start()
        total = len(content)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if zoo.etag:
            self.send_header("ETag", zoo.etag)
        if zoo.modified:
            self.send_header("Last-Modified", zoo.modified)
        if length is True:
            self.send_header("Content-Length", str(total - start))
        elif length is not None:
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        self.body(content[start:] if cut is None else content[start:][:cut])
        if cut is not None or length is not True:
            self.close_connection = True

    def body(self, content):
        self.server.zoo.sent += len(content)  # before the client can have it
        self.wfile.write(content)

    def _start(self):
        zoo, asked = self.server.zoo, self.headers.get("Range")
        if not asked or not zoo.ranges:
            return 0
        if self.headers.get("If-Range") not in (zoo.etag, zoo.modified):
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-"))

    def log_message(self, *_):
        pass


def cut(after):
    """Close the connection after so many bytes of the body."""
    return lambda handler: handler.serve(cut=after)


def answer(status, **headers):
    """A status and no more."""

    def misdeed(handler):
        handler.send_response(status)
        for key, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(key.replace("_", "-"), value)
        handler.end_headers()

    return misdeed


def silent(seconds):
    """Take the request and say nothing for a while."""

    def misdeed(handler):
        time.sleep(seconds)
        handler.close_connection = True

    return misdeed


@contextmanager
def serving(content):
    """A server on 127.0.0.1 while the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.zoo = Zoo(content, address=f"http://127.0.0.1:{server.server_address[1]}")
    server.handle_error = lambda *_: None  # the client may go at any time
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.zoo
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def left(cache):
    """What lies in the cache, but for locks."""
    return sorted(p.name for p in (cache / "zoo").iterdir() if not p.name.endswith(".lock"))


def model_files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "origin.json"
    }


def remove(cache):
    """Delete the model, as a user may."""
    for path in sorted((cache / "zoo" / NAME).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (cache / "zoo" / NAME).rmdir()
