"""Does every launcher carry every cell out, once?

    python benchmarks/launched_cells.py --cells 12 --workers 4 [--launchers joblib ray] [--real]

Each launcher is given the same sweep of replayed cells (``--real``: two short TensorFlow cells),
tracked in a store of its own. Prints wall time and how many cells are on disk and in the store;
ends with 1 where a cell is missing or there twice.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from odbench.records import StoredRun, find_runs

# By launcher: the field that says how many jobs it runs at once.
WORKERS = {
    "joblib": "hydra.launcher.n_jobs",
    "submitit_local": "hydra.launcher.jobs_at_once",
    "ray": "hydra.launcher.init.num_cpus",
}
COMMON = ["dataset.shapes.train_images=6", "dataset.shapes.val_images=4", "dataset.shards=1"]
REPLAYED = [*COMMON, "dataset.shapes.image_size=64", "backend=replay", "timing=quick"]
REAL = [*COMMON, "experiment=smoke"]


def main() -> int:
    """Carry the sweeps out; 0 where nothing is missing or there twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--launchers", nargs="+", choices=WORKERS, default=list(WORKERS))
    parser.add_argument("--real", action="store_true", help="two TensorFlow cells")
    given = parser.parse_args()
    cells = 2 if given.real else given.cells
    print(
        f"{'launcher':<16} {'cells':>5} {'on disk':>7} {'in store':>8} {'twice':>5} {'wall (s)':>8}"
    )
    return max([_measure(name, cells, given.workers, given.real) for name in given.launchers])


def _measure(launcher: str, cells: int, workers: int, real: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        code = _sweep(folder, launcher, cells, workers, REAL if real else REPLAYED)
        wall_s = time.perf_counter() - started
        runs = find_runs([Path(folder)])
        logged = _in_store(folder)
    seeds = Counter(int(run.record.spec["seed"]) for run in runs)
    twice = sum(n > 1 for n in seeds.values()) + sum(n > 1 for n in logged.values())
    print(
        f"{launcher:<16} {cells:>5} {len(seeds):>7} {len(logged):>8} {twice:>5} {wall_s:>8.1f}",
        flush=True,
    )
    return int(code != 0 or len(seeds) != cells or set(logged) != _ids(runs) or twice > 0)


def _ids(runs: Sequence[StoredRun]) -> set[str]:
    return {run.record.run_id for run in runs}


def _sweep(folder: str, launcher: str, cells: int, workers: int, overrides: Sequence[str]) -> int:
    command = [
        *(sys.executable, "-c", "from odbench.cli import main; main()", "run", "-m"),
        *overrides,
        f"seed={','.join(map(str, range(cells)))}",
        f"hydra/launcher={launcher}",
        f"{WORKERS[launcher]}={workers}",
        "paths.reports_dir=null",
    ]
    log = Path(folder, "log.txt")
    with log.open("wb") as output:
        code = subprocess.run(command, cwd=folder, stdout=output, stderr=output, check=False)
    if code.returncode:
        print(log.read_text()[-3000:], file=sys.stderr)
    return code.returncode


def _in_store(folder: str) -> Counter[str]:
    """How often the store has each run."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, "tags.`odbench.kind` = 'run'", max_results=10_000)
    return Counter(run.data.tags["odbench.run_id"] for run in found)


if __name__ == "__main__":
    sys.exit(main())
