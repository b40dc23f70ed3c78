import json
import logging
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from factories import make_record, store_record
from tracked import tracked_spec

from odbench.ending import check_store
from odbench.errors import InputError, TrackingError
from odbench.records import ARTIFACTS_DIR
from odbench.tracking import content, store, views
from odbench.tracking.store import open_store, store_errors, tracking_uri
from odbench.tracking.tags import run_tags


def test_default_is_sqlite_below_the_runs_folder(tmp_path):
    assert tracking_uri(tracked_spec(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"


def test_relative_sqlite_path_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = tracking_uri(tracked_spec("runs", uri="sqlite:///my/runs.db"))
    assert uri == f"sqlite:///{tmp_path}/my/runs.db"


def test_other_addresses_stay_as_given(tmp_path):
    uri = "http://mlflow.example.com"
    assert tracking_uri(tracked_spec(tmp_path, uri=uri)) == uri


@pytest.mark.parametrize("uri", ["sqlite:///:memory:", "sqlite://", "sqlite:///"])
def test_a_store_in_memory_is_refused(tmp_path, uri):
    with pytest.raises(TrackingError, match=r"tracking\.uri"):
        tracking_uri(tracked_spec(tmp_path, uri=uri))


def test_a_store_is_of_a_kind_that_mlflow_has(tmp_path):
    for uri in ("databricks", "postgresql+psycopg2://h/db", "file:///a/b", "./a"):
        assert tracking_uri(tracked_spec(tmp_path, uri=uri)) == uri
    for uri in ("foo://bar", "127.0.0.1:5000", "localhost:5000"):
        with pytest.raises(InputError, match=r"tracking\.uri: no such kind(?s:.*)sqlite:///"):
            tracking_uri(tracked_spec(tmp_path, uri=uri))


def test_a_run_may_go_without_a_store_that_is_down(tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingError, match=r"sync sends them; or run without it: tracking\."):
        check_store(tracked_spec(tmp_path))


def test_a_path_that_is_no_address_is_refused(tmp_path):
    with pytest.raises(TrackingError, match=r"paths\.runs_dir"):
        tracking_uri(tracked_spec(tmp_path / "50%25"))


def test_artifacts_lie_below_the_runs_folder(spec, client, runs_dir):
    experiment = client.get_experiment_by_name(spec.tracking.experiment)
    assert Path(experiment.artifact_location) == runs_dir / "mlartifacts"


def test_opening_twice_gives_the_same_experiment(spec):
    assert open_store(spec).experiment_id == open_store(spec).experiment_id


def test_an_experiment_has_a_view_of_its_variants(spec, client):
    experiment = client.get_experiment(open_store(spec).experiment_id)
    state = json.loads(json.loads(experiment.tags[views.TAG])["state"])
    assert state["searchFilter"] == "tags.`odbench.level` = 'variant'"
    assert "metrics.`eval/AP`" in state["selectedColumns"]
    kinds = [chart["type"] for chart in state["compareRunCharts"]]
    assert kinds == ["PARALLEL", "SCATTER", "SCATTER", "SCATTER", "SCATTER"]


@pytest.mark.parametrize("given", [None, "a view that somebody saved"])
def test_a_view_is_added_to_an_older_experiment_and_never_replaced(runs_dir, client, given):
    name, tags = f"older, with {given}", {} if given is None else {views.TAG: given}
    number = client.create_experiment(name, str(runs_dir / ARTIFACTS_DIR), tags=tags)
    assert open_store(tracked_spec(runs_dir, experiment=name)).experiment_id == number
    found = client.get_experiment(number).tags[views.TAG]
    assert found == given if given else json.loads(found)["name"] == views.NAME


def test_what_a_view_shows_is_what_runs_are_logged_with(tmp_path):
    run = store_record(make_record(), tmp_path)
    state = json.loads(json.loads(views.view(0))["state"])
    logged = {f"params.`{name}`" for name in content.params(run.record)}
    logged |= {f"metrics.`{point.key}`" for point in content.metrics(run.record)}
    logged |= {f"tags.`{name}`" for name in run_tags(run, "name")}
    assert set(state["selectedColumns"]) <= logged


def test_an_experiment_made_at_the_same_moment_is_used(spec, client, monkeypatch):
    wanted = open_store(spec).experiment_id
    answers = [None, client.get_experiment_by_name(spec.tracking.experiment)]
    monkeypatch.setattr(
        "mlflow.tracking.MlflowClient.get_experiment_by_name", lambda *_: answers.pop(0)
    )
    assert open_store(spec).experiment_id == wanted
    assert answers == []


def test_a_deleted_experiment_is_named(spec, client):
    client.delete_experiment(open_store(spec).experiment_id)
    with pytest.raises(TrackingError, match=r"was deleted"):
        open_store(spec)


def test_a_moved_store_does_not_write_to_the_old_place(spec, runs_dir, tmp_path):
    open_store(spec)
    moved = tracked_spec(
        tmp_path, experiment=spec.tracking.experiment, uri=f"sqlite:///{runs_dir}/mlflow.db"
    )
    artifacts = runs_dir / "mlartifacts"
    aside = artifacts.rename(runs_dir / "aside") if artifacts.exists() else None
    try:
        with pytest.raises(TrackingError, match=r"was moved"):
            open_store(moved)
    finally:
        if aside is not None:
            aside.rename(artifacts)


def test_nothing_is_printed(spec, capfd):
    open_store(spec)
    assert capfd.readouterr() == ("", "")


def test_telemetry_is_off_whatever_was_set(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    store.set_environment()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "true"


def test_limits_that_the_user_set_stay(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    store.set_environment()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "4"


def test_log_levels_are_given_back(spec):
    logger = logging.getLogger("mlflow.store.db.utils")
    before = logger.level
    open_store(spec)
    assert logger.level == before


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("uri", "cause"),
    [
        ("http://anna:hunter22@127.0.0.1:9", "Connection refused"),
        ("postgresql://anna:hunter22@127.0.0.1:9/db", "Connection refused"),
        ("nosuch://anna:hunter22@host", "no such kind of MLflow store"),
        ("sqlite:////proc/nowhere/mlflow.db", "No such file"),
    ],
)
def test_a_store_that_is_not_there_fails_soon_and_names_no_password(spec, caplog, uri, cause):
    spec.tracking.uri = uri
    started = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        open_store(spec)
    assert time.monotonic() - started < 10
    text = str(caught.value)
    assert cause in text
    assert "do: " in text or "allowed: " in text
    assert "hunter22" not in text + caplog.text
    assert caught.value.__cause__ is None


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, but a text of some length\n" * 20)
    with pytest.raises(TrackingError, match=r"not a database"):
        open_store(tracked_spec(tmp_path))


def test_a_locked_database(spec, runs_dir, monkeypatch):
    open_store(spec)
    monkeypatch.setattr(store, "_LOCKED_WAIT_S", 0.1)
    holder = sqlite3.connect(runs_dir / "mlflow.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingError, match=r"database is locked"):
            open_store(spec)
    finally:
        holder.close()


def test_a_missing_driver_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "find_spec", lambda name: None)
    with pytest.raises(TrackingError, match=r"psycopg2(?s:.*)odbench\[postgres\]"):
        open_store(tracked_spec(tmp_path, uri="postgresql://127.0.0.1/db"))


def test_a_token_of_the_environment_is_in_no_error(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cr3t-token")
    with pytest.raises(TrackingError) as caught, store_errors("http://h", "do it"):
        raise RuntimeError("refused: Bearer s3cr3t-token")
    assert str(caught.value.value) == "RuntimeError: refused: Bearer ***"


def test_a_long_cause_keeps_its_end(tmp_path):
    with pytest.raises(TrackingError) as caught, store_errors("http://h", "do it"):
        raise RuntimeError("x" * 5000 + " the reason")
    assert str(caught.value.value).endswith("the reason")
    assert len(str(caught.value.value)) < 600


def test_errors_of_our_own_pass_unchanged():
    error = TrackingError("known", fix="this")
    with pytest.raises(TrackingError) as caught, store_errors("http://h", "do it"):
        raise error
    assert caught.value is error


NEW_STORE = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from tracked import tracked_spec
from odbench.tracking.store import open_store
print(open_store(tracked_spec(sys.argv[2])).experiment_id)
from mlflow.telemetry.utils import is_telemetry_disabled
print(is_telemetry_disabled())
"""

# MLflow sends nothing where it sees these, whatever else is set.
SEEN_BY_MLFLOW = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "PYTEST_CURRENT_TEST")


@pytest.mark.timeout(120)
def test_two_processes_that_start_at_once_share_one_new_store(tmp_path):
    here = ":".join(map(str, Path(__file__).parents[:2]))
    command = [sys.executable, "-W", "error", "-c", NEW_STORE, here, str(tmp_path / "runs")]
    ours = (*SEEN_BY_MLFLOW, *store._PRIVATE, *store._DEFAULTS)
    bare = {key: value for key, value in os.environ.items() if key not in ours}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=bare, **pipes) for _ in range(2)]
    answers = [process.communicate(timeout=100) for process in both]
    assert answers == [("1\nTrue\n", "")] * 2
