import shutil

import pytest
from tracked import tracked_spec


@pytest.fixture(scope="session")
def runs_dir(tmp_path_factory, empty_database):
    """The folder of one real SQLite store."""
    folder = tmp_path_factory.mktemp("tracked") / "runs"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


@pytest.fixture
def spec(runs_dir, request):
    """Logs to that store, into an experiment of the test's own."""
    return tracked_spec(runs_dir, experiment=request.node.name)


@pytest.fixture
def client(spec):
    """The store as any MLflow user sees it."""
    from odbench.tracking.store import open_store

    return open_store(spec).client
