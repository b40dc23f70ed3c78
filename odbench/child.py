"""The child process of a run: ``python -m odbench.child RUN_DIR``.

It reads ``job.json``, carries the run out and leaves ``outcome.json``. Only here is TensorFlow
imported. A signal from the parent ends it between two steps. In a folder where a run was begun
before, it goes on with what had not ended.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from odbench.backend import load_backend
from odbench.errors import OdbenchError, OutOfMemoryError
from odbench.events import BEGIN, EVENTS_FILE, EventLog
from odbench.jobfile import read_job
from odbench.orphans import end_with_parent
from odbench.records import write_json
from odbench.results import Status
from odbench.runner import TrainingPruned, run

OUTCOME_FILE = "outcome.json"
EVENT_PIPE_VARIABLE = "ODBENCH_EVENT_PIPE"


def main(arguments: list[str]) -> int:
    """Carry out the run in the folder that is given; 0 where it ended well."""
    run_dir = Path(arguments[0]).resolve()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    end_with_parent(signal.SIGTERM)
    pipe = os.environ.get(EVENT_PIPE_VARIABLE)
    log = EventLog(run_dir / EVENTS_FILE, int(pipe) if pipe else None)
    log.emit(BEGIN, pid=os.getpid())
    status, reason = _carry_out(run_dir, log)
    log.emit("outcome", status=status, reason=reason)
    log.close()
    write_json(run_dir / OUTCOME_FILE, {"status": status, "reason": reason})
    return 0 if status is Status.ok else 1


def _carry_out(run_dir: Path, log: EventLog) -> tuple[Status, str | None]:  # noqa: PLR0911
    try:
        job = read_job(run_dir)
        run(job, load_backend(job.spec.backend), log)
    except OutOfMemoryError as error:
        return Status.oom, str(error)
    except OdbenchError as error:
        return Status.failed, str(error)
    except MemoryError:
        return Status.oom, "host memory ran out"
    except TrainingPruned as pruned:
        return Status.pruned, str(pruned)
    except KeyboardInterrupt:
        return Status.interrupted, "ended by a signal"
    except Exception as error:  # whatever it is, the parent must learn of it
        traceback.print_exc()
        return Status.failed, f"{type(error).__name__}: {_first_line(error)}"
    return Status.ok, None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else "no message"


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
