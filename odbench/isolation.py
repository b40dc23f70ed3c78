"""One child process per run: spawned, waited for without spinning, limited, and survived.

The parent sleeps in ``poll`` on the child's process descriptor and on the pipe that carries
copies of its events; it uses no time beside the measured process.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from odbench.child import EVENT_PIPE_VARIABLE
from odbench.config.spec import RuntimeSpec

CHILD_LOG = "child.log"

OnEvent = Callable[[dict[str, Any]], None]


class Ending(StrEnum):
    """What made the child end."""

    itself = "itself"
    timeout = "timeout"
    interrupted = "interrupted"


@dataclass(frozen=True)
class ChildExit:
    """How a child ended."""

    ending: Ending
    returncode: int  # negative: the signal that killed it
    out_of_memory_killed: bool  # the kernel's OOM killer struck meanwhile


def run_child(
    run_dir: Path,
    runtime: RuntimeSpec,
    gpu: str,
    on_event: OnEvent,
    shared: Sequence[int] = (),
) -> ChildExit:
    """Carry out the job in ``run_dir`` in a process of its own.

    Args:
        run_dir: Holds ``job.json``; the child's output goes to ``child.log`` there.
        runtime: Time limit, grace.
        gpu: Number or UUID of the one that the child may see; ``-1``: none.
        on_event: Called with each event as it comes.
        shared: File descriptors that the child keeps open as long as it lives, such as a lock's.

    A Ctrl-C (or SIGTERM turned into KeyboardInterrupt) is forwarded; a child that does not end
    within ``runtime.grace_s`` is killed.
    """
    kills_before = _oom_kills()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)  # a parent that reads slowly must not hold the child up
    try:
        with (run_dir / CHILD_LOG).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "odbench.child", str(run_dir)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(write_end, *shared),
                env=child_environment(gpu, write_end),
                start_new_session=True,  # Ctrl-C reaches it through us, once
            )
        os.close(write_end)
        write_end = -1
        ending = _Wait(process, read_end, runtime, on_event).until_exit()
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)
    killed = process.returncode == -signal.SIGKILL and _oom_kills() > kills_before
    return ChildExit(ending, process.returncode, killed)


def child_environment(gpu: str, pipe: int) -> dict[str, str]:
    """The environment of a child: it sees one GPU at the most."""
    environment = dict(os.environ)
    environment[EVENT_PIPE_VARIABLE] = str(pipe)
    environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order of NVML and nvidia-smi
    environment["CUDA_VISIBLE_DEVICES"] = gpu
    return environment


class _Wait:
    """Waits for one child."""

    def __init__(
        self, process: subprocess.Popen[bytes], pipe: int, runtime: RuntimeSpec, on_event: OnEvent
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._on_event = on_event
        self._grace_s = runtime.grace_s
        limit = runtime.timeout_s
        self._deadline = None if limit is None else time.monotonic() + limit
        self._ending = Ending.itself
        self._unread = b""

    def until_exit(self) -> Ending:
        descriptor = os.pidfd_open(self._process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(descriptor, selectors.EVENT_READ)
                selector.register(self._pipe, selectors.EVENT_READ)
                while not self._exited(selector, descriptor):
                    pass
        finally:
            os.close(descriptor)
            if self._process.poll() is None:  # an error of ours must not leave it behind
                self._process.kill()
            self._process.wait()
        return self._ending

    def _exited(self, selector: selectors.BaseSelector, descriptor: int) -> bool:
        """Sleep until something happens and deal with it; True once the child is gone."""
        try:
            ready = [key.fd for key, _ in selector.select(self._time_left())]
            if self._pipe in ready and not self._read_events():
                selector.unregister(self._pipe)
            if not ready and self._time_left() == 0:
                self._out_of_time()
            if descriptor not in ready:
                return False
            while self._pipe in selector.get_map() and self._read_events():
                pass
            return True
        except KeyboardInterrupt:
            self._interrupted()
            return False

    def _time_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _out_of_time(self) -> None:
        if self._ending is Ending.itself:
            self._ending = Ending.timeout
            self._ask_to_end()
        else:
            self._process.kill()
            self._deadline = None

    def _interrupted(self) -> None:
        if self._ending is Ending.interrupted:  # a second Ctrl-C: at once
            self._process.kill()
        else:
            self._ending = Ending.interrupted
            self._ask_to_end()

    def _ask_to_end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._deadline = time.monotonic() + self._grace_s

    def _read_events(self) -> bool:
        """Hand on what is in the pipe; False at its end."""
        chunk = os.read(self._pipe, 65536)
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            self._on_event(json.loads(line))
        return bool(chunk)


def _oom_kills() -> int:
    """How often the kernel's OOM killer has struck on this machine; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
