"""A sweep whose variants are run several times: sweep, variant, repeat."""

import json
import multiprocessing
import shutil
from dataclasses import replace

import pytest
from factories import draw_picture
from tracked import store_sweep, tracked_spec

from odbench.records import write_record
from odbench.results import Status
from odbench.tracking import log
from odbench.tracking.aggregates import variant_metrics
from odbench.tracking.log import find_sweep, finish_sweep, log_run, start_sweep
from odbench.tracking.naming import run_name, sweep_name, sweep_told, variant_name
from odbench.tracking.store import open_store


def logged(spec, kind):
    """The runs of a kind, by name."""
    store = open_store(spec)
    found = store.client.search_runs([store.experiment_id], f"tags.`odbench.kind` = '{kind}'")
    return {run.info.run_name: run for run in found}


def history(client, run, key):
    return [metric.value for metric in client.get_metric_history(run.info.run_id, key)]


class TestHierarchy:
    @pytest.fixture
    def sweep(self, tmp_path, spec):
        runs = store_sweep(tmp_path)
        for run in runs:
            draw_picture(run.dir / "gallery" / f"{run.record.run_id}.png")
        parent = start_sweep(spec, "s1", "batches", ["train.batch_size=4,8"])
        for run in runs:
            log_run(run, spec, parent)
        (tmp_path / "report").mkdir()
        (tmp_path / "report" / "report.html").write_text("<html>")
        finish_sweep(spec, parent, runs, tmp_path / "report")
        return runs, parent

    def test_repeats_are_children_of_variants_and_those_of_the_sweep(self, sweep, spec):
        _, parent = sweep
        variants, runs = logged(spec, "variant"), logged(spec, "run")
        assert sorted(variants) == ["ssd-b4", "ssd-b8"]
        assert sorted(runs) == ["ssd-b4 r0", "ssd-b4 r1", "ssd-b8 r0", "ssd-b8 r1"]
        for name, variant in variants.items():
            assert variant.info.status == "FINISHED"
            assert variant.data.tags["mlflow.parentRunId"] == parent
            assert variant.data.tags["odbench.status"] == "ok"
            assert variant.data.tags["odbench.batch_size"] == name.removeprefix("ssd-b")
            assert variant.data.tags["odbench.level"] == "variant"
            assert variant.data.params["train.batch_size"] == name.removeprefix("ssd-b")
            assert "seed" not in variant.data.params
            assert len(variant.inputs.dataset_inputs) == 2
            for repeat in (0, 1):
                tags = runs[f"{name} r{repeat}"].data.tags
                assert tags["mlflow.parentRunId"] == variant.info.run_id
                assert (tags["odbench.level"], tags["odbench.repeat"]) == ("repeat", str(repeat))

    def test_a_variant_has_the_mean_its_interval_and_the_best(self, sweep, spec, client):
        variant = logged(spec, "variant")["ssd-b8"]
        values = variant.data.metrics
        assert values["eval/AP"] == pytest.approx(0.53)
        assert values["eval/AP_best"] == pytest.approx(0.58)
        assert values["eval/AP_n"] == values["repeats/runs"] == values["repeats/ok"] == 2
        assert "eval/AP_high" not in values  # from three repeats on
        assert values["latency/p50_ms_best"] <= values["latency/p50_ms"]
        assert "| AP | 0.530 |  | 0.580 | 2 |" in (variant.data.tags["mlflow.note.content"])
        pictures = client.list_artifacts(variant.info.run_id, "gallery")
        assert [item.path for item in pictures] == ["gallery/b8r1.png"]  # of the best repeat

    def test_the_sweep_has_its_best_variant_and_names_its_report(self, sweep, spec, client):
        _, parent = sweep
        found = client.get_run(parent)
        assert found.data.metrics["eval/AP"] == pytest.approx(0.53)
        assert found.data.metrics["sweep/best_AP"] == pytest.approx(0.53)
        assert found.data.tags["odbench.best"] == "ssd-b8"
        note = found.data.tags["mlflow.note.content"]
        assert f"/runs/{parent}/artifacts/report/report.html)" in note
        assert "| ssd-b8 | 2 ok | 0.530 |" in note

    def test_again_changes_nothing(self, sweep, spec, client):
        runs, parent = sweep
        before = history(client, logged(spec, "variant")["ssd-b8"], "eval/AP")
        assert before == pytest.approx([0.53])
        for run in runs:
            (run.dir / "mlflow.json").unlink()
            log_run(run, spec, parent)
        finish_sweep(spec, parent, runs, None)
        assert history(client, logged(spec, "variant")["ssd-b8"], "eval/AP") == before
        assert find_sweep(open_store(spec), "s1", runs) == (parent, True)
        assert (len(logged(spec, "variant")), len(logged(spec, "run"))) == (2, 4)


