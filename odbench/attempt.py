"""One process of a run as the parent sees it: isolate, wait, record. Imports no TensorFlow."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from odbench.analyses import PICTURES_DIR, Analysis
from odbench.child import OUTCOME_FILE
from odbench.config.compose import spec_to_dict
from odbench.config.spec import BackendName, RunSpec
from odbench.dataset.stored import load_dataset
from odbench.dataset.types import Split
from odbench.errors import InputError, OdbenchError
from odbench.events import EVENTS_FILE, read_events
from odbench.isolation import CHILD_LOG, ChildExit, Ending, run_child
from odbench.jobfile import JOB_FILE, Identity
from odbench.measure.device_lock import CPU, hold_device, slots
from odbench.measure.environment import capture_environment
from odbench.progress import progress_view
from odbench.records import StoredRun, write_record
from odbench.results import DatasetSummary, Device, Edit, EvalResult, RunRecord, Stage, Status
from odbench.runner import DEVICE_FILE, STAGES_DIR, read_stage

EDITS_FILE = "edits.json"
LOCK_FILE = ".lock"

_log = logging.getLogger(__name__)


@contextmanager
def run_lock(run_dir: Path) -> Iterator[int]:
    """Hold a run folder: nobody else runs in it meanwhile; gives the lock's file descriptor.

    The child is given the descriptor, so the folder stays held until both processes are gone,
    however they end; the kernel sees to it (flock).

    Raises:
        InputError: Another process holds it.
    """
    descriptor = os.open(run_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "its run is still going", where=str(run_dir), fix="let it end, or end it"
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)


def wait_until_free(run_dir: Path) -> None:
    """Let a process of an earlier start end that still carries the run out.

    A child whose parent was killed is told to end and writes a checkpoint first; a worker of a
    launcher carries its run to its end.
    """
    told = False
    while True:
        try:
            with run_lock(run_dir):
                return
        except InputError as error:
            if not told:
                _log.info("waiting: %s", error)
            told = True
            time.sleep(0.1)


def attempt(
    run_dir: Path,
    spec: RunSpec,
    dataset: DatasetSummary,
    identity: Identity,
    *,
    lock: int,
    earlier_s: float = 0.0,
) -> StoredRun:
    """Carry out what of a run is left in a process of its own, and leave the run's record.

    Args:
        run_dir: Holds the job that the child reads.
        spec: The run.
        dataset: For the record.
        identity: For the record.
        lock: What :func:`run_lock` gave.
        earlier_s: Wall time of the run's earlier processes.

    Raises:
        RunInterrupted: Ctrl-C came; the record was written before.
    """
    (run_dir / OUTCOME_FILE).unlink(missing_ok=True)  # of an earlier process
    name = run_name(spec)
    exit_, wall_s, analysis = _on_device(run_dir, spec, name, lock)

    status, reason = judge(run_dir, spec, exit_)
    record = RunRecord(
        status=status,
        reason=reason,
        failed_stage=None if status is Status.ok else last_stage(run_dir),
        run_id=identity.run_id,
        name=name,
        fingerprint=identity.fingerprint,
        started_at=identity.started_at,
        wall_s=earlier_s + wall_s,
        model=spec.model.name,
        backend=spec.backend.name,
        device=read_device(run_dir),
        dataset=dataset,
        environment=capture_environment(),
        spec=spec_to_dict(spec),
        overrides=identity.overrides,
        edits=_edits(run_dir),
        sweep_id=identity.sweep_id,
        variant=identity.variant,
        repeat=spec.repeat,
        side_by_side=spec.runtime.side_by_side and spec.backend is not BackendName.replay,
        **read_stages(run_dir),
        **analysis,
    )
    write_record(record, run_dir)
    stored = StoredRun(record, run_dir)
    if status is not Status.ok:
        level = logging.INFO if status is Status.pruned else logging.ERROR
        _log.log(level, "%s: %s: %s", name, status, reason)
    if exit_.ending is Ending.interrupted:
        raise RunInterrupted(stored)
    return stored


def _on_device(
    run_dir: Path, spec: RunSpec, name: str, lock: int
) -> tuple[ChildExit, float, dict[str, Any]]:
    """Let a child carry the run out, and analyse it, while the run has its device for itself.

    An analysis keeps the CPU busy, which would disturb who is measured next. A replayed run
    measures nothing and needs no device.

    Returns:
        How the child ended; its wall time, the wait for the device apart; what :func:`analysed`
        gives.
    """
    runtime, wall_s = spec.runtime, 0.0
    try:
        with ExitStack() as stack:
            if spec.backend is BackendName.replay:
                gpu, keep = CPU.visible, [lock]
            else:
                wanted = hold_device(slots(runtime.device), name, shared=runtime.side_by_side)
                held = stack.enter_context(wanted)
                gpu, keep = held.slot.visible, [lock, held.descriptor]
            with progress_view(name) as view:
                started = time.monotonic()
                exit_ = run_child(run_dir, runtime, gpu, view.on_event, keep)
                wall_s = time.monotonic() - started
            if exit_.ending is Ending.interrupted:  # who pressed Ctrl-C does not want to wait
                return exit_, wall_s, {}
            return exit_, wall_s, analysed(run_dir, read_stages(run_dir).get("eval"))
    except KeyboardInterrupt:  # it waited, or was analysed: there is no child
        return ChildExit(Ending.interrupted, 0, out_of_memory_killed=False), wall_s, {}


def analysed(run_dir: Path, result: EvalResult | None) -> dict[str, Any]:
    """What the kept detections tell, as fields of :class:`RunRecord`; nothing without any.

    Whatever goes wrong here is told in ``analysis_failure``: the run itself is measured.
    """
    if result is None or not (run_dir / result.detections).exists():
        return {}
    if not result.complete:
        return {"analysis_failure": "not every image of the set was evaluated exactly once"}
    _log.info("Analysing %d detections", result.num_detections)
    try:
        from odbench.evaluation.analysis import analyse
        from odbench.evaluation.inputs import load_detections, load_ground_truth

        dataset = load_dataset(Path(_read_json(run_dir / JOB_FILE)["dataset"]))
        truth = load_ground_truth(dataset.splits["val"].ground_truth)
        analysis = analyse(truth, load_detections(run_dir / result.detections))
        _keep_pictures(dataset.splits["val"], analysis, run_dir / PICTURES_DIR)
        return {"analysis": analysis}
    except Exception as error:
        _log.warning("The detections could not be analysed: %s", error)
        return {"analysis_failure": f"{type(error).__name__}: {error}"}


def _keep_pictures(split: Split, analysis: Analysis, folder: Path) -> None:
    """Keep small pictures for reports, which may be made where the data set is not.

    An analysis without them is worth having.
    """
    from odbench.dataset.stored_example import decode_example
    from odbench.dataset.tfrecord import pick_records
    from odbench.evaluation.gallery import Picture, thumbnails

    # ids count the records of a split from 1
    places = {seen.image_id - 1 for seen in analysis.pictures if seen.size}
    examples = map(decode_example, pick_records(split.records, places))
    pictures = (Picture(int(e.source_id), e.image.encoded, []) for e in examples)
    try:
        thumbnails(pictures, folder)
    except (OdbenchError, OSError) as error:
        _log.warning("no small pictures are kept: %s", error)


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a run; its record was written."""

    def __init__(self, stored: StoredRun) -> None:
        super().__init__("interrupted")
        self.stored = stored


