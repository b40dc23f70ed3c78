"""``odbench sync`` to an MLflow server on PostgreSQL that is killed and started again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from tracking.tracked import store_sweep, tracked_spec

from odbench import syncing
from odbench.tracking import log
from odbench.tracking.store import open_store
from odbench.tracking.sync import Places
from odbench.tracking.ui import ui_environment

pytestmark = pytest.mark.process

DEADLINE_S = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def postgres():
    """Address of a cluster of its own; skips, saying so, where PostgreSQL is not installed."""
    tools = [Path(found).parent for found in [shutil.which("initdb")] if found]
    tools += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not tools:
        pytest.skip("PostgreSQL (initdb, pg_ctl) is not installed")
    # it refuses to run as root, and cannot read what root keeps to itself
    user = "postgres" if os.geteuid() == 0 else None
    folder, port = Path(tempfile.mkdtemp(prefix="odbench-postgres-")), free_port()
    if user is not None:
        shutil.chown(folder, user)

    def call(tool, *arguments):
        command = [str(tools[-1] / tool), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    try:
        call("initdb", "--auth=trust", "--username=odbench", "--no-sync")
        options = f"-F -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        call("pg_ctl", "--wait", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://odbench@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "--wait", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(postgres, tmp_path):
    """An MLflow server: ``server.start() -> address``, ``server.kill()``."""
    served = Server(postgres, tmp_path / "artifacts")
    yield served
    served.kill()
    served.log.close()


class Server:
    def __init__(self, database, artifacts):
        self.database, self.artifacts = database, artifacts
        self.port, self.process = free_port(), None
        self.log = (artifacts.parent / "server.log").open("w+b")

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--artifacts-destination", str(self.artifacts)]
        self.process = subprocess.Popen(
            command,
            env=ui_environment(self.database),
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{self.port}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                with opener.open(f"{address}/health", timeout=5):
                    return address
            except OSError:
                running = self.process.poll() is None and time.monotonic() < deadline
                assert running, Path(self.log.name).read_text()
                time.sleep(0.2)

    def kill(self):
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def test_killed_in_the_middle_and_synced_once(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(syncing, "draw_run", lambda run: None)
    runs = store_sweep(tmp_path, batches=(4, 8), repeats=2)
    for run in runs:
        run.record.spec["paths"]["reports_dir"] = None
    places = Places(uri=server.start())
    sent = []

    def dies_with_the_second(*arguments):
        sent.append(arguments)
        if len(sent) == 2:
            server.kill()
        return real(*arguments)

    real = log.log_dataset
    with monkeypatch.context() as patch:
        patch.setattr(log, "log_dataset", dies_with_the_second)
        done = syncing.sync([tmp_path / "runs"], places)
    assert [item.fate.name for item in done.items] == ["sent", "failed"] + ["unsent"] * 3

    places = Places(uri=server.start())
    done = syncing.sync([tmp_path / "runs"], places)
    assert [item.fate.name for item in done.items] == ["there"] + ["sent"] * 4, done.items
    store = open_store(places.of(runs[0]).spec)
    direct = open_store(tracked_spec(tmp_path / "runs", uri=server.database))
    found = direct.client.search_runs([store.experiment_id])
    assert {run.info.status for run in found} == {"FINISHED"}
    names = sorted(run.info.run_name for run in found)
    variants = ["ssd-b4", "ssd-b8"]
    repeats = [f"{name} r{repeat}" for name in variants for repeat in (0, 1)]
    assert names == sorted(["batches-sweep", *variants, *repeats])
    for run in found:
        if run.data.tags["odbench.kind"] == "run":
            key = "train/loss/total_loss"
            steps = [m.step for m in store.client.get_metric_history(run.info.run_id, key)]
            assert len(steps) == len(set(steps)) == len(runs[0].record.train.losses)
            held = {item.path for item in store.client.list_artifacts(run.info.run_id)}
            assert "record.json" in held
    assert {path.name for path in server.artifacts.rglob("record.json")} == {"record.json"}
    done = syncing.sync([tmp_path / "runs"], places)
    assert {item.fate.name for item in done.items} == {"there"}
