"""Kill a sweep at random points, go on with it by the same command, and count what is there.

    python benchmarks/torture_sweep.py [--points 10] [--cells 20] [--seed 0] [--backend replay]

Again and again one of the parent, the child and the MLflow server is killed (kill -9) after a
random time; a child is waited for first, since starting takes longer than a replayed cell. Whenever
the command has ended unfinished, the server and the same command are started again. In the end
every cell must have one record and one MLflow run: none lost, none twice. Prints JSON; exit code 1
otherwise, also where the sweep was whole before all kills had struck (then give it more cells).
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

COMMAND = [sys.executable, "-c", "from odbench.cli import main; main()", "run", "-m"]
CELL = ["timing=quick", "timing.measured_steps=30", "train.checkpoint_every_steps=5"]
CELL += ["paths.reports_dir=null", "dataset.shapes.train_images=6", "dataset.shapes.val_images=4"]
CELL += ["dataset.shapes.image_size=64", "dataset.shards=1", "train.loss_every_steps=1"]
VICTIMS = ("parent", "child", "server")
LONGEST_S = {"replay": 15.0, "tfod": 60.0}  # from one kill to the next
LONGEST_IN_CHILD_S = {"replay": 1.5, "tfod": 40.0}  # from its start to its end by a kill


class Server:
    """An MLflow server on this machine, which can be killed and started again."""

    def __init__(self, folder):
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process = None

    def start(self):
        if self._process is not None and self._process.poll() is None:
            return
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self._port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self._folder}/server.db"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that its workers can be killed with it
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
        )
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        raise SystemExit("the MLflow server did not start")

    def kill(self):
        """Whether there was anything to kill."""
        if self._process.poll() is not None:
            return False
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return True


def children_of(pid):
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]


def disturb(what, parent, server, child_after_s):
    """Kill one of them; what was killed, None where it was gone already."""
    if what == "server":
        return what if server.kill() else None
    if what == "child":
        while not children_of(parent.pid) and parent.poll() is None:
            time.sleep(0.05)
        time.sleep(child_after_s)
    victims = [parent.pid] if what == "parent" else children_of(parent.pid)[:1]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
    return what if victims else None


class Torture:
    """A sweep that is killed at random, and started again whenever it has ended unfinished."""

    def __init__(self, command, folder, server, rng, backend):
        self._command, self._folder, self._server = command, folder, server
        self._rng, self._backend = rng, backend
        self.points = []
        self.starts = 0

    def strike(self, most):
        """Kill until that many kills have struck, or the sweep is whole; its last exit code."""
        parent = self._start()
        while len(self.points) < most:
            after_s = self._rng.uniform(0.2, LONGEST_S[self._backend])
            try:
                code = parent.wait(after_s)
            except subprocess.TimeoutExpired:
                what = self._rng.choice(VICTIMS)
                child_after_s = self._rng.uniform(0.0, LONGEST_IN_CHILD_S[self._backend])
                if disturb(what, parent, self._server, child_after_s) is not None:
                    self.points.append(what)
            else:
                if code == 0:
                    return code
                parent = self._start()
        parent.wait()
        return self._start().wait()

    def _start(self):
        self._server.start()
        self.starts += 1
        with (self._folder / "sweep.log").open("a") as log:
            return subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)


def count(folder, server, cells):
    """What is on disk and in the store, and what is wrong with it."""
    sweeps = list(folder.glob("runs/*/*/sweep.json"))
    records = [json.loads(p.read_text()) for p in folder.glob("runs/*/*/*/record.json")]
    from mlflow.tracking import MlflowClient

    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("odbench")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    logged = [r.data.tags["odbench.run_id"] for r in runs if "odbench.run_id" in r.data.tags]
    parents = [r for r in runs if r.data.tags.get("odbench.kind") == "sweep"]
    ids = [body["run_id"] for body in records]
    return {
        "sweep_folders": len(sweeps),
        "records": len(records),
        "ok": sum(body["status"] == "ok" for body in records),
        "fingerprints": len({body["fingerprint"] for body in records}),
        "mlflow_runs": len(logged),
        "mlflow_sweeps": len(parents),
        "lost": len(set(ids) - set(logged)),
        "twice": len(logged) - len(set(logged)),
        "unfinished": sum(r.info.status == "RUNNING" for r in runs),
        "whole": len(sweeps) == len(parents) == 1
        and len(records) == len(set(ids)) == cells
        and sorted(ids) == sorted(logged)
        and all(body["status"] == "ok" for body in records)
        and all(r.info.status == "FINISHED" for r in runs),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=["replay", "tfod"], default="replay")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder)
        wait = ["replay.wait_s=0.1"] if options.backend == "replay" else []
        command = [*COMMAND, *CELL, *wait, f"backend={options.backend}"]
        command += [f"tracking.uri={server.uri}", f"seed=range({options.cells})"]
        torture = Torture([*command, "--failed"], folder, server, rng, options.backend)
        try:
            code = torture.strike(options.points)
            body = {"code": code, **count(folder, server, options.cells)}
            body |= {"starts": torture.starts, "kills": len(torture.points)}
            body |= {f"kills of the {what}": torture.points.count(what) for what in VICTIMS}
            if not body["whole"]:
                print((folder / "sweep.log").read_text()[-8000:], file=sys.stderr)
        finally:
            server.kill()
    json.dump(body, sys.stdout, indent=1)
    print()
    ended = body["whole"] and body["code"] == 0
    return 0 if ended and body["kills"] == options.points else 1


if __name__ == "__main__":
    sys.exit(main())
