"""Never two timed runs on one device."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from odbench import attempt
from odbench.config.compose import compose_spec
from odbench.errors import RunError
from odbench.isolation import ChildExit, Ending
from odbench.measure import device_lock
from odbench.measure.device_lock import CPU, hold_device, slots


@pytest.fixture(autouse=True)
def locks(tmp_path, monkeypatch):
    monkeypatch.setenv("ODBENCH_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setattr(device_lock, "_POLL_S", 0.01)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(device_lock, "gpu_uuids", lambda: ["GPU-a", "GPU-b"])


def free(slot, *, shared=False):
    descriptor = device_lock._try(slot, shared)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def test_the_second_waits_and_says_for_whom(monkeypatch, caplog):
    caplog.set_level("INFO")
    first = threading.Event()
    with hold_device([CPU], "first"):
        got = []

        def second():
            with hold_device([CPU], "second"):
                got.append(first.is_set())

        waiting = threading.Thread(target=second)
        waiting.start()
        while "waiting" not in caplog.text:
            waiting.join(0.01)
        first.set()
    waiting.join(60)
    assert got == [True]
    assert f"waiting for cpu: held by run first, pid {os.getpid()}" in caplog.text
    assert caplog.text.count("waiting") == 1


def test_only_those_that_allow_it_share():
    with hold_device([CPU], "first", shared=True):
        assert free(CPU, shared=True)
        assert not free(CPU)
    with hold_device([CPU], "alone"):
        assert not free(CPU, shared=True)


@pytest.mark.process
def test_kill_9_gives_the_device_free():
    code = (
        "import time; from odbench.measure.device_lock import *\n"
        "with hold_device([CPU], 'doomed'): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert not free(CPU)
        assert device_lock._holders(CPU) == f"run doomed, pid {process.pid}"
        process.send_signal(signal.SIGKILL)
    with hold_device([CPU], "next"):
        assert device_lock._holders(CPU) == f"run next, pid {os.getpid()}"


def test_one_gpu_for_each_run(two_gpus):
    with hold_device(slots("auto"), "a") as one, hold_device(slots("auto"), "b") as two:
        assert [one.slot.name, two.slot.name] == ["gpu:0", "gpu:1"]
        assert not any(free(slot) for slot in slots("auto"))
        assert free(CPU)
    assert free(slots("gpu:0")[0])


@pytest.mark.parametrize(
    ("device", "shown", "visible"),
    [
        ("auto", None, ["0", "1"]),
        ("auto", "1,0", ["1", "0"]),
        ("auto", "MIG-7", ["MIG-7"]),
        ("auto", "1,-1,0", ["1"]),
        ("auto", "-1", ["-1"]),
        ("auto", "", ["-1"]),
        ("gpu:1", "0", ["1"]),
        ("cpu", "0", ["-1"]),
    ],
)
def test_what_a_run_may_take(two_gpus, monkeypatch, device, shown, visible):
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert [slot.visible for slot in slots(device)] == visible


def test_a_gpu_is_the_same_by_number_and_by_uuid(two_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    assert slots("auto")[0].key == slots("gpu:1")[0].key == "GPU-b"


def test_no_gpu_means_the_cpu(monkeypatch):
    monkeypatch.setattr(device_lock, "gpu_uuids", list)
    assert slots("auto") == [CPU]


@pytest.mark.parametrize(("allowed", "beside"), [("false", False), ("true", True)])
def test_the_child_gets_the_free_gpu_and_its_lock(two_gpus, monkeypatch, tmp_path, allowed, beside):
    seen = []

    def child(run_dir, runtime, gpu, on_event, shared):
        seen.append((gpu, len(shared), free(slots("gpu:1")[0], shared=True)))
        return ChildExit(Ending.itself, 0, False)

    monkeypatch.setattr(attempt, "run_child", child)
    spec = compose_spec([f"runtime.side_by_side={allowed}"])
    with hold_device(slots("gpu:0"), "other"):
        attempt._on_device(tmp_path, spec, "mine", lock=0)
    assert seen == [("1", 2, beside)]


def test_ctrl_c_while_waiting_is_an_interrupted_run(monkeypatch, tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(device_lock.time, "sleep", interrupted)
    with hold_device([CPU], "other"):
        spec = compose_spec(["runtime=cpu"])
        exit_, wall_s, analysis = attempt._on_device(tmp_path, spec, "mine", lock=0)
    assert (exit_.ending, wall_s, analysis) == (Ending.interrupted, 0.0, {})


def test_a_folder_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ODBENCH_LOCK_DIR", str(tmp_path / "file" / "locks"))
    with pytest.raises(RunError, match="ODBENCH_LOCK_DIR"), hold_device([CPU], "mine"):
        pass
