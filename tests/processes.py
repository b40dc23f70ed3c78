"""The command as tests call it: in this process, or as processes that they watch and signal."""

import contextlib
import io
import logging
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

from odbench.cli import main

COMMAND = [sys.executable, "-c", "from odbench.cli import main; main()"]


def called(folder, *arguments):
    """Carry out ``odbench ARGUMENTS`` in a folder and in this process, which spares its start.

    What it prints and its exit code are a process's.
    """
    arguments = [str(argument) for argument in arguments]
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        warnings.catch_warnings(),
        _logging_kept(),
    ):
        warnings.simplefilter("default")
        before, sys.argv = sys.argv, ["odbench", *arguments]
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            sys.argv = before
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


@contextlib.contextmanager
def _logging_kept():
    """Let the command set logging up as in a new process, and for the streams of that time."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)


def completed(folder, *arguments, timeout=120, env=None):
    """Carry out ``odbench ARGUMENTS`` in a folder, in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )


def start(folder, *arguments, output=subprocess.DEVNULL):
    """Start ``odbench ARGUMENTS`` in a folder."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=folder, stdout=output, stderr=output, text=True
    )


def wait_for(condition, seconds=120):
    """Wait until something is true or not empty, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return found


def events_of(folder):
    """Event logs of the runs below a folder, without MLflow's copies."""
    return [p for p in folder.rglob("events.jsonl") if "mlartifacts" not in p.parts]


def training(folder):
    """Event logs of the runs that have trained a step."""
    return [p for p in events_of(folder) if '"loss"' in p.read_text()]


def child_of(process):
    """Process id of the run that a launch carries out."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def is_gone(pid):
    return not Path(f"/proc/{pid}").exists()


def end(process, signum=None, seconds=120):
    """Send a signal, if any; exit code and standard error."""
    if signum is not None:
        os.kill(process.pid, signum)
    _, errors = process.communicate(timeout=seconds)
    return process.returncode, errors
