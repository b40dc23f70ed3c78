"""The MLflow store of a run: where it is, how it is opened, and what its failures look like."""

from __future__ import annotations

import logging
import os
import re
import socket
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from odbench.config.spec import RunSpec
from odbench.errors import OdbenchError, TrackingError, TrackingInputError
from odbench.records import ARTIFACTS_DIR
from odbench.tracking import views
from odbench.tracking.masking import MASK, mask

DATABASE_FILE = "mlflow.db"

_SQLITE = "sqlite:///"
_SERVER_SCHEMES = ("http", "https", "databricks")
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

_SCHEMES = {*_SERVER_SCHEMES, *_DATABASE_PORTS, "sqlite", "file"}
_ADDRESSES = (
    "sqlite:///PATH, http(s)://HOST:PORT, postgresql://, mysql:// or mssql://HOST/NAME, "
    "databricks, or a folder"
)

_POSTGRES_DRIVER = "psycopg2"  # as the extra has it

_CREATION_WAIT_S = 120.0  # creating the tables takes a few seconds, more on a busy machine
_LOCKED_WAIT_S = 10.0
_CONNECT_WAIT_S = 5.0
_CAUSE_LENGTH = 500  # characters

# Nothing is sent anywhere but to the store.
_PRIVATE = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

# MLflow's own defaults keep a command waiting for minutes on a server that is gone, make a run
# twice where an answer was lost, and write to standard output. What the user set stays.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}

# Read from the environment by MLflow itself, and by nobody else.
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")

# The errors that these write to the log come back as exceptions, which are reported once.
_NOISY_LOGGERS = ("alembic", "mlflow", "mlflow.store.db.utils", "urllib3.connectionpool")


@dataclass(frozen=True)
class Store:
    """An opened store: ``client`` is an ``MlflowClient``."""

    uri: str
    client: Any
    experiment_id: str


def tracking_uri(spec: RunSpec) -> str:
    """Address of the store: ``tracking.uri``, else SQLite in ``paths.runs_dir``.

    A SQLite path is made absolute, so that one store has one address.

    Raises:
        TrackingInputError: It is no address that MLflow knows, or the path of a SQLite store
            cannot be written as one.
    """
    given = spec.tracking.uri
    check_address(given or "", "tracking.uri")
    if given and not given.startswith("sqlite:"):
        return given
    if given:
        where, path = "tracking.uri", given.removeprefix(_SQLITE)
    else:
        where, path = "paths.runs_dir", str(Path(spec.paths.runs_dir) / DATABASE_FILE)
    if path.startswith("sqlite:") or path in ("", ":memory:"):
        raise TrackingInputError(
            "not the address of a SQLite file",
            where=where,
            value=given,
            allowed="sqlite:///PATH, an absolute path with four slashes",
        )
    if "%" in path or "?" in path:
        raise TrackingInputError(
            "a SQLite store cannot lie in a path with % or ?, which mean something in an address",
            where=where,
            value=path,
            fix="use another folder",
        )
    return f"{_SQLITE}{Path(path).expanduser().resolve()}"


def check_address(uri: str, where: str) -> None:
    """Refuse a scheme that MLflow has no store for; plugins may bring theirs.

    Raises:
        TrackingInputError: Naming ``where`` it was given.
    """
    found = re.match(r"([\w.-]+)(\+\w+)?:", uri)  # +: the driver of a database
    if found is None or found[1].lower() in _SCHEMES:
        return
    if found[1] not in entry_points(group="mlflow.tracking_store").names:
        raise TrackingInputError(
            "no such kind of MLflow store",
            where=where,
            value=mask(uri, uri),
            allowed=_ADDRESSES,
        )


def sqlite_path(uri: str) -> Path | None:
    """The database file of a SQLite store, None of any other."""
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def open_store(spec: RunSpec) -> Store:
    """Open the store and its experiment; what does not exist yet is created, once.

    Raises:
        TrackingError: The store cannot be reached, read or written.
    """
    uri = tracking_uri(spec)
    with store_errors(uri, "open the MLflow store"):
        _check_driver(uri)
        if sqlite_path(uri) is None:
            check_reachable(uri)
        from mlflow.tracking import MlflowClient  # takes seconds, so not while others wait

        with _creation_lock(uri):
            if sqlite_path(uri) is not None:
                check_reachable(uri)
            client = MlflowClient(with_driver(uri))
            return Store(uri, client, _experiment(client, spec, uri))


@contextmanager
def store_errors(uri: str, doing: str) -> Iterator[None]:
    """Turn whatever the store raises into one error without credentials, and keep it quiet.

    Only calls of the store belong into it: stores of every kind raise errors of every kind.

    Raises:
        TrackingError: Something in the block failed.
    """
    set_environment()
    try:
        with _quiet():
            yield
    except OdbenchError:
        raise
    except Exception as error:
        # Not chained: the original's text may hold the password.
        raise TrackingError(
            f"cannot {doing}",
            where=mask(uri, uri),
            value=_cause(error, uri),
            fix=_advice(uri),
        ) from None


