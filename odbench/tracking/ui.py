"""The stock MLflow pages on a store, at this machine's own address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from odbench.errors import InputError, TrackingError, TrackingInputError
from odbench.records import ARTIFACTS_DIR
from odbench.tracking.masking import mask
from odbench.tracking.store import set_environment, sqlite_path, with_driver

HOST = "127.0.0.1"

# MLflow's pages for training: without that it shows those for language models.
PAGE = "#/experiments?workflowType=machine_learning"

_START_S = 60.0
_STOP_S = 10.0


def ui_command(uri: str, port: int) -> list[str]:
    """Command that serves MLflow's pages for a store; an address with credentials is not in it.

    Args:
        uri: The store, as :func:`~odbench.tracking.store.tracking_uri` gives it.
        port: TCP port at 127.0.0.1.

    Raises:
        InputError: The port is out of range or taken.
        TrackingInputError: There is no such store yet, or it is a server with pages of its own.
    """
    _check_store(uri)
    _check_port(port)
    path = sqlite_path(uri)
    artifacts = (
        [] if path is None else ["--default-artifact-root", str(path.parent / ARTIFACTS_DIR)]
    )
    # Read from the environment else, where other users of the machine do not see it.
    backend = ["--backend-store-uri", with_driver(uri)] if mask(uri, uri) == uri else []
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        *("--uvicorn-opts", "--log-level warning"),
        *("--no-serve-artifacts", *artifacts),
        *backend,
    ]


def ui_environment(uri: str) -> dict[str, str]:
    """Environment of that command: nothing phones home, and no job workers are started."""
    set_environment()
    return os.environ | {
        "MLFLOW_BACKEND_STORE_URI": with_driver(uri),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",  # of MLflow's own imports: nothing that a reader can act on
    }


def serve_ui(uri: str, port: int, announce: Callable[[str], None] | None = None) -> int:
    """Serve MLflow's pages until Ctrl-C or SIGTERM.

    Args:
        uri: The store.
        port: TCP port at 127.0.0.1.
        announce: Called once with the address, when the pages answer.

    Returns:
        0 after Ctrl-C, else the exit code of the server.

    Raises:
        InputError: The port is out of range or taken.
        TrackingInputError: There is no such store yet, or it is a server with pages of its own.
        TrackingError: The server did not start.
    """
    command = ui_command(uri, port)
    # A session of its own: the server and its worker are ended together, and by us alone.
    with (
        _sigterm_as_interrupt(),
        subprocess.Popen(
            command, env=ui_environment(uri), stdout=2, start_new_session=True
        ) as server,
    ):
        try:
            address = f"http://{HOST}:{port}"
            _wait_until_up(server, f"{address}/health")
            if announce is not None:
                announce(address)
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(server)


def _check_store(uri: str) -> None:
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise TrackingInputError(
            "there is no MLflow store yet",
            where=str(path),
            fix="run something first (odbench run), or name another paths.runs_dir",
        )
    if uri.startswith(("http://", "https://")):
        raise TrackingInputError(
            "the store is an MLflow server with pages of its own",
            where=mask(uri, uri),
            fix="open that address in a browser",
        )


def _check_port(port: int) -> None:
    allowed = "a free port, 1..65535"
    if not 1 <= port <= 65535:
        raise InputError("no such port", where="--port", value=port, allowed=allowed)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"cannot listen at {HOST}: {error.strerror}",
                where="--port",
                value=port,
                allowed=allowed,
                fix="give another --port, or end what holds this one",
            ) from error


def _wait_until_up(server: subprocess.Popen[bytes], address: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise TrackingError(
        "the MLflow server did not start",
        where=address,
        value="still starting" if server.poll() is None else f"exit code {server.returncode}",
        fix="see its messages above",
    )


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server's whole session, first politely."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            break
        try:
            server.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
