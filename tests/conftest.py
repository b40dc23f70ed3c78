import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What a shell starts in the background ignores Ctrl-C, and so would every process of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory):
    """One cache of converted data sets for the whole session, apart from the user's."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["ODBENCH_CACHE_DIR"] = str(folder)
    os.environ["ODBENCH_LOCK_DIR"] = str(tmp_path_factory.mktemp("locks"))
    # dozens of processes are started: let the first one keep the compiled modules for the others
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return folder


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data sets; skips, saying so, where it is absent."""
    folder = Path(os.environ.get("ODBENCH_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder}; set ODBENCH_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An MLflow database that holds nothing: tests copy it, since making one takes seconds.

    The processes of one session share it.
    """
    from filelock import FileLock
    from tracking.tracked import tracked_spec

    from odbench.tracking.store import open_store

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "empty-store"
    with FileLock(f"{folder}.lock"):
        if not (folder / "whole").exists():
            open_store(tracked_spec(folder, experiment="another"))
            (folder / "whole").touch()
    return folder / "mlflow.db"


@pytest.fixture
def runs_dir(tmp_path, monkeypatch, empty_database):
    """``runs`` of the folder that we are in, with a store that no run was logged to."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    shutil.copy(empty_database, tmp_path / "runs" / "mlflow.db")
    return tmp_path / "runs"


@pytest.fixture
def odbench(tmp_path):
    """Calls the command in a folder of its own: ``odbench("run", "seed=1") -> CompletedProcess``.

    It is carried out in this process; :func:`processes.completed` starts one.
    """
    from processes import called

    return partial(called, tmp_path)
