"""NVIDIA GPUs by NVML. Without a driver there are none, and every reading is None."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from odbench.results import Gpu


@contextmanager
def _nvml() -> Iterator[Any]:
    """The NVML bindings, initialised; None where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def list_gpus() -> list[Gpu]:
    """The GPUs of this machine in PCI bus order."""
    with _nvml() as nvml:
        if nvml is None:
            return []
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        gpus = []
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
            gpus.append(Gpu(_text(nvml.nvmlDeviceGetName(handle)), memory, driver))
        return gpus


def gpu_uuids() -> list[str]:
    """Names of the GPUs that never change, in PCI bus order."""
    with _nvml() as nvml:
        if nvml is None:
            return []
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return [_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]


def energy_j(index: int) -> float | None:
    """Joules that a GPU used since the driver was loaded; a difference of two is what counts."""
    with _nvml() as nvml:
        if nvml is None:
            return None
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000.0
        except nvml.NVMLError:  # older than Volta, or not allowed
            return None


def throttled(index: int) -> bool | None:
    """Whether heat or power lowers the clocks of a GPU right now."""
    with _nvml() as nvml:
        if nvml is None:
            return None
        slowdown = (
            nvml.nvmlClocksThrottleReasonSwPowerCap
            | nvml.nvmlClocksThrottleReasonHwSlowdown
            | nvml.nvmlClocksThrottleReasonSwThermalSlowdown
        )
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            return bool(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle) & slowdown)
        except nvml.NVMLError:
            return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
