"""``odbench sync``: what is on disk and not in the store is sent, exactly once."""

import json
import shutil
import socket
from pathlib import Path

import pytest
from factories import make_record, store_record
from tiny import FAST
from tracking.tracked import tracked_spec
from typer.testing import CliRunner

from odbench import ending, hydra_job, syncing
from odbench.cli import app
from odbench.tracking import log
from odbench.tracking.store import open_store

TRACKED = [item for item in FAST if not item.startswith("tracking")]


@pytest.fixture
def undrawn(monkeypatch):
    """Figures take a second a run, and these tests are about something else."""
    monkeypatch.setattr(syncing, "draw_run", lambda run: None)


def sync(*arguments, code=0):
    done = CliRunner().invoke(app, ["sync", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def fates(*arguments, code=0):
    body = json.loads(sync("--json", *arguments, code=code).stdout)
    return [(item["kind"], item["fate"]) for item in body["items"]]


def logged(runs_dir, experiment="odbench"):
    """The runs that the store has, and how often each point of a metric is there."""
    store = open_store(tracked_spec(runs_dir, experiment=experiment))
    runs = store.client.search_runs([store.experiment_id])
    return store.client, {run.info.run_id: run for run in runs}


def points(client, run_id, key):
    return [(m.step, m.value) for m in client.get_metric_history(run_id, key)]


def make_runs(tmp_path, count=2, **changes):
    return [
        store_record(make_record(run_id=f"run{number}", name=f"r{number}", **changes), tmp_path)
        for number in range(count)
    ]


class TestSending:
    def test_untracked_runs_are_sent_once(self, tmp_path, runs_dir):
        make_runs(tmp_path)
        assert fates("--dry-run") == [("run", "missing")] * 2
        assert logged(runs_dir)[1] == {}
        assert fates() == [("run", "sent")] * 2
        client, runs = logged(runs_dir)
        assert sorted(run.info.run_name for run in runs.values()) == ["r0", "r1"]
        for run_id, run in runs.items():
            assert run.info.status == "FINISHED"
            assert "figures" in {item.path for item in client.list_artifacts(run_id)}
        assert fates() == [("run", "there")] * 2
        assert fates("--dry-run") == [("run", "there")] * 2
        assert logged(runs_dir)[1].keys() == runs.keys()

    def test_a_run_whose_link_was_lost_is_found(self, tmp_path, runs_dir, monkeypatch):
        (run,) = make_runs(tmp_path, 1)
        sync()
        (run.dir / "mlflow.json").unlink()
        assert fates("--dry-run") == [("run", "there")]
        monkeypatch.setattr(syncing, "draw_run", None)  # nothing is drawn for what is there
        assert fates() == [("run", "there")]
        assert (run.dir / "mlflow.json").exists()
        assert len(logged(runs_dir)[1]) == 1

    @pytest.mark.usefixtures("undrawn")
    def test_a_half_logged_run_is_completed(self, tmp_path, runs_dir, monkeypatch):
        (run,) = make_runs(tmp_path, 1)
        with monkeypatch.context() as patch:
            patch.setattr(log, "log_dataset", lambda *_: 1 / 0)
            assert fates(code=1) == [("run", "failed")]
        client, before = logged(runs_dir)
        assert [each.info.status for each in before.values()] == ["RUNNING"]
        assert fates() == [("run", "sent")]
        client, after = logged(runs_dir)
        assert after.keys() == before.keys()
        (run_id,) = after
        assert after[run_id].info.status == "FINISHED"
        assert len(points(client, run_id, "eval/AP")) == 1
        curve = points(client, run_id, "train/loss/total_loss")
        assert len(curve) == len(set(curve)) == len(run.record.train.losses)

    @pytest.mark.usefixtures("undrawn")
    def test_another_store_and_experiment(self, tmp_path, runs_dir, empty_database):
        make_runs(tmp_path, 1)
        sync()
        other = tmp_path / "other"
        other.mkdir()
        shutil.copy(empty_database, other / "mlflow.db")
        given = ("--uri", "sqlite:///other/mlflow.db", "--experiment", "mine")
        assert fates(*given) == [("run", "sent")]
        assert fates(*given) == [("run", "there")]
        assert len(logged(other, "mine")[1]) == 1
        assert fates() == [("run", "there")]
        assert len(logged(runs_dir)[1]) == 1

    @pytest.mark.usefixtures("undrawn")
    def test_from_another_folder(self, tmp_path, runs_dir, monkeypatch):
        (run,) = make_runs(tmp_path, 1)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert fates(run.dir) == [("run", "sent")]
        assert list(Path().iterdir()) == []
        assert len(logged(runs_dir)[1]) == 1

    @pytest.mark.usefixtures("undrawn")
    def test_what_cannot_be_read_holds_nothing_up(self, tmp_path, runs_dir):
        first, _ = make_runs(tmp_path)
        (first.dir / "record.json").write_text("{")
        (runs_dir / "cut" / "off").mkdir(parents=True)
        (runs_dir / "cut" / "off" / "job.json").write_text("{}")
        done = sync(code=1)
        assert f"[1/2] failed: run run0  {Path('runs/run0')}: " in done.stdout
        assert "[2/2] sent: run r1" in done.stdout
        assert "runs: 1 failed, 1 sent; without a record: 1" in done.stdout
        assert "left out, without a record: runs/cut/off" in done.stderr
        assert "not JSON" in done.stderr


@pytest.mark.usefixtures("undrawn")
class TestDeadStore:
    def test_a_broken_database_and_then_a_good_one(self, tmp_path, runs_dir):
        make_runs(tmp_path, 3)
        database = runs_dir / "mlflow.db"
        good = database.read_bytes()
        database.write_text("no database" * 100)
        done = sync(code=1)
        assert done.stdout == "runs: 3 not sent\n"
        assert done.stderr.count("odbench: not sent") == 1
        assert "cannot open the MLflow store" in done.stderr
        assert fates("--dry-run", code=1) == [("run", "unsent")] * 3
        database.write_bytes(good)
        assert fates() == [("run", "sent")] * 3
        assert len(logged(runs_dir)[1]) == 3

    def test_a_server_that_refuses_is_asked_once(self, tmp_path, runs_dir):
        make_runs(tmp_path, 3)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
            done = sync("--uri", uri, code=1)
        assert done.stdout == "runs: 3 not sent\n"
        assert done.stderr.count("odbench: ") == done.stderr.count("Connection refused") == 1
        assert "start the server" in done.stderr
        assert "tracking.enabled" not in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(tmp_path.rglob("mlflow.json"))

    def test_a_store_that_dies_on_the_way(self, tmp_path, runs_dir, monkeypatch):
        make_runs(tmp_path, 3)
        database, away = runs_dir / "mlflow.db", tmp_path / "away"
        real = syncing.log_run

        def once(*arguments):
            try:
                return real(*arguments)
            finally:
                database.rename(away)
                database.mkdir()

        with monkeypatch.context() as patch:
            patch.setattr(syncing, "log_run", once)
            assert fates(code=1) == [("run", "sent"), ("run", "unsent"), ("run", "unsent")]
        shutil.rmtree(database)
        away.rename(database)
        assert fates() == [("run", "there"), ("run", "sent"), ("run", "sent")]
        assert len(logged(runs_dir)[1]) == 3

    def test_a_launch_names_the_command(self, tmp_path, monkeypatch, capsys):
        from odbench import cli

        (run,) = make_runs(tmp_path, 1)
        outcome = ending.Outcome(folders=[run.dir])
        spec = tracked_spec(tmp_path / "runs")
        (tmp_path / "runs" / "mlflow.db").mkdir()
        hydra_job.track(lambda: run, spec, None)
        ending.end_runs([spec], outcome)
        assert cli._conclude(outcome) == 1
        assert f"odbench sync {run.dir}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nosuch"], "no such folder"),
        (["."], "no record of a run"),
        (["--uri", "nonsense"], "--uri: not the address of a store"),
        (["--uri", "foo://bar"], "--uri: no such kind of MLflow store"),
        (["--uri", "http://anna:hunter22@host"], "holds a password"),
        (["--experiment", ""], "--experiment: a name is missing"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    done = sync(*arguments, code=2)
    assert text in done.stderr
    assert "hunter22" not in done.output
    assert done.stdout == ""


def test_help_says_that_untracked_runs_are_sent():
    assert "tracking.enabled=false" in sync("--help").stdout
