"""Whole runs by the command, on the replay backend."""

import errno
import json
from pathlib import Path

import pytest
from factories import make_record, store_record
from processes import completed
from tiny import FAST, REPORTED, TINY, record, records

import odbench.report.write as odbench_report
from odbench import ending, job
from odbench.config.compose import compose_spec
from odbench.errors import ConfigError, InputError, RunError

pytestmark = pytest.mark.process


def test_run_leaves_a_whole_record(odbench, tmp_path):
    done = odbench("run", *REPORTED)
    assert done.returncode == 0, done.stderr
    body = record(tmp_path)
    assert list(body)[:3] == ["status", "reason", "metrics"]
    assert body["status"] == "ok"
    assert set(body["usage"]) == {"train", "eval", "export", "latency"}
    assert body["train"]["num_steps"] == 56
    assert len(body["train"]["compute_s"]) == 50
    assert 0 < body["metrics"]["eval/AP50"] <= 1
    assert set(body["flags"]) - {"busy_device", "stolen_cpu"} == {
        "projection",
        "few_samples",
        "replayed",
    }
    assert body["analysis_failure"] is None
    assert len(body["analysis"]["draws"]["AP50"]) == 200
    assert sum(map(sum, body["analysis"]["confusion"])) > 0
    edited = {edit["field"] for edit in body["edits"]}
    assert {"train_config.batch_size", "train_config.num_steps"} <= edited
    assert "report: reports" in done.stdout
    assert next(tmp_path.glob("reports/*/report.md")).read_text().count("replay") > 0
    assert len(list(tmp_path.rglob("gallery/*.png"))) == 4


def test_same_seed_gives_the_same_results(odbench, tmp_path):
    for seed in (0, 0, 1):
        assert odbench("run", *FAST, f"seed={seed}").returncode == 0
    first, second, other = sorted(records(tmp_path), key=lambda r: r["started_at"])
    assert first["train"]["losses"] == second["train"]["losses"]
    assert first["fingerprint"] == second["fingerprint"]
    assert first["train"]["losses"] != other["train"]["losses"]


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("fail", "failed", "the replayed failure"),
        ("oom", "oom", "lack of memory"),
        ("kill", "failed", "killed by signal 9"),
    ],
)
def test_a_fault_leaves_a_record(odbench, tmp_path, fault, status, reason):
    done = odbench("run", *FAST, f"replay.fault={fault}", "replay.fault_stage=export")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    body = record(tmp_path)
    assert (body["status"], body["failed_stage"]) == (status, "export")
    assert reason in body["reason"]
    assert body["train"] and body["eval"]["metrics"]["AP"] is not None  # nothing measured is lost
    assert body["export"] is None


def test_time_limit(odbench, tmp_path):
    done = odbench("run", *FAST, "replay.fault=hang", "runtime.timeout_s=2")
    assert done.returncode == 1
    body = record(tmp_path)
    assert body["status"] == "timeout"
    assert "runtime.timeout_s=2" in body["reason"]


def test_a_child_that_does_not_answer_is_killed(odbench, tmp_path):
    done = odbench(
        "run",
        *FAST,
        "replay.fault=ignore",
        "runtime.timeout_s=2",
        "runtime.grace_s=1",
    )
    assert done.returncode == 1
    assert record(tmp_path)["status"] == "timeout"


def test_multirun_goes_on_after_a_killed_child(odbench, tmp_path):
    done = odbench("run", "-m", *REPORTED, "replay.fault=kill,none")
    assert done.returncode == 1
    assert sorted(r["status"] for r in records(tmp_path)) == ["failed", "ok"]
    (report,) = tmp_path.glob("reports/*/comparison.json")
    rows = [row for group in json.loads(report.read_text())["groups"] for row in group["rows"]]
    assert len(rows) == 2


def test_multirun_by_two_models_and_two_batches(odbench, tmp_path):
    done = odbench("run", "--config-name", "mobilenets_by_batch", *REPORTED)
    assert done.returncode == 0, done.stderr
    found = {(r["model"], r["spec"]["train"]["batch_size"]) for r in records(tmp_path)}
    assert len(found) == 4
    assert len({r["sweep_id"] for r in records(tmp_path)}) == 1
    (report,) = tmp_path.glob("reports/*/comparison.json")
    (group,) = json.loads(report.read_text())["groups"]  # all four are comparable
    assert len(group["rows"]) == 4


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("train.batch_sizee=4", "did you mean train.batch_size?"),
        ("train.batch_size=0", "an integer >= 1"),
        ("train.batch_size=x", "an integer"),
        ("model=nosuch", "efficientdet_d0"),
        ("model.pipeline.train_config.nosuch=1", "model.pipeline.train_config.nosuch"),
        ("--nosuch", "no such option"),
        (
            "--cfg=foo",
            "command line: argument --cfg/-c: invalid choice: 'foo' (choose from 'job', ",
        ),
        ("--config-name=serch", "allowed: config, batch_scaling, learning_rate, "),
        ("train.batch_size=4,8", "for a sweep add -m"),
    ],
)
def test_bad_input_ends_with_2_and_leaves_nothing(odbench, tmp_path, override, text):
    done = odbench("run", *FAST, override)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "usage:" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.rglob("record.json")) == []


