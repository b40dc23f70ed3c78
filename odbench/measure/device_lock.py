"""One timed run at a time on a device of this machine, whoever started it.

The lock is the kernel's (flock) and is shared with the run's child: a run that is killed gives its
device free when its last process is gone. GPUs are locked by UUID, so it does not matter how a
process numbers them; all the CPU's cores are one device, and a run on a GPU leaves it free.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from odbench.errors import RunError
from odbench.measure.gpu import gpu_uuids

LOCK_DIR_VARIABLE = "ODBENCH_LOCK_DIR"

_POLL_S = 1.0  # a look takes microseconds; who waits hardly disturbs who measures

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slot:
    """A device that one run can have for itself."""

    name: str  # cpu, gpu:0
    key: str  # the same whoever looks: names the lock
    visible: str  # CUDA_VISIBLE_DEVICES of a process that may use it


CPU = Slot("cpu", "cpu", "-1")


@dataclass(frozen=True)
class Held:
    """A device, and what keeps it."""

    slot: Slot
    descriptor: int  # of the lock, for the child to keep open


def slots(device: str) -> list[Slot]:
    """The devices that ``runtime.device`` allows, the one to prefer first.

    ``auto`` allows every GPU that ``CUDA_VISIBLE_DEVICES`` leaves visible, else the CPU.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return [CPU]
    uuids = gpu_uuids()
    if kind == "gpu":
        return [_gpu(index, uuids)]
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return [_gpu(str(number), uuids) for number in range(len(uuids))] or [CPU]
    named: list[Slot] = []
    for item in shown.split(","):
        if item.strip() in ("", "-1"):  # CUDA reads no further
            break
        named.append(_gpu(item.strip(), uuids))
    return named if named and uuids else [CPU]


def _gpu(shown: str, uuids: Sequence[str]) -> Slot:
    known = shown.isdigit() and int(shown) < len(uuids)
    key = uuids[int(shown)] if known else shown
    return Slot(f"gpu:{shown}", key.replace("/", "-"), shown)


@contextmanager
def hold_device(choices: Sequence[Slot], run: str, *, shared: bool = False) -> Iterator[Held]:
    """Have the first of the devices that is free; wait, saying for whom, while none is.

    Args:
        choices: Any of them will do.
        run: What others are told while they wait.
        shared: Whether other shared holders may be there meanwhile.

    Raises:
        RunError: The lock cannot be written.
    """
    held = _wait(choices, shared)
    card = lock_dir() / f"{held.slot.key}.{os.getpid()}.json"
    try:
        card.write_text(json.dumps({"pid": os.getpid(), "run": run}), encoding="utf-8")
        yield held
    finally:
        card.unlink(missing_ok=True)
        os.close(held.descriptor)


def _wait(choices: Sequence[Slot], shared: bool) -> Held:
    told: list[str] = []
    while True:
        for slot in choices:
            descriptor = _try(slot, shared)
            if descriptor is not None:
                return Held(slot, descriptor)
        holders = [f"{slot.name}: held by {_holders(slot)}" for slot in choices]
        if holders != told:
            _log.info("waiting for %s", "; ".join(holders))
            told = holders
        time.sleep(_POLL_S)


def _try(slot: Slot, shared: bool) -> int | None:
    """Lock a device without waiting; the descriptor, or None where it is taken."""
    path = lock_dir() / f"{slot.key}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | _created(path), 0o644)
    except OSError as error:
        raise RunError(
            f"the lock of {slot.name} cannot be opened: {error.strerror}",
            where=str(path),
            fix=f"set {LOCK_DIR_VARIABLE} to a folder that every user of this machine can write",
        ) from error
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _created(path: Path) -> int:
    # in a sticky folder, Linux may refuse O_CREAT on a file that another user made
    return 0 if path.exists() else os.O_CREAT


def _holders(slot: Slot) -> str:
    """The runs that have a device, as far as they said so and still live."""
    found = []
    for card in sorted(lock_dir().glob(f"{slot.key}.*.json")):
        try:
            body = json.loads(card.read_text(encoding="utf-8"))
            pid, run = int(body["pid"]), str(body["run"])
        except (OSError, ValueError, KeyError, TypeError):  # being written, or gone
            continue
        if psutil.pid_exists(pid):
            found.append(f"run {run}, pid {pid}")
        else:
            with contextlib.suppress(OSError):
                card.unlink()
    return " and ".join(found) or "a process that does not say"


def lock_dir() -> Path:
    """``ODBENCH_LOCK_DIR``, else one folder for all users of this machine."""
    folder = Path(os.environ.get(LOCK_DIR_VARIABLE) or Path(tempfile.gettempdir(), "odbench-locks"))
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
    except FileExistsError:
        pass
    except OSError as error:
        raise RunError(
            f"no lock of a device can be made: {error.strerror}",
            where=str(folder),
            fix=f"set {LOCK_DIR_VARIABLE} to a folder that every user of this machine can write",
        ) from error
    return folder
