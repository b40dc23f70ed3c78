"""Interrupted runs and `odbench resume`, on the replay backend."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from processes import end, events_of, start, wait_for
from tiny import FAST, TINY, record

from odbench import attempt, resume
from odbench.attempt import run_lock
from odbench.config.compose import compose_spec
from odbench.errors import DatasetError, InputError
from odbench.events import read_events
from odbench.job import run_job
from odbench.resume import check_resumable, resume_run
from odbench.sweeping.found import is_held

STEPS = ["train.num_steps=40", "train.checkpoint_every_steps=10", "train.loss_every_steps=1"]
KILLED = ["replay.fault=kill", "replay.fault_at_step=25"]


def spec(*overrides):
    return compose_spec([*FAST, *STEPS, *overrides])


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory):
    """Folder of a run that was killed in step 25, with a checkpoint of step 20."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        stored = run_job(spec(*KILLED), folder, ["seed=0"])
    assert (stored.record.status, stored.record.failed_stage) == ("failed", "train")
    return stored.dir


@pytest.fixture
def killed(killed_once, tmp_path, monkeypatch):
    """A copy of that folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(killed_once, tmp_path / "run"))


@pytest.mark.process
class TestResumed:
    def test_the_record_shows_both_parts_and_no_step_twice(self, killed):
        before = json.loads((killed / "record.json").read_text())
        after = resume_run(killed).record
        assert after.status == "ok"
        for name in ("run_id", "fingerprint", "started_at", "overrides"):
            assert getattr(after, name) == before[name]
        assert after.wall_s > before["wall_s"]
        train = after.train
        assert [(p.first_step, p.last_step) for p in train.parts] == [(1, 20), (21, 40)]
        assert train.num_steps == 40
        assert [point.step for point in train.losses] == list(range(1, 41))
        assert [write.step for write in train.checkpoints] == [10, 20, 30, 40]
        measured = sum(p.last_measured - p.first_measured + 1 for p in train.parts)
        assert len(train.compute_s) == measured < 40
        assert after.usage["train"].wall_s > train.parts[0].wall_s
        assert after.usage["train"].cpu_s is None
        assert after.eval is not None
        assert after.latency is not None

    def test_no_checkpoint_yet_begins_anew_and_keeps_the_events(self, killed):
        shutil.rmtree(killed / "train")
        train = resume_run(killed).record.train
        assert [(p.first_step, p.last_step) for p in train.parts] == [(1, 40)]
        kinds = [e["event"] for e in read_events(killed / "events.jsonl")]
        assert kinds.count("train_from") == kinds.count("begin") == 2

    def test_stages_that_had_ended_are_not_done_again(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        options = ("replay.fault=oom", "replay.fault_stage=export")
        folder = run_job(spec(*options), tmp_path / "run", []).dir
        kept = {s: (folder / "stages" / f"{s}.json").read_bytes() for s in ("train", "eval")}
        after = resume_run(folder).record
        assert (after.status, after.failed_stage) == ("ok", None)
        assert after.export is not None and after.latency is not None
        assert len(after.train.parts) == 1
        for stage, body in kept.items():
            assert (folder / "stages" / f"{stage}.json").read_bytes() == body

    @pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])  # as by kill -9, by Ctrl-C
    def test_an_analysis_that_was_cut_off_is_made(self, tmp_path, monkeypatch, end):
        def cut_off(*_):
            raise end

        monkeypatch.chdir(tmp_path)
        with monkeypatch.context() as patch, pytest.raises(end):
            patch.setattr(attempt, "analysed", cut_off)
            run_job(spec(), tmp_path / "run", [])
        kept = {p.name: p.read_bytes() for p in (tmp_path / "run" / "stages").iterdir()}
        assert (tmp_path / "run" / "record.json").exists() == (end is KeyboardInterrupt)
        after = resume_run(tmp_path / "run").record
        assert (after.status, after.analysis_failure) == ("ok", None)
        assert after.analysis is not None
        assert len(after.train.parts) == 1
        assert kept == {p.name: p.read_bytes() for p in (tmp_path / "run" / "stages").iterdir()}

    def test_a_resume_can_be_killed_too(self, killed):
        # the fault has struck; this one comes from outside
        events = killed / "events.jsonl"
        config = killed / "config.yaml"
        config.write_text(config.read_text().replace("wait_s: 0.0", "wait_s: 0.2"))
        process = start(killed.parent, "resume", killed)
        wait_for(lambda: in_second_part(events.read_text(), step=25))
        end(process, signal.SIGKILL)
        wait_for(lambda: not is_held(killed))
        config.write_text(config.read_text().replace("wait_s: 0.2", "wait_s: 0.0"))
        train = resume_run(killed).record.train
        assert [p.first_step for p in train.parts][:2] == [1, 21]
        assert len(train.parts) == 3
        for one, two in zip(train.parts, train.parts[1:], strict=False):
            assert two.first_step == one.last_step + 1
        assert train.parts[-1].last_step == 40


@pytest.mark.process
class TestRefused:
    def test_a_run_that_ended_well(self, killed):
        body = json.loads((killed / "record.json").read_text())
        (killed / "record.json").write_text(json.dumps({**body, "status": "ok"}))
        with pytest.raises(InputError, match="ended well"):
            resume_run(killed)

    def test_a_run_that_is_still_going(self, killed):
        with run_lock(killed), pytest.raises(InputError, match="still going"):
            resume_run(killed)

    def test_a_second_run_in_the_same_folder(self, killed):
        with pytest.raises(InputError, match="begun in this folder") as caught:
            run_job(spec(), killed, [])
        assert f"odbench resume {killed}" in str(caught.value)

    def test_another_protocol_version(self, killed):
        body = json.loads((killed / "job.json").read_text())
        (killed / "job.json").write_text(json.dumps({**body, "protocol_version": 999}))
        with pytest.raises(InputError, match="another version") as caught:
            check_resumable(killed)
        assert "999" in str(caught.value)

    @pytest.mark.parametrize("name", ["config.yaml", "pipeline.config"])
    def test_a_file_that_is_gone(self, killed, name):
        (killed / name).unlink()
        with pytest.raises(InputError, match="without this file") as caught:
            check_resumable(killed)
        assert name in str(caught.value)

    @pytest.mark.parametrize("text", ["[1]", "a: [", "train: {batch_size: many}"])
    def test_a_configuration_that_is_none(self, killed, text):
        (killed / "config.yaml").write_text(text)
        with pytest.raises(InputError):
            check_resumable(killed)

    def test_another_data_set_by_now(self, killed, monkeypatch):
        prepared = resume.prepare_dataset
        monkeypatch.setattr(
            resume, "prepare_dataset", lambda *a: replace(prepared(*a), hash="other")
        )
        with pytest.raises(DatasetError, match="another one by now"):
            check_resumable(killed)

    def test_another_device(self, killed):
        (killed / "stages" / "device.json").write_text('{"kind": "gpu", "name": "A100"}')
        after = resume_run(killed).record
        assert after.status == "failed"
        assert "another device" in after.reason


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no run was begun here"):
        check_resumable(tmp_path)
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(InputError, match="which run it belongs to"):
        check_resumable(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        check_resumable(tmp_path / "nowhere")


def in_second_part(text, step):
    parts = text.split("train_from")[1:]
    return len(parts) == 2 and f'"step": {step}, "learning_rate"' in parts[1]


@pytest.mark.process
class TestCommand:
    @pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")  # MLflow's own
    @pytest.mark.usefixtures("runs_dir")
    def test_ctrl_c_loses_no_step_and_stays_one_run_in_mlflow(self, odbench, tmp_path):
        options = [*TINY, "paths.reports_dir=null", *STEPS, "train.checkpoint_every_steps=null"]
        process = start(tmp_path, "run", *options, "replay.wait_s=0.1")
        wait_for(lambda: any('"step": 5,' in p.read_text() for p in events_of(tmp_path)))
        assert end(process, signal.SIGINT)[0] == 130
        (events,) = events_of(tmp_path)
        folder = events.parent
        reached = max(e["step"] for e in read_events(events) if e["event"] == "loss")
        link = json.loads((folder / "mlflow.json").read_text())

        done = odbench("resume", str(folder))
        assert done.returncode == 0, done.stderr
        assert "train begins" in done.stderr
        assert str(folder / "record.json") in done.stdout
        train = record(tmp_path / "runs" / folder.parent.name)["train"]
        assert [p["last_step"] for p in train["parts"]] == [reached, 40]
        again = json.loads((folder / "mlflow.json").read_text())
        assert again["run_id"] == link["run_id"]
        logged = client_of(again).get_run(again["run_id"])
        assert logged.info.status == "FINISHED"
        assert logged.data.tags["odbench.status"] == "ok"
        assert "odbench.failed_stage" not in logged.data.tags
        history = client_of(again).get_metric_history(again["run_id"], "train/loss/total_loss")
        assert sorted(metric.step for metric in history) == list(range(1, 41))
        assert len(client_of(again).search_runs([again["experiment_id"]])) == 1

    def test_the_parent_was_killed(self, odbench, tmp_path):
        process = start(tmp_path, "run", *FAST, *STEPS, "replay.wait_s=0.1")
        wait_for(lambda: any('"step": 5,' in p.read_text() for p in events_of(tmp_path)))
        end(process, signal.SIGKILL)
        (events,) = events_of(tmp_path)
        wait_for(lambda: not is_held(events.parent))  # the child writes its checkpoint and ends
        told = odbench("report", "runs")
        assert f"odbench resume {events.parent.relative_to(tmp_path)}" in told.stderr
        done = odbench("resume", str(events.parent))
        assert done.returncode == 0, done.stderr
        body = record(tmp_path)
        assert (body["status"], len(body["train"]["parts"])) == ("ok", 2)
        assert body["wall_s"] > body["train"]["parts"][0]["wall_s"]

    def test_one_bad_folder_stops_all_before_they_start(self, odbench, killed, tmp_path):
        before = (killed / "record.json").read_bytes()
        done = odbench("resume", str(killed), str(tmp_path / "nowhere"))
        assert done.returncode == 2
        assert "nowhere" in done.stderr
        assert "Traceback" not in done.stderr
        assert (killed / "record.json").read_bytes() == before


def client_of(link):
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.tracking import MlflowClient

    return MlflowClient(link["tracking_uri"])


@pytest.mark.process
def test_evaluations_on_the_way_by_the_command(odbench, tmp_path):
    done = odbench(
        "run",
        *FAST,
        *("train.num_steps=60", "train.eval_every_steps=10", "train.early_stopping_patience=2"),
        *("replay.overfit_from_step=30", "export.checkpoint=best"),
    )
    assert done.returncode == 0, done.stderr
    body = record(tmp_path)
    train = body["train"]
    aps = {point["step"]: point["metrics"]["AP"] for point in train["evaluations"]}
    assert list(aps) == [10, 20, 30, 40, 50]
    assert aps[10] < aps[20] < aps[30] > aps[40]
    assert (train["stopped_early"], train["num_steps"]) == (True, 50)
    assert train["best_checkpoint"] == body["eval"]["checkpoint"] == "train/best/ckpt-30"
    assert body["eval"]["metrics"]["AP"] == aps[30] == body["metrics"]["train/best_AP"]
    (kept,) = tmp_path.rglob("train/best/*")
    assert kept.name == "ckpt-30.json"