def test_one_bad_cell_stops_a_sweep_before_it_starts(odbench, tmp_path):
    done = odbench("run", "-m", *FAST, "train.batch_size=4,0")
    assert done.returncode == 2
    assert "train.batch_size" in done.stderr
    assert list(tmp_path.rglob("record.json")) == []


def test_a_defined_sweep_with_other_values(odbench):
    name = "mobilenets_by_batch"
    given = [*FAST, "train.batch_size=2,3,4", "--dry-run", "--json"]
    done = odbench("run", "--config-name", name, *given)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["cells"]) == 6


def test_a_folder_for_the_embedded_set_is_refused(odbench, tmp_path):
    done = odbench("run", *FAST, f"dataset.dir={tmp_path}")
    assert done.returncode == 2
    assert "dataset=auto" in done.stderr


def test_home_is_expanded(odbench):
    done = odbench("run", "backend=replay", "dataset=voc", "dataset.dir=~/no/such/folder")
    assert done.returncode == 2
    assert str(Path.home() / "no/such/folder") in done.stderr


def test_a_dead_server_is_noticed_before_the_run(odbench, tmp_path):
    done = odbench("run", *TINY, "paths.reports_dir=null", "tracking.uri=http://127.0.0.1:9")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("job.json"))


def test_a_report_that_cannot_be_written_hides_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise InputError("cannot write the report: No space left on device", where="reports/x")

    monkeypatch.setattr(odbench_report, "write_report", full)
    spec = compose_spec(["paths.reports_dir=reports"])
    store_record(make_record(), tmp_path)
    outcome = ending.Outcome(folders=[tmp_path])
    ending.end_runs([spec], outcome)
    assert "No space left" in outcome.unreported
    assert "odbench report" in outcome.unreported
    assert outcome.exit_code == 1


def test_a_full_disk_names_the_folder(tmp_path):
    with pytest.raises(RunError, match="No space left") as caught, job.writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(tmp_path) in str(caught.value)


def test_too_little_space_is_refused_before_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(job, "MIN_FREE_BYTES", 10**18)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"only .* MB are free"):
        job.check_folders(compose_spec([]))


def test_missing_source_folder(odbench, tmp_path):
    done = odbench("run", "backend=replay", "dataset=voc", "dataset.dir=/nowhere")
    assert done.returncode == 2
    assert "/nowhere" in done.stderr
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_unwritable_runs_folder(odbench, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = odbench("run", *FAST, "paths.runs_dir=file/runs")
    assert done.returncode == 2
    assert "paths.runs_dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_unwritable_reports_folder(odbench, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = odbench("run", *TINY, "tracking=none", "paths.reports_dir=file/reports")
    assert done.returncode == 2
    assert "paths.reports_dir" in done.stderr
    assert list(tmp_path.rglob("record.json")) == []


def test_a_folder_of_own_configurations(odbench, tmp_path):
    (tmp_path / "mine" / "timing").mkdir(parents=True)
    (tmp_path / "mine" / "timing" / "three.yaml").write_text("measured_steps: 3\n")
    done = odbench("run", "--config-dir", "mine", *FAST, "timing=three")
    assert done.returncode == 0, done.stderr
    assert record(tmp_path)["spec"]["timing"]["measured_steps"] == 3


def test_debug_shows_the_traceback(tmp_path):
    done = completed(tmp_path, "--debug", "run", "train.batch_size=0")
    assert "Traceback" in done.stderr


def test_interleaved_options_and_overrides(odbench, tmp_path):
    done = odbench("run", "seed=3", "-m", *FAST, "train.batch_size=4")
    assert done.returncode == 0, done.stderr
    assert record(tmp_path)["spec"]["seed"] == 3


def test_cfg_shows_and_runs_nothing(odbench, tmp_path):
    done = odbench("run", "--cfg", "job", "seed=7")
    assert done.returncode == 0
    assert "seed: 7" in done.stdout
    assert not (tmp_path / "runs").exists()
