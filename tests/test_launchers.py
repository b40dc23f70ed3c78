"""The same sweep by every launcher leaves the same records."""

import os

import pytest
from processes import completed
from tiny import FAST, TINY, children

from odbench.errors import ConfigError
from odbench.events import read_events
from odbench.launching import workers
from odbench.records import find_runs

COMMON = ["dataset.shapes.train_images=6", "dataset.shapes.val_images=4", "dataset.shards=1"]
CELLS = ["seed=0,1,2", "export=none"]  # one more than workers


def outcome(folder):
    """What runs came to, apart from times."""
    runs = [run.record for run in find_runs([folder])]
    assert len(runs) == 3
    assert len({run.sweep_id for run in runs}) == 1
    return {(r.fingerprint, r.status, r.eval.metrics["AP"], str(r.train.losses)) for r in runs}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The outcome by Hydra's basic launcher."""
    from odbench.launch import launch

    folder = tmp_path_factory.mktemp("plain")
    places = [f"paths.runs_dir={folder}/runs", "paths.reports_dir=null", "tracking=none"]
    assert launch(["-m", *TINY, *places, *CELLS]).exit_code == 0
    return outcome(folder)


@pytest.mark.process
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
@pytest.mark.usefixtures("runs_dir")
def test_the_same_records_by_every_launcher(tmp_path, plain, launcher):
    tracked = launcher == "joblib"
    done = completed(
        tmp_path,
        "run",
        "-m",
        *TINY,
        *CELLS,
        f"hydra/launcher={launcher}",
        "paths.reports_dir=null",
        f"tracking.enabled={tracked}",
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert outcome(tmp_path) == plain
    if tracked:
        ids = [run.record.run_id for run in find_runs([tmp_path])]
        assert sorted(children(tmp_path)) == sorted(ids)


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "submitit_slurm", "ray"])
def test_a_launcher_without_its_package_is_refused(monkeypatch, launcher):
    monkeypatch.setattr(workers, "_is_there", lambda module: module.startswith("hydra_plugins"))
    with pytest.raises(ConfigError, match=r"odbench\[launchers\]"):
        workers.check_installed(launcher)
    workers.check_installed("basic")


# What SLURM's commands do for a sweep: keep what was submitted, and carry it out on this machine.
SBATCH = """#!/bin/bash
cp "$1" "$SLURM_LOG/submitted.sh"
tasks=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
for task in $(seq 0 "$tasks"); do
  env SLURM_ARRAY_JOB_ID=12 SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=$((12 + task)) SLURM_NTASKS=1 \\
    SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 \\
    SLURM_JOB_NODELIST=here bash "$SLURM_LOG/submitted.sh" > /dev/null 2>&1 &
done
echo "Submitted batch job 12"
"""
SRUN = """#!/bin/bash
while [[ "$1" != *python* ]]; do shift; done
exec "$@"
"""
SACCT = """#!/bin/bash
echo 'JobID|State'
echo '12_0|RUNNING'
echo '12_1|RUNNING'
"""


@pytest.mark.process
def test_what_slurm_is_given(tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, script in [("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)]:
        (commands / name).write_text(script)
        (commands / name).chmod(0o755)
    done = completed(
        tmp_path,
        "run",
        "-m",
        *FAST,
        "seed=0,1",
        "hydra/launcher=submitit_slurm",
        "hydra.launcher.partition=vision",
        timeout=400,
        env={"PATH": f"{commands}:{os.environ['PATH']}", "SLURM_LOG": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    submitted = (tmp_path / "submitted.sh").read_text()
    for option in ["gpus-per-node=1", "nodes=1", "partition=vision", "array=0-1%2"]:
        assert f"#SBATCH --{option}\n" in submitted
    assert sorted(run.record.spec["seed"] for run in find_runs([tmp_path])) == [0, 1]


@pytest.mark.tf
@pytest.mark.timeout(1200)
def test_real_runs_by_two_workers_take_turns_on_the_device(tmp_path):
    done = completed(
        tmp_path,
        *("run", "-m", *COMMON, "experiment=smoke", "runtime=cpu", "seed=0,1", "export=none"),
        *("hydra/launcher=joblib", "tracking=none", "paths.reports_dir=null"),
        timeout=1100,
    )
    assert done.returncode == 0, done.stderr
    first, second = find_runs([tmp_path])
    assert {run.record.status for run in (first, second)} == {"ok"}
    spans = []
    for run in (first, second):
        times = [event["t"] for event in read_events(run.dir / "events.jsonl")]
        spans.append((times[0], times[-1]))
    (_, end), (begin, _) = sorted(spans)
    assert end <= begin
    assert done.stderr.count("waiting for cpu: held by run ssd_mobilenet") == 1
    assert not any(run.record.side_by_side for run in (first, second))
