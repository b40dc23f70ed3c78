"""A run's note of why it was not logged, beside its record: who carried it out may be gone."""

from __future__ import annotations

from pathlib import Path

UNTRACKED_FILE = "untracked.txt"


def note_untracked(run_dir: Path, reason: str) -> None:
    """Leave the reason; it is gone again once the run is logged."""
    (run_dir / UNTRACKED_FILE).write_text(reason + "\n", encoding="utf-8")


def untracked_reason(run_dir: Path) -> str | None:
    """Why the run was not logged; None where it was, or nobody tried."""
    try:
        return (run_dir / UNTRACKED_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def forget_untracked(run_dir: Path) -> None:
    """The run was logged after all."""
    (run_dir / UNTRACKED_FILE).unlink(missing_ok=True)
