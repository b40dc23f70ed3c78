import json
from dataclasses import replace
from pathlib import Path

import pytest
from factories import draw_picture, make_failed, make_record, store_record

from odbench.errors import TrackingError
from odbench.results import LossPoint, Stage, Status
from odbench.tracking import log
from odbench.tracking.log import finish_sweep, log_run, start_sweep
from odbench.tracking.store import open_store


@pytest.fixture
def run(tmp_path):
    return store_record(make_record(), tmp_path)


def paths(client, run_id, folder=None):
    return {item.path for item in client.list_artifacts(run_id, folder)}


def count(client, spec):
    return len(client.search_runs([open_store(spec).experiment_id]))


def test_a_run_is_logged_with_its_values(run, spec, client):
    logged = client.get_run(log_run(run, spec))
    assert logged.info.run_name == run.record.name
    assert logged.info.status == "FINISHED"
    assert logged.info.start_time == 1740830400000
    assert logged.info.end_time == 1740830400000 + 140200
    assert logged.data.params["train.batch_size"] == "8"
    assert logged.data.metrics["eval/AP"] == 0.431
    assert "eval/AP_class/circle" in logged.data.metrics
    assert logged.data.tags["odbench.fingerprint"] == run.record.fingerprint
    assert "| AP | 0.431 |" in logged.data.tags["mlflow.note.content"]


def test_curves_longer_than_a_batch_are_whole(tmp_path, spec, client):
    record = make_record()
    losses = [
        LossPoint(step, 0.1, {"Loss/total_loss": 1 / step, "Loss/box": 0.5})
        for step in range(1, 801)
    ]
    run = store_record(replace(record, train=replace(record.train, losses=losses)), tmp_path)
    run_id = log_run(run, spec)
    history = client.get_metric_history(run_id, "train/loss/total_loss")
    assert [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)] == [
        (step, 1 / step) for step in range(1, 801)
    ]


def test_what_the_run_left_is_there_and_the_model_is_not(run, spec, client):
    for name in ("pipeline.config", "edits.json", "config.yaml", "events.jsonl", "child.log"):
        (run.dir / name).write_text("{}")
    (run.dir / "detections.json").write_text("[]")
    (run.dir / "saved_model").mkdir()
    (run.dir / "saved_model" / "saved_model.pb").write_bytes(b"\0" * 10)
    draw_picture(run.dir / "gallery" / "000001.png")
    draw_picture(run.dir / "figures" / "losses.png")
    run_id = log_run(run, spec)
    assert paths(client, run_id) == {
        "pipeline.config",
        "edits.json",
        "config.yaml",
        "events.jsonl",
        "child.log",
        "record.json",
        "eval",
        "gallery",
        "figures",
    }
    assert paths(client, run_id, "eval") == {"eval/detections.json"}
    assert paths(client, run_id, "gallery") == {"gallery/000001.png"}
    assert paths(client, run_id, "figures") == {"figures/losses.png"}


def test_artifacts_hold_no_password(run, spec, client, tmp_path):
    text = 'uri: "http://anna:hunter22@host"\nseed: 3\n'
    (run.dir / "config.yaml").write_text(text)
    run_id = log_run(run, spec)
    got = client.download_artifacts(run_id, "config.yaml", str(tmp_path))
    assert Path(got).read_text() == 'uri: "http://***@host"\nseed: 3\n'
    assert (run.dir / "config.yaml").read_text() == text


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (Status.failed, "FAILED"),
        (Status.oom, "FAILED"),
        (Status.timeout, "KILLED"),
        (Status.interrupted, "KILLED"),
    ],
)
def test_a_run_that_did_not_end_well_shows_why(status, shown, tmp_path, spec, client):
    record = make_failed(status=status, stage=Stage.eval, reason="because")
    logged = client.get_run(log_run(store_record(record, tmp_path), spec))
    assert logged.info.status == shown
    assert logged.data.tags["odbench.status"] == status
    assert logged.data.tags["odbench.reason"] == "because"
    assert logged.data.tags["odbench.failed_stage"] == "eval"
    assert "train/step_s_p50" in logged.data.metrics
    assert not any(key.startswith(("eval/", "export/")) for key in logged.data.metrics)


class TestExactlyOnce:
    def test_a_second_time_does_not_ask_the_store(self, run, spec, client, monkeypatch):
        first = log_run(run, spec)
        link = json.loads((run.dir / "mlflow.json").read_text())
        assert link["run_id"] == first
        assert link["experiment_id"] == open_store(spec).experiment_id
        monkeypatch.setattr(log, "open_store", None)
        assert log_run(run, spec) == first

    def test_a_lost_link_is_found_again(self, run, spec, client):
        first = log_run(run, spec)
        (run.dir / "mlflow.json").unlink()
        assert log_run(run, spec) == first
        assert (run.dir / "mlflow.json").exists()
        assert count(client, spec) == 1

    @pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"run_id": "abc"}'])
    def test_a_broken_link_counts_as_none(self, run, spec, client, text):
        (run.dir / "mlflow.json").write_text(text)
        assert client.get_run(log_run(run, spec)).info.status == "FINISHED"

    def test_a_link_to_another_store_counts_as_none(self, run, spec, client):
        link = {"tracking_uri": "http://elsewhere", "experiment_id": "1", "run_id": "abc"}
        (run.dir / "mlflow.json").write_text(json.dumps(link))
        assert client.get_run(log_run(run, spec)).info.status == "FINISHED"

    def test_logging_that_was_cut_off_is_completed(self, run, spec, client, monkeypatch):
        def full(*_, **__):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("mlflow.tracking.MlflowClient.log_artifact", full)
            with pytest.raises(TrackingError, match=r"No space left"):
                log_run(run, spec)
        assert not (run.dir / "mlflow.json").exists()
        assert (run.dir / "record.json").exists()
        logged = client.get_run(log_run(run, spec))
        assert logged.info.status == "FINISHED"
        assert "record.json" in paths(client, logged.info.run_id)
        assert count(client, spec) == 1
        assert len(client.get_metric_history(logged.info.run_id, "eval/AP")) == 1


