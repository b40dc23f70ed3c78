import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from factories import make_record, store_record
from tracked import tracked_spec

from odbench.errors import InputError, TrackingError
from odbench.tracking.log import log_run
from odbench.tracking.store import tracking_uri
from odbench.tracking.ui import ui_command, ui_environment

pytestmark = pytest.mark.process

SERVE = """
import sys
from odbench.tracking.ui import serve_ui

announce = lambda address: print(address, flush=True)
sys.exit(serve_ui(sys.argv[1], int(sys.argv[2]), announce))
"""


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(address):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=20) as answer:
        return answer.read()


def test_a_store_that_does_not_exist_yet(tmp_path, port):
    with pytest.raises(TrackingError, match=r"no MLflow store yet(?s:.*)odbench run"):
        ui_command(f"sqlite:///{tmp_path}/mlflow.db", port)
    assert list(tmp_path.iterdir()) == []


def test_a_server_has_pages_of_its_own(port):
    with pytest.raises(TrackingError) as caught:
        ui_command("https://anna:hunter22@mlflow.example.com", port)
    assert "hunter22" not in str(caught.value)


def test_a_port_that_is_taken(tmp_path):
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with pytest.raises(InputError, match=r"(?s)in use.*--port") as caught:
            ui_command(f"sqlite:///{tmp_path}/mlflow.db", taken)
    assert caught.value.value == taken


@pytest.mark.parametrize("number", [0, -1, 70000])
def test_no_such_port(tmp_path, number):
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(InputError, match=r"no such port"):
        ui_command(f"sqlite:///{tmp_path}/mlflow.db", number)


def test_served_to_this_machine_alone(tmp_path, port):
    (tmp_path / "mlflow.db").touch()
    command = ui_command(f"sqlite:///{tmp_path}/mlflow.db", port)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == str(port)
    assert command[command.index("--backend-store-uri") + 1].endswith("mlflow.db")


def test_a_password_is_not_on_the_command_line(port):
    uri = "postgresql://anna:hunter22@db.example.com/runs"
    assert not any("hunter22" in word for word in ui_command(uri, port))
    environment = ui_environment(uri)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri.replace("://", "+psycopg2://")
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.timeout(120)
def test_pages_pictures_and_logging_over_http(spec, client, port, tmp_path):
    run = store_record(make_record(), tmp_path, pictures=1)
    run_id = log_run(run, spec)
    command = [sys.executable, "-c", SERVE, tracking_uri(spec), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().strip()
            assert address == f"http://127.0.0.1:{port}"
            assert b"<html" in get(address)
            picture = get(f"{address}/get-artifact?path=gallery/000001.png&run_uuid={run_id}")
            assert picture == (run.dir / "gallery" / "000001.png").read_bytes()

            other = store_record(make_record(run_id="over-http"), tmp_path)
            remote = tracked_spec(tmp_path, uri=address, experiment=spec.tracking.experiment)
            over_http = client.get_run(log_run(other, remote))
            assert over_http.data.metrics["eval/AP"] == 0.431
            link = json.loads((other.dir / "mlflow.json").read_text())
            assert link["tracking_uri"] == address
        finally:
            os.kill(server.pid, signal.SIGTERM)
        assert server.wait(30) == 0
    with pytest.raises(OSError, match=r"refused"):
        get(address)
