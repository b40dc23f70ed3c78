"""How long odbench takes to plan a large sweep, and to go on with one that is done.

    python benchmarks/sweeping.py [--cells 1000] [--run 0]

Prints JSON: wall times in s and the parent's peak memory in MB. The finished cells are made from
one replayed run; ``--run N`` also carries out a sweep of N replayed cells.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from odbench.cli import main; main()", "run", "-m"]
CELL = ["backend=replay", "timing=quick", "tracking=none", "paths.reports_dir=null"]
CELL += ["dataset.shapes.train_images=6", "dataset.shapes.val_images=4"]
CELL += ["dataset.shapes.image_size=64", "dataset.shards=1"]


def timed(folder, *arguments):
    """Exit code, wall time in s and output of a command."""
    begun = time.perf_counter()
    done = subprocess.run(
        [*COMMAND, *CELL, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, time.perf_counter() - begun, done.stdout


def finish_all(folder, cells, planned):
    """Lay down a finished run for each cell: copies of a real one under the cell's fingerprint."""
    code, _, _ = timed(folder, "seed=0,1", "train.batch_size=1")
    assert code == 0
    (first, _) = sorted(folder.glob("runs/*/*/*/record.json"))
    sweep = first.parent.parent
    job = json.loads((first.parent / "job.json").read_text())
    shutil.rmtree(sweep / "1")
    (sweep / "0").rename(folder / "model")
    for cell in planned["cells"]:
        target = sweep / str(cell["number"])
        target.mkdir()
        os.link(folder / "model" / "record.json", target / "record.json")
        changed = job | {"fingerprint": cell["fingerprint"], "variant": cell["variant"]}
        (target / "job.json").write_text(json.dumps(changed))
    known = json.loads((sweep / "sweep.json").read_text())
    prints = sorted(cell["fingerprint"] for cell in planned["cells"])
    from odbench.config.fingerprint import stable_hash

    body = known | {"cells": stable_hash(prints)[:16], "closed": True}
    (sweep / "sweep.json").write_text(json.dumps(body))
    assert len(planned["cells"]) == cells


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--run", type=int, default=0)
    options = parser.parse_args()
    axes = [f"seed=range({options.cells // 4})", "train.batch_size=1,2,4,8"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        code, plan_s, text = timed(folder, *axes, "--dry-run", "--json")
        assert code == 0
        finish_all(folder, options.cells, json.loads(text))
        code, dry_s, text = timed(folder, *axes, "--dry-run", "--json")
        assert code == 0 and json.loads(text)["counts"]["done"] == options.cells
        code, resume_s, _ = timed(folder, *axes)
        assert code == 0
        body = {"cells": options.cells, "plan_new_s": plan_s, "plan_done_s": dry_s}
        body |= {"resume_done_s": resume_s, "peak_mb": _peak_mb(), "run": None, "run_s": None}
    if options.run:
        with tempfile.TemporaryDirectory() as name:
            code, run_s, _ = timed(Path(name), f"seed=range({options.run})")
            assert code == 0
            body |= {"run": options.run, "run_s": run_s, "peak_mb": _peak_mb()}
    json.dump(body, sys.stdout, indent=1)
    print()


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000


if __name__ == "__main__":
    main()
