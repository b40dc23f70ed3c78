"""The tags of MLflow runs: what they are found and filtered by, and what MLflow's pages read.

``odbench.kind`` is sweep, variant or run. ``odbench.level`` is variant on one MLflow run of each
variant: of its repeats together, or of a run that is its variant itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from odbench.records import StoredRun
from odbench.tracking import content
from odbench.tracking.aggregates import flags_text
from odbench.tracking.naming import variant_name
from odbench.tracking.note import run_note, variant_note


def run_tags(
    run: StoredRun, name: str, parent_run_id: str | None = None, level: str = "variant"
) -> dict[str, str]:
    """Tags of a run: the user's, then odbench's own and those that MLflow's pages read.

    Args:
        run: The run.
        name: What it is called in MLflow.
        parent_run_id: Of the run that it is a child of.
        level: ``repeat`` where its variant has an MLflow run; else it is its ``variant`` itself.
    """
    record = run.record
    own = {
        "odbench.kind": "run",
        "odbench.level": level,
        "odbench.run_id": record.run_id,
        "odbench.repeat": record.repeat,
        "odbench.fingerprint": record.fingerprint,
        "odbench.status": record.status,
        "odbench.ended": content.ended(record),
        "odbench.reason": record.reason,
        "odbench.failed_stage": record.failed_stage,
        "odbench.git_commit": record.environment.git_commit,
        "odbench.git_dirty": record.environment.git_dirty,
        "odbench.flags": flags_text([run]),
        "odbench.run_dir": str(run.dir.resolve()),
        "mlflow.runName": name,
        "mlflow.note.content": run_note(record, content.TAG_LENGTH),
        "mlflow.parentRunId": parent_run_id,
    }
    return shared_tags(run) | content.tag_texts({k: v for k, v in own.items() if v is not None})


def shared_tags(run: StoredRun) -> dict[str, str]:
    """Tags that a run has in common with the other repeats of its variant."""
    record = run.record
    device = record.device
    own = {
        "odbench.sweep_id": record.sweep_id,
        "odbench.variant": record.variant or None,
        "odbench.model": record.model,
        "odbench.batch_size": record.batch_size,
        "odbench.dataset": record.dataset.name,
        "odbench.dataset_hash": record.dataset.hash,
        "odbench.hardware": record.hardware,
        "odbench.device": None if device is None else f"{device.kind} {device.name}",
        "odbench.protocol_version": record.protocol_version,
        "mlflow.source.name": "odbench",
        "mlflow.source.type": "LOCAL",
    }
    given = (record.spec.get("tracking") or {}).get("tags") or {}
    return content.tag_texts(
        given | {key: value for key, value in own.items() if value is not None}
    )


def variant_tags(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Tags of a variant: what its repeats have in common, and how they ended."""
    own = {
        "odbench.kind": "variant",
        "odbench.level": "variant",
        "odbench.status": ", ".join(dict.fromkeys(run.record.status for run in runs)),
        "odbench.flags": flags_text(runs),
        "mlflow.runName": variant_name(runs[0]),
        "mlflow.note.content": variant_note(runs, content.TAG_LENGTH),
    }
    return shared_tags(runs[0]) | content.tag_texts(own)