def run_name(spec: RunSpec) -> str:
    """The name of a run in MLflow and in reports."""
    if spec.name:
        return spec.name
    start = {"scratch": "", "pretrained": "-pretrained"}.get(spec.train.init, "-finetuned")
    seed = f"-seed{spec.seed}" if spec.seed else ""
    return f"{spec.model.name}-b{spec.train.batch_size}{start}{seed}"


def _edits(run_dir: Path) -> list[Edit]:
    return [Edit(**edit) for edit in _read_json(run_dir / EDITS_FILE) or []]


def judge(run_dir: Path, spec: RunSpec, exit_: ChildExit) -> tuple[Status, str | None]:
    """Status and reason from how the child ended and what it left."""
    log = run_dir / CHILD_LOG
    if exit_.ending is Ending.timeout:
        return Status.timeout, f"longer than runtime.timeout_s={spec.runtime.timeout_s:g} s"
    if exit_.ending is Ending.interrupted:
        return Status.interrupted, "interrupted from the keyboard or by SIGTERM"
    outcome = _read_json(run_dir / OUTCOME_FILE)
    if outcome is not None:
        return Status(outcome["status"]), outcome["reason"]
    if exit_.out_of_memory_killed:
        return Status.oom, "killed by the kernel: host memory ran out"
    if exit_.returncode < 0:
        return Status.failed, f"killed by signal {-exit_.returncode}; its output: {log}"
    return Status.failed, f"ended with code {exit_.returncode} and no outcome; its output: {log}"


def last_stage(run_dir: Path) -> Stage | None:
    """The stage that had begun and not ended."""
    open_stage: Stage | None = None
    for event in read_events(run_dir / EVENTS_FILE):
        if event.get("event") == "stage_begin":
            open_stage = Stage(event["stage"])
        elif event.get("event") == "stage_end":
            open_stage = None
    return open_stage


def read_device(run_dir: Path) -> Device | None:
    """The device that the child took, or None if it did not come so far."""
    body = _read_json(run_dir / STAGES_DIR / DEVICE_FILE)
    return None if body is None else Device(**body)


def read_stages(run_dir: Path) -> dict[str, Any]:
    """The results of the stages that ended, as fields of :class:`RunRecord`."""
    fields: dict[str, Any] = {"usage": {}}
    for stage in Stage:
        done = read_stage(run_dir, stage)
        if done is not None:
            fields[stage.value], fields["usage"][stage] = done
    return fields


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
