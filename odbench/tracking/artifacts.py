"""What of a run's folder and of a report becomes artifacts: each file once, within a limit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from odbench.events import EVENTS_FILE
from odbench.records import RECORD_FILE, StoredRun
from odbench.tracking.masking import mask
from odbench.tracking.store import Store

REPORT_FOLDER = "report"  # of a sweep's artifacts
MAX_REPORT_BYTES = 50 * 10**6

# Files of a run folder, and the folder that they have in MLflow. The exported model and the
# checkpoints stay on disk: they are large, and their size is a metric.
_TEXT_FILES = ("pipeline.config", "edits.json", "config.yaml", RECORD_FILE, EVENTS_FILE)
_LOG_FILES = ("child.log",)
_PICTURE_FOLDERS = ("gallery", "figures")

# Of a report, where it is larger than the limit: these before pictures and whatever else.
_PAGES = ("report.html", "report.md")
_FIRST = (*_PAGES, "comparison.json", "runs.csv")

_log = logging.getLogger(__name__)


def log_run_files(store: Store, run_id: str, run: StoredRun) -> None:
    """Log what a run left behind, but for the model."""
    for name in (*_TEXT_FILES, *_LOG_FILES):
        if (run.dir / name).is_file():
            _log_text_file(store, run_id, run.dir / name)
    if run.record.eval is not None and (run.dir / run.record.eval.detections).is_file():
        store.client.log_artifact(run_id, str(run.dir / run.record.eval.detections), "eval")
    log_pictures(store, run_id, run)


def log_pictures(store: Store, run_id: str, run: StoredRun) -> None:
    """Log a run's evaluation pictures and figures."""
    for folder in _PICTURE_FOLDERS:
        for picture in sorted((run.dir / folder).glob("*.[jp][pn]g")):
            store.client.log_artifact(run_id, str(picture), folder)


def log_report(store: Store, run_id: str, report_dir: Path) -> str | None:
    """Log a report's folder; of one above the limit what fits, saying what was left out.

    Returns:
        Address of its page on MLflow's pages, None where it has none there.
    """
    left_out: list[str] = []
    taken = 0
    for path in _report_files(report_dir):
        size = path.stat().st_size
        if taken + size > MAX_REPORT_BYTES:
            left_out.append(path.name)
            continue
        taken += size
        inside = path.parent.relative_to(report_dir)
        store.client.log_artifact(run_id, str(path), (Path(REPORT_FOLDER) / inside).as_posix())
    if left_out:
        _log.warning(
            "the report %s is larger than %d MB; not sent to MLflow: %s",
            report_dir,
            MAX_REPORT_BYTES // 10**6,
            ", ".join(left_out),
        )
    pages = [p for p in _PAGES if (report_dir / p).is_file() and p not in left_out]
    if not pages:
        return None
    place = f"#/experiments/{store.experiment_id}/runs/{run_id}/artifacts"
    return f"{place}/{REPORT_FOLDER}/{pages[0]}"


def _report_files(report_dir: Path) -> Iterator[Path]:
    first = [report_dir / name for name in _FIRST if (report_dir / name).is_file()]
    yield from first
    yield from sorted(p for p in report_dir.rglob("*") if p.is_file() and p not in first)


def _log_text_file(store: Store, run_id: str, path: Path) -> None:
    """Log a file; the store's address in it loses its password, which readers may not know."""
    text = path.read_text(encoding="utf-8", errors="replace")
    masked = mask(text, store.uri)
    if masked == text:
        store.client.log_artifact(run_id, str(path))
    else:
        store.client.log_text(run_id, masked, path.name)