def set_environment() -> None:
    """Set what MLflow reads from the environment, before it is imported."""
    os.environ.update(_PRIVATE)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def check_reachable(uri: str) -> None:
    """Fail at once where MLflow would retry opening a database for minutes.

    Raises:
        OSError: No such folder, or no answer.
        sqlite3.Error: Not a database, locked, or not writable.
    """
    path = sqlite_path(uri)
    if path is not None:
        with closing(sqlite3.connect(path, timeout=_LOCKED_WAIT_S)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
        return
    parts = urlsplit(uri)
    port = _DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname:
        address = (parts.hostname, parts.port or port)
        socket.create_connection(address, timeout=_CONNECT_WAIT_S).close()


def with_driver(uri: str) -> str:
    """The address with the driver of our extra where it names none: SQLAlchemy's choice changes."""
    return uri.replace("postgresql://", f"postgresql+{_POSTGRES_DRIVER}://", 1)


def _check_driver(uri: str) -> None:
    """Name the extra that is missing: SQLAlchemy would name a module that nobody knows."""
    dialect, _, driver = urlsplit(with_driver(uri)).scheme.partition("+")
    if dialect == "postgresql" and find_spec(driver) is None:
        raise TrackingError(
            f"the driver for PostgreSQL is not installed: {driver}",
            where="tracking.uri",
            value=mask(uri, uri),
            fix="pip install 'odbench[postgres]', or log to an MLflow server: tracking.uri=http://...",
        )


def _creation_lock(uri: str) -> Any:
    """One process at a time creates tables and experiment: MLflow does not see to it itself."""
    path = sqlite_path(uri)
    if path is None:
        return nullcontext()
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=_CREATION_WAIT_S)


def _experiment(client: Any, spec: RunSpec, uri: str) -> str:
    """Id of the experiment, which another process may create at the same moment."""
    from mlflow.exceptions import MlflowException

    name = spec.tracking.experiment
    folder = _artifact_folder(spec, uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            location = None if folder is None else str(folder)
            tags = {views.TAG: views.view(int(time.time() * 1000))}
            return str(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    _check_experiment(found, folder)
    if views.TAG not in found.tags:  # who has made it another one keeps that
        view = views.view(int(time.time() * 1000))
        client.set_experiment_tag(found.experiment_id, views.TAG, view)
    return str(found.experiment_id)


def _artifact_folder(spec: RunSpec, uri: str) -> Path | None:
    """Where artifacts go; None where a server decides."""
    if urlsplit(uri).scheme in _SERVER_SCHEMES:
        return None
    return Path(spec.paths.runs_dir).expanduser().resolve() / ARTIFACTS_DIR


def _check_experiment(experiment: Any, folder: Path | None) -> None:
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            "the MLflow experiment was deleted",
            where="tracking.experiment",
            value=experiment.name,
            fix="restore it (mlflow experiments restore) or give another tracking.experiment",
        )
    recorded = str(experiment.artifact_location)
    if folder is None or not recorded.startswith("/") or Path(recorded) == folder:
        return
    if not Path(recorded).is_dir():
        raise TrackingError(
            "the store was moved: the folder that its experiment keeps artifacts in is gone",
            where="tracking.experiment",
            value=recorded,
            fix="move it back, or give another tracking.experiment",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        # Raised by SQLAlchemy 2.1 about a strategy that MLflow 3.17 maps its tables with.
        warnings.filterwarnings(
            "ignore", message="The ``noload`` loader strategy", category=DeprecationWarning
        )
        # About loaders of models: one of MLflow's own, and an example that would be tried at once.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred")
        warnings.filterwarnings("ignore", message=".*An input example was not provided")
        try:
            _set_levels(loggers, [logging.CRITICAL] * len(loggers))
            yield
        finally:
            _set_levels(loggers, before)


def _set_levels(loggers: list[logging.Logger], levels: list[int]) -> None:
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def _cause(error: Exception, uri: str) -> str:
    text = mask(str(error), uri)
    for secret in filter(None, map(os.environ.get, _SECRETS)):
        text = text.replace(secret, MASK)
    text = " ".join(text.split())
    if len(text) > _CAUSE_LENGTH:  # the reason of a failed request stands at the end
        half = _CAUSE_LENGTH // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _advice(uri: str) -> str:
    if sqlite_path(uri) is not None:
        check = "see that the folder is writable, the disk not full and the database not in use"
    else:
        check = "start the server, or give the right address: tracking.uri, or --uri of sync"
    return f"{check}; records stay in their run folders, and odbench sync sends them"
