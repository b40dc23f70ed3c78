"""What a stage uses, from counters that the kernel and the driver keep anyway.

Two readings, before and after: nothing samples beside the measured work. The kernel counts the
machine's time in hundredths of a second, so a stage shorter than a second cannot tell how busy
other processes were.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from odbench.measure import gpu
from odbench.results import Device, StageUsage

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class _Reading:
    wall: float
    own_cpu: float
    machine_busy: float
    stolen: float | None
    energy_j: float | None


class UsageMeter:
    """Measures one stage of this process.

    Args:
        device: Where the computing is done.
        memory_peak_bytes: Highest device memory since its last call, or None.
    """

    def __init__(self, device: Device, memory_peak_bytes: Callable[[], int | None]) -> None:
        self._gpu = device.index if device.kind == "gpu" else None
        self._memory_peak = memory_peak_bytes
        self._resettable = _reset_peak_ram()
        self._memory_peak()
        self._start = self._read()

    def stop(self) -> StageUsage:
        """What was used since the meter was made."""
        start, end = self._start, self._read()
        wall = end.wall - start.wall
        own = end.own_cpu - start.own_cpu
        others = (end.machine_busy - start.machine_busy - own) / wall if wall >= 1 else None
        stolen = (
            (end.stolen - start.stolen) / wall
            if start.stolen is not None and end.stolen is not None and wall >= 1
            else None
        )
        energy = (
            end.energy_j - start.energy_j
            if start.energy_j is not None and end.energy_j is not None
            else None
        )
        return StageUsage(
            wall_s=wall,
            cpu_s=own,
            peak_ram_bytes=_peak_ram() if self._resettable else None,
            peak_gpu_bytes=self._memory_peak(),
            gpu_energy_j=energy,
            other_cpu_cores=None if others is None else max(0.0, others),
            stolen_cpu_cores=stolen,
            throttled=None if self._gpu is None else gpu.throttled(self._gpu),
        )

    def _read(self) -> _Reading:
        times = os.times()
        machine = psutil.cpu_times()
        busy = sum(machine) - machine.idle - getattr(machine, "iowait", 0.0)
        # guest time is counted within user time already
        busy -= getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)
        # stolen time is the hypervisor's: it slows us, but is not a process of this machine
        stolen: float | None = getattr(machine, "steal", None)
        busy -= stolen or 0.0
        energy = None if self._gpu is None else gpu.energy_j(self._gpu)
        own = times.user + times.system
        return _Reading(time.perf_counter(), own, busy, stolen, energy)


def _reset_peak_ram() -> bool:
    """Let the kernel count the highest resident size anew; False where it does not offer that."""
    try:
        _CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _peak_ram() -> int | None:
    """Highest resident size of this process since the last reset, in bytes."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
