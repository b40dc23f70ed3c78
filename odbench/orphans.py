"""Processes that must not outlive who started them, however that one ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from typing import Any

# The process that launched a sweep, told to the workers that a launcher starts.
LAUNCHER_VARIABLE = "ODBENCH_LAUNCHER"

_PR_SET_PDEATHSIG = 1


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Ask the kernel for a signal when the parent of this process ends.

    Args:
        number: The signal.
        parent: The parent's id, where it is known: should it be gone already, this process ends.
    """
    with contextlib.suppress(OSError, AttributeError):  # a kernel that does not offer it
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def end_with_launcher() -> None:
    """Let a worker that a launch started end with it, and leave Ctrl-C to it.

    A worker of joblib whose launch was killed otherwise goes through the cells that it was given,
    then waits forever for somebody to read what they returned. Ctrl-C reaches launch and workers
    alike, and the launch decides what it means.
    """
    launcher = os.environ.get(LAUNCHER_VARIABLE)
    if launcher is not None and os.getppid() == int(launcher):
        end_with_parent(signal.SIGKILL, int(launcher))
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
