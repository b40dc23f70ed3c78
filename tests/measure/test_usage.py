import subprocess
import sys
import time

from odbench.measure.environment import capture_environment, git_state, package_versions
from odbench.measure.gpu import energy_j, list_gpus, throttled
from odbench.measure.usage import UsageMeter
from odbench.results import Device

CPU = Device("cpu", "test")


def meter():
    return UsageMeter(CPU, lambda: None)


def test_wall_and_cpu_time():
    running = meter()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    time.sleep(0.1)
    usage = running.stop()
    assert usage.wall_s >= 0.2
    assert 0.05 <= usage.cpu_s <= usage.wall_s + 0.05
    assert usage.peak_gpu_bytes is None
    assert usage.gpu_energy_j is None
    assert usage.throttled is None


def test_peak_memory_is_of_the_stage_alone():
    first = meter()
    block = bytearray(200 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    large = first.stop().peak_ram_bytes
    del block
    small = meter().stop().peak_ram_bytes
    assert large is None or large - small > 150 * 2**20


def test_other_processes_are_seen():
    running = meter()
    subprocess.run(
        [sys.executable, "-c", "import time; e = time.time() + 1.2\nwhile time.time() < e: pass"],
        check=True,
    )
    usage = running.stop()
    assert usage.other_cpu_cores is not None
    assert usage.other_cpu_cores > 0.3


def test_a_short_stage_cannot_tell():
    assert meter().stop().other_cpu_cores is None


def test_environment_names_machine_and_software():
    environment = capture_environment()
    assert environment.cores >= 1
    assert environment.ram_bytes > 2**28
    assert environment.cpu
    assert environment.packages["numpy"] == package_versions()["numpy"]


def test_no_checkout_has_no_commit(tmp_path):
    assert git_state(tmp_path) == (None, None)


def test_gpu_readings_are_none_where_there_is_no_driver():
    if list_gpus():
        assert throttled(0) in (True, False, None)
        return
    assert energy_j(0) is None
    assert throttled(0) is None