class TestResumed:
    """A run that was logged when it was interrupted, and is logged again when it has ended."""

    @pytest.fixture
    def both(self, tmp_path, spec):
        record = make_failed(Status.interrupted, reason="Ctrl-C", wall_s=10.0, run_id="one")
        run = store_record(record, tmp_path)
        write_events(run.dir, train_from=0, steps=range(1, 8), ap={5: 0.1})
        first = log_run(run, spec)
        whole = replace(make_record(), run_id="one", wall_s=25.0)
        run = replace(run, record=whole)
        write_events(run.dir, train_from=5, steps=range(6, 11), ap={10: 0.4})
        return first, log_run(run, spec), run

    def test_it_stays_one_run_and_says_how_it_ended(self, both, spec, client):
        first, second, _ = both
        assert first == second
        assert count(client, spec) == 1
        logged = client.get_run(second)
        assert logged.info.status == "FINISHED"
        assert logged.info.end_time - logged.info.start_time == 25000
        assert logged.data.metrics["run/wall_s"] == 25.0
        assert logged.data.tags["odbench.status"] == "ok"
        assert not {"odbench.reason", "odbench.failed_stage"} & set(logged.data.tags)

    def test_no_point_of_a_curve_is_there_twice(self, both, client):
        loss = client.get_metric_history(both[1], "train/loss/total_loss")
        assert sorted(metric.step for metric in loss) == list(range(1, 11))
        evaluated = client.get_metric_history(both[1], "train/eval_AP")
        assert {metric.step: metric.value for metric in evaluated} == {5: 0.1, 10: 0.4}

    def test_a_third_time_changes_nothing(self, both, spec, monkeypatch):
        monkeypatch.setattr(log, "open_store", None)
        assert log_run(both[2], spec) == both[1]


def write_events(folder, train_from, steps, ap):
    def event(kind, step, **fields):
        body = {"t": 1e9 + step, "event": kind, "stage": "train", "step": step, **fields}
        return json.dumps(body) + "\n"

    with (folder / "events.jsonl").open("a") as file:
        file.write(event("train_from", train_from))
        for step in steps:
            file.write(event("loss", step, losses={"Loss/total_loss": 1 / step}))
            if step in ap:
                file.write(event("eval_point", step, AP=ap[step], AP50=None))


class TestSweep:
    def test_a_parent_with_two_children(self, run, tmp_path, spec, client):
        report = tmp_path / "report"
        (report / "figures").mkdir(parents=True)
        (report / "report.md").write_text("# Report")
        (report / "figures" / "a.png").write_bytes(b"png")
        parent = start_sweep(spec, "sweep1", "two models", ["train.batch_size=4,8"])
        assert client.get_run(parent).info.status == "RUNNING"
        failed = store_record(make_failed(run_id="other", name="second"), tmp_path)
        children = [log_run(each, spec, parent) for each in (run, failed)]
        finish_sweep(spec, parent, [run, failed], report)

        for child in children:
            tags = client.get_run(child).data.tags
            assert (tags["mlflow.parentRunId"], tags["odbench.kind"]) == (parent, "run")
        logged = client.get_run(parent)
        assert logged.info.status == "FAILED"
        assert logged.data.tags["odbench.kind"] == "sweep"
        assert logged.data.tags["odbench.overrides"] == "train.batch_size=4,8"
        counted = {k: v for k, v in logged.data.metrics.items() if k.startswith("sweep/")}
        assert logged.data.metrics["latency/p50_ms"] == pytest.approx(20.2, abs=0.1)
        assert counted == {
            "sweep/runs": 2,
            "sweep/ok": 1,
            "sweep/failed": 0,
            "sweep/oom": 1,
            "sweep/timeout": 0,
            "sweep/interrupted": 0,
            "sweep/pruned": 0,
            "sweep/best_AP": 0.431,
        }
        assert "| second | oom |" in logged.data.tags["mlflow.note.content"]
        assert paths(client, parent, "report") == {"report/report.md", "report/figures"}

    def test_a_sweep_that_is_known_is_not_created_again(self, spec, client):
        first = start_sweep(spec, "again", "x", [])
        assert start_sweep(spec, "again", "x", []) == first
        assert count(client, spec) == 1

    def test_overrides_hold_no_password(self, spec, client):
        given = ["tracking.uri=http://anna:hunter22@host"]
        tags = client.get_run(start_sweep(spec, "secret", "x", given)).data.tags
        assert tags["odbench.overrides"] == "tracking.uri=http://***@host"

    @pytest.mark.parametrize(
        ("statuses", "shown"),
        [
            ([Status.ok], "FINISHED"),
            ([Status.ok, Status.failed], "FAILED"),
            ([Status.ok, Status.failed, Status.interrupted], "KILLED"),
        ],
    )
    def test_how_it_ended(self, statuses, shown, tmp_path, spec, client):
        runs = [
            store_record(make_record(status=status, run_id=status, ap=None), tmp_path)
            for status in statuses
        ]
        parent = start_sweep(spec, shown, "x", [])
        finish_sweep(spec, parent, runs, None)
        logged = client.get_run(parent)
        assert logged.info.status == shown
        assert "sweep/best_AP" not in logged.data.metrics
