"""``odbench sync`` of whole sweeps, of processes that were killed, and several of it at once."""

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
from factories import make_record, store_record
from tracking.tracked import store_sweep, tracked_spec

from odbench import hydra_job, sweep_syncing, syncing
from odbench.tracking import log
from odbench.tracking.log import finish_sweep, log_run, start_sweep
from odbench.tracking.store import open_store
from odbench.tracking.sync import Places

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Figures and reports take seconds, and these tests are about something else."""
    monkeypatch.setattr(syncing, "draw_run", lambda run: None)
    monkeypatch.setattr(sweep_syncing, "report_of", lambda runs, folder, sweep: _report(folder))


def _report(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text("# Report")
    return folder / "report.md"


def sync(folder=Path("runs")):
    """What became of the runs, and of the sweep."""
    return [item.fate.name for item in syncing.sync([folder], Places()).items]


def tree(runs_dir):
    """What a reader of MLflow sees of all runs, apart from ids and times."""
    store = open_store(tracked_spec(runs_dir))
    runs = store.client.search_runs([store.experiment_id])
    names = {run.info.run_id: run.info.run_name for run in runs}
    return {_place(run, names): _content(store.client, run, names) for run in runs}


def _place(run, names):
    return (names.get(run.data.tags.get("mlflow.parentRunId")), run.info.run_name)


def _content(client, run, names):
    tags = dict(run.data.tags)
    tags.pop("mlflow.parentRunId", None)
    note = tags.pop("mlflow.note.content").replace(run.info.run_id, "ID")
    folders, artifacts = [None], set()
    while folders:
        for item in client.list_artifacts(run.info.run_id, folders.pop()):
            artifacts.add(item.path)
            if item.is_dir:
                folders.append(item.path)
    inputs = sorted(str(each.dataset.digest) for each in run.inputs.dataset_inputs)
    values = (tags, note, run.data.params, run.data.metrics)
    return (run.info.status, run.info.end_time, *values, sorted(artifacts), inputs)


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_sweep_is_there_as_if_nothing_had_happened(repeats, tmp_path, runs_dir, empty_database):
    runs = store_sweep(tmp_path, repeats=repeats)
    spec = Places().of(runs[0]).spec
    parent = start_sweep(spec, "s1", "batches-sweep", ["train.batch_size=4,8"])
    for run in runs:
        log_run(run, spec, parent)
    ended = runs[-1].record
    end_ms = log.content.times_ms(ended)[1]
    finish_sweep(spec, parent, runs, _report(tmp_path / "reports").parent, end_ms)
    undisturbed = tree(runs_dir)
    assert len(undisturbed) == (3 if repeats == 1 else 1 + 2 + 4)
    there = ["there"] * (len(runs) + 1)
    assert sync() == there

    # the same sweep as its process would leave it where the store was lost
    shutil.copy(empty_database, runs_dir / "mlflow.db")
    for path in runs_dir.rglob("mlflow.json"):
        path.unlink()
    assert sync() == ["sent"] * len(there)
    assert tree(runs_dir) == undisturbed
    assert json.loads((runs_dir / "sweep" / "sweep.json").read_text())["mlflow_run_id"] is not None
    assert sync() == there

    # cut off before its end: the parent alone is left to do
    store = open_store(spec)
    (parent,) = store.client.search_runs([store.experiment_id], "tags.`odbench.kind` = 'sweep'")
    store.client.update_run(parent.info.run_id, status="RUNNING")
    assert sync() == [*there[1:], "sent"]
    assert tree(runs_dir) == undisturbed


def _log_and_die(run, where):
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    room, _, name = where.partition(".")
    setattr({"hydra_job": hydra_job, "log": log}[room], name, die)
    log_run_as_it_ends(run)


def log_run_as_it_ends(run):
    hydra_job.log_stored(run, Places().of(run).spec, None)


@pytest.mark.parametrize(
    "where", ["hydra_job.draw_run", "log.log_dataset", "log._write_link", "log.update_variant"]
)
def test_kill_9_between_the_record_and_the_end_of_logging(where, tmp_path, runs_dir, monkeypatch):
    if not where.startswith("hydra_job"):
        monkeypatch.setattr(hydra_job, "draw_run", lambda run: None)
    runs = store_sweep(tmp_path, batches=(8,))
    # forked before this process opens the store: a connection must not be shared
    killed = FORK.Process(target=_log_and_die, args=(runs[0], where))
    killed.start()
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL
    first = {"log._write_link": "there", "log.update_variant": "there"}.get(where, "sent")
    assert sync() == [first, "sent", "sent"]
    found = tree(runs_dir)
    assert sorted(found, key=str) == [
        ("batches-sweep", "ssd-b8"),
        ("ssd-b8", "ssd-b8 r0"),
        ("ssd-b8", "ssd-b8 r1"),
        (None, "batches-sweep"),
    ]
    assert {status for status, *_ in found.values()} == {"FINISHED"}
    assert found["batches-sweep", "ssd-b8"][5]["eval/AP_n"] == 2
    store = open_store(tracked_spec(runs_dir))
    for run in store.client.search_runs([store.experiment_id], "tags.`odbench.kind` = 'run'"):
        assert len(run.inputs.dataset_inputs) == 2
        history = store.client.get_metric_history(run.info.run_id, "train/loss/total_loss")
        steps = [metric.step for metric in history]
        assert len(steps) == len(set(steps)) == len(runs[0].record.train.losses)


def _sync_into(queue):
    queue.put(sync())


def test_two_syncs_at_once_log_nothing_twice(tmp_path, runs_dir):
    store_sweep(tmp_path, batches=(4, 8), repeats=2)
    store_record(make_record(), tmp_path)
    queue = FORK.SimpleQueue()
    both = [FORK.Process(target=_sync_into, args=(queue,)) for _ in range(2)]
    for process in both:
        process.start()
    fates = [fate for _ in both for fate in queue.get()]
    for process in both:
        process.join(60)
    assert (fates.count("sent"), fates.count("there")) == (6, 6)
    store = open_store(tracked_spec(runs_dir))
    runs = store.client.search_runs([store.experiment_id])
    kinds = [run.data.tags["odbench.kind"] for run in runs]
    assert sorted(kinds) == ["run"] * 5 + ["sweep"] + ["variant"] * 2
    for run in runs:
        if run.data.tags["odbench.kind"] == "run":
            assert len(store.client.get_metric_history(run.info.run_id, "eval/AP")) == 1
