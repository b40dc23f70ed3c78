"""What machine and what software a number was measured with. Imports none of that software."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from odbench import __version__
from odbench.measure import gpu
from odbench.results import Environment

# What changes results or times; a package that is not installed is left out.
PACKAGES = (
    "tensorflow",
    "tf-keras",
    "tf-object-detection-api",
    "tf-models-no-deps",
    "tf-slim",
    "numpy",
    "pycocotools",
    "faster-coco-eval",
    "pillow",
    "protobuf",
    "hydra-core",
    "mlflow",
)


def capture_environment() -> Environment:
    """Describe this machine and this software now."""
    commit, dirty = git_state(Path(__file__).resolve().parent)
    return Environment(
        host=socket.gethostname(),
        os=f"{platform.system()} {platform.release()}",
        cpu=cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        ram_bytes=int(psutil.virtual_memory().total),
        gpus=gpu.list_gpus(),
        python=platform.python_version(),
        packages=package_versions(),
        odbench=__version__,
        git_commit=commit,
        git_dirty=dirty,
    )


def package_versions() -> dict[str, str]:
    """Installed versions of :data:`PACKAGES`."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """Model name of the processor, as the kernel gives it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Commit of the checkout that ``folder`` lies in, and whether it has changes.

    (None, None) outside a checkout or without git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if status is None else bool(status)


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
