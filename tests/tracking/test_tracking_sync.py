import dataclasses
import threading

import pytest
from factories import make_record, make_spec, store_record

from odbench.config.spec import PathsSpec, TrackingSpec
from odbench.errors import ConfigError, TrackingError
from odbench.records import StoredRun, write_record
from odbench.tracking.entries import logging_lock
from odbench.tracking.log import (
    find_sweep,
    find_whole,
    finish_sweep,
    log_run,
    logged_id,
    start_sweep,
)
from odbench.tracking.store import open_store, tracking_uri
from odbench.tracking.sync import Places, adopt_runs


def told(tmp_path, tracking=None, paths=None, **changes):
    """A run in ``tmp_path/runs/`` that was told that."""
    parts = {"tracking": TrackingSpec(**tracking or {}), "paths": PathsSpec(**paths or {})}
    return store_record(make_record(spec=parts, **changes), tmp_path)


class TestPlaces:
    def test_a_relative_folder_is_meant_from_where_the_run_was_started(self, tmp_path):
        run = told(tmp_path)
        assert Places().of(run).uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
        paths = Places().of(run).spec.paths
        assert (paths.runs_dir, paths.reports_dir) == (f"{tmp_path}/runs", f"{tmp_path}/reports")

    def test_so_is_a_relative_database(self, tmp_path):
        run = told(tmp_path, {"uri": "sqlite:///mine.db"})
        assert Places().of(run).uri == f"sqlite:///{tmp_path}/mine.db"

    def test_the_nearest_folder_of_that_name_counts(self, tmp_path):
        run = told(tmp_path / "runs" / "inner")
        assert Places().of(run).uri == f"sqlite:///{tmp_path}/runs/inner/runs/mlflow.db"

    def test_a_folder_that_was_renamed_is_meant_from_here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        run = told(tmp_path, paths={"runs_dir": "other"})
        assert Places().of(run).uri == f"sqlite:///{tmp_path}/other/mlflow.db"

    def test_another_store_and_experiment_for_all(self, tmp_path):
        run = told(tmp_path, {"uri": "http://own:1", "experiment": "own", "enabled": False})
        own, given = Places().of(run), Places("http://given:2", "given").of(run)
        assert (own.uri, own.experiment) == ("http://own:1", "own")
        assert (given.uri, given.experiment) == ("http://given:2", "given")
        assert Places().own and not Places(experiment="given").own

    def test_runs_told_the_same_share_a_place(self, tmp_path):
        places = Places()
        first, second = told(tmp_path, run_id="a"), told(tmp_path, run_id="b")
        other = told(tmp_path, {"experiment": "other"}, run_id="c")
        assert places.of(first) is places.of(second)
        assert places.of(first) != places.of(other)

    def test_a_specification_of_another_version(self, tmp_path):
        run = store_record(make_record(), tmp_path)
        record = dataclasses.replace(run.record, spec=make_spec() | {"nosuch": 1})
        with pytest.raises(ConfigError, match="nosuch"):
            Places().of(StoredRun(record, run.dir))

    def test_looking_makes_nothing(self, tmp_path):
        places = Places()
        assert places.looked_at(places.of(told(tmp_path))) is None
        assert not (tmp_path / "runs" / "mlflow.db").exists()

    def test_a_store_that_failed_is_not_asked_again(self, tmp_path):
        places = Places()
        place = places.of(told(tmp_path))
        database = tmp_path / "runs" / "mlflow.db"
        database.write_text("not a database, and long enough to be seen as none" * 30)
        for ask in (places.opened, places.looked_at):
            with pytest.raises(TrackingError, match="not a database"):
                ask(place)
        database.unlink()
        with pytest.raises(TrackingError, match="not a database"):
            places.opened(place)


def test_a_run_in_another_experiment_is_not_there_yet(tmp_path, spec):
    run = store_record(make_record(), tmp_path)
    uri, experiment = tracking_uri(spec), spec.tracking.experiment
    logged = log_run(run, spec)
    assert logged_id(run, uri, experiment) == logged
    assert logged_id(run, uri, "other") is None
    assert logged_id(run, "http://other", experiment) is None


def test_the_store_knows_a_run_as_it_ended(tmp_path, spec):
    run = store_record(make_record(), tmp_path)
    assert find_whole(open_store(spec), run) is None
    logged = log_run(run, spec)
    store = open_store(spec)
    assert find_whole(store, run) == logged
    resumed = StoredRun(dataclasses.replace(run.record, wall_s=999.0), run.dir)
    assert find_whole(store, resumed) is None
    store.client.update_run(logged, status="RUNNING")
    assert find_whole(store, run) is None


def test_a_sweep_is_whole_when_it_ended_with_its_runs(tmp_path, spec):
    runs = [store_record(make_record(run_id=name, name=name), tmp_path) for name in "ab"]
    store = open_store(spec)
    assert find_sweep(store, "s", runs) == (None, False)
    parent = start_sweep(spec, "s", "name", [], at_ms=1000)
    assert find_sweep(store, "s", runs) == (parent, False)
    finish_sweep(spec, parent, runs[:1], None, at_ms=5000)
    assert find_sweep(store, "s", runs[:1]) == (parent, True)
    assert find_sweep(store, "s", runs) == (parent, False)
    finish_sweep(spec, parent, runs, None, at_ms=6000)
    assert find_sweep(store, "s", runs) == (parent, True)
    logged = store.client.get_run(parent)
    assert (logged.info.start_time, logged.info.end_time) == (1000, 6000)
    history = store.client.get_metric_history(parent, "sweep/failed")
    assert [metric.value for metric in history] == [0.0]  # the same once, though ended twice
    assert logged.data.metrics["sweep/ok"] == 2


def test_runs_without_a_parent_are_adopted(tmp_path, spec, client):
    runs = [
        store_record(make_record(run_id=name, name=name, sweep_id="adopting"), tmp_path)
        for name in "ab"
    ]
    ids = [log_run(runs[0], spec), log_run(runs[1], spec, "another")]
    adopt_runs(open_store(spec), "adopting", "parent")
    found = [client.get_run(each).data.tags["mlflow.parentRunId"] for each in ids]
    assert found == ["parent", "another"]


class TestLock:
    def test_another_waits(self, tmp_path):
        order = []

        def other():
            with logging_lock(tmp_path):
                order.append("other")

        with logging_lock(tmp_path), logging_lock(tmp_path):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join(0.3)
            order.append("first")
        thread.join(10)
        assert order == ["first", "other"]

    def test_a_folder_that_is_gone(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(TrackingError, match="cannot be held"), logging_lock(tmp_path / "file"):
            raise AssertionError("it was held")

    def test_a_run_that_goes_on_elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.setattr("odbench.tracking.entries._LOGGING_WAIT_S", 0.1)
        errors = []

        def other():
            try:
                with logging_lock(tmp_path):
                    errors.append(None)
            except TrackingError as error:
                errors.append(error)

        with logging_lock(tmp_path):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join(10)
        assert "another process is logging it" in str(errors[0])


def test_a_record_that_was_written_anew_is_sent_anew(tmp_path, spec, client):
    run = store_record(make_record(), tmp_path)
    first = log_run(run, spec)
    record = dataclasses.replace(run.record, wall_s=999.0)
    write_record(record, run.dir)
    again = StoredRun(record, run.dir)
    assert logged_id(again, tracking_uri(spec), spec.tracking.experiment) is None
    assert log_run(again, spec) == first
