"""``odbench doctor``: what works here, and what to do about what does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from odbench.dataset.prepare import default_cache_dir
from odbench.measure.environment import PACKAGES, capture_environment
from odbench.results import Environment

# A run of a zoo model with its checkpoint and export takes about this much.
_DISK_WANTED_BYTES = 5 * 10**9

# Imports TensorFlow as a run's child does, and builds the API's model builder.
_PROBE = """
import json, time
started = time.perf_counter()
from odbench.backend.tfod import compat
compat.prepare_environment()
compat.install()
import tensorflow as tf
from object_detection.builders import model_builder
from object_detection import inputs, model_lib_v2, exporter_lib_v2
print(json.dumps({
    "import_s": time.perf_counter() - started,
    "gpus": [d.name for d in tf.config.list_physical_devices("GPU")],
    "cuda_build": tf.test.is_built_with_cuda(),
}))
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    fix: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def diagnose() -> list[Check]:
    """Look at everything that a run needs."""
    environment = capture_environment()
    engine = _probe_engine()
    return [
        _python(),
        _packages(environment),
        *_engine(engine, environment),
        Check("cpu", True, f"{environment.cpu}, {environment.cores} cores"),
        Check("memory", True, f"{environment.ram_bytes / 1e9:.1f} GB"),
        _folder("runs folder", Path("runs")),
        _folder("cache folder", default_cache_dir()),
        _git(),
    ]


def render(checks: list[Check]) -> None:
    """Show the checks as a table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "check", "found", box=None)
    for check in checks:
        mark = "ok" if check.ok else "!!"
        found = check.found if check.fix is None else f"{check.found}\n-> {check.fix}"
        table.add_row(mark, check.name, found)
    Console(markup=False).print(table)


def _python() -> Check:
    ok = sys.version_info[:2] == (3, 11)
    found = f"{sys.version.split()[0]} at {sys.executable}"
    return Check("python", ok, found, None if ok else "use Python 3.11")


def _packages(environment: Environment) -> Check:
    missing = [name for name in PACKAGES if name not in environment.packages]
    found = ", ".join(f"{k} {v}" for k, v in environment.packages.items())
    if not missing:
        return Check("packages", True, found)
    return Check("packages", False, f"missing: {', '.join(missing)}", "run `make install`")


def _probe_engine() -> dict[str, Any] | str:
    """What the probe printed, or why it failed."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return "importing TensorFlow took longer than 300 s"
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return lines[-1] if lines else f"ended with code {done.returncode}"
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _engine(found: dict[str, Any] | str, environment: Environment) -> list[Check]:
    name = "TensorFlow and the Object Detection API"
    if isinstance(found, str):
        return [Check(name, False, found, "run `make install`")]
    checks = [Check(name, True, f"import in {found['import_s']:.1f} s")]
    listed = ", ".join(gpu.name for gpu in environment.gpus)
    if found["gpus"]:
        checks.append(Check("device", True, f"GPU: {listed or ', '.join(found['gpus'])}"))
    elif environment.gpus:
        fix = "install the extra odbench[gpu], or run on the CPU with runtime.device=cpu"
        checks.append(Check("device", False, f"TensorFlow cannot use the GPU: {listed}", fix))
    else:
        checks.append(Check("device", True, "no GPU: runs are measured on the CPU and say so"))
    return checks


def _folder(name: str, folder: Path) -> Check:
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    found = f"{folder}, {free / 1e9:.1f} GB free"
    if not os.access(existing, os.W_OK):
        return Check(name, False, f"{found}, not writable", f"make {existing} writable")
    if free < _DISK_WANTED_BYTES:
        return Check(name, False, found, f"free at least {_DISK_WANTED_BYTES / 1e9:.0f} GB")
    return Check(name, True, found)


def _git() -> Check:
    path = shutil.which("git")
    return Check("git", True, path or "not installed: runs do not record a commit")