def test_what_the_repeats_come_to_is_written_as_they_come(tmp_path, spec, client):
    first, second = store_sweep(tmp_path, batches=(8,))
    (second.dir / "record.json").rename(second.dir / "not-yet.json")
    log_run(first, spec)
    (variant,) = logged(spec, "variant").values()
    assert (variant.info.status, variant.data.metrics["eval/AP_n"]) == ("RUNNING", 1)
    assert "eval/AP_low" not in variant.data.metrics
    failed = replace(second.record, status=Status.oom, eval=None, export=None, latency=None)
    write_record(failed, second.dir)
    log_run(replace(second, record=failed), spec)
    (variant,) = logged(spec, "variant").values()
    assert variant.info.status == "FAILED"
    assert variant.data.tags["odbench.status"] == "ok, oom"
    assert (variant.data.metrics["repeats/runs"], variant.data.metrics["eval/AP_n"]) == (2, 1)


def test_a_variant_that_was_cut_off_is_completed_at_the_end(tmp_path, spec, monkeypatch):
    runs = store_sweep(tmp_path, batches=(8,))
    parent = start_sweep(spec, "s1", "cut off", [])
    with monkeypatch.context() as patch:
        patch.setattr(log, "update_variant", lambda *_, **__: None)
        for run in runs:
            log_run(run, spec, parent)
    (variant,) = logged(spec, "variant").values()
    assert not variant.data.metrics
    finish_sweep(spec, parent, runs, None)
    (variant,) = logged(spec, "variant").values()
    assert (variant.info.status, variant.data.metrics["eval/AP_n"]) == ("FINISHED", 2)


def _log(run):
    log_run(run, tracked_spec(run.dir.parents[1]))


def test_processes_that_log_at_once_make_a_variant_once(tmp_path, empty_database):
    runs = store_sweep(tmp_path, batches=(8,), repeats=4)
    shutil.copy(empty_database, tmp_path / "runs" / "mlflow.db")  # not opened here before the fork
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_log, args=(run,)) for run in runs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(200)
    assert [worker.exitcode for worker in workers] == [0] * 4
    spec = tracked_spec(tmp_path / "runs")
    (variant,) = logged(spec, "variant").values()
    assert variant.data.metrics["eval/AP_n"] == 4
    assert variant.info.status == "FINISHED"
    assert len(logged(spec, "run")) == 4


def test_runs_that_are_not_repeated_have_no_variant_above_them(tmp_path, spec):
    runs = store_sweep(tmp_path, repeats=1)
    parent = start_sweep(spec, "s1", "single", [])
    for run in runs:
        log_run(run, spec, parent)
    found = logged(spec, "run")
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {parent}
    assert {run.data.tags["odbench.level"] for run in found.values()} == {"variant"}
    assert logged(spec, "variant") == {}


def test_names_say_what_varies_and_the_runs_name_does_not(tmp_path):
    _, run = store_sweep(tmp_path, repeats=1, told=["train.num_steps=30"])
    assert run_name(run) == "ssd-b8"
    rate = "optimizer.learning_rate=0.1"
    around = [r"tracking.uri=http\://h", "tracking=none", "+paths.runs_dir=a", "hydra/launcher=ray"]
    own = [*run.record.overrides, rate, "x.y=1", "z.y=2", *around]
    own = replace(run.record, overrides=own)
    assert run_name(replace(run, record=own)) == "ssd-b8 learning_rate=0.1 x.y=1 z.y=2"
    named = replace(own, name="mine", spec=own.spec | {"name": "mine", "repeats": 3})
    assert variant_name(replace(run, record=named)) == (
        "mine batch_size=8 learning_rate=0.1 x.y=1 z.y=2"
    )
    (run.dir.parent / "sweep.json").write_text(json.dumps({"sweep_id": "another"}))
    assert variant_name(replace(run, record=named)) == "mine"


def test_a_sweep_is_called_by_its_definition_where_it_has_one(tmp_path):
    for name, called in (("batches", "batches-18-44"), ("config", "sweep-18-44")):
        folder = tmp_path / name / "18-44"
        folder.mkdir(parents=True)
        hydra = {"job": {"config_name": name}, "overrides": {"task": ["a=1"]}}
        (folder / "multirun.yaml").write_text(json.dumps({"hydra": hydra}))
        assert sweep_told(folder) == (sweep_name(name, folder), ["a=1"]) == (called, ["a=1"])


def test_where_no_repeat_ended_well_all_count(tmp_path):
    runs = [
        replace(run, record=replace(run.record, status=Status.timeout))
        for run in store_sweep(tmp_path, batches=(8,))
    ]
    values = variant_metrics(runs)
    assert (values["repeats/ok"], values["eval/AP_n"]) == (0, 2)
