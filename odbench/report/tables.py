"""A comparison as files for other programs: ``runs.csv`` and ``comparison.json``."""

from __future__ import annotations

import csv
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from odbench.records import RECORD_FILE, write_json
from odbench.report.columns import COLUMNS, Column, unit
from odbench.report.comparison import Comparison, Group, Row
from odbench.report.flags import NOTES

CSV_FILE = "runs.csv"
JSON_FILE = "comparison.json"

COMPARISON_SCHEMA_VERSION = 1


def write_csv(comparison: Comparison, path: Path, base: Path) -> None:
    """Write every metric of every run, one run a row, the unit in the heading.

    A value that could not be measured is an empty field. Every row names its hardware; the path
    of its record is relative to ``base``.
    """
    metrics = list(dict.fromkeys(name for row in comparison.rows for name in row.metrics))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        first = comparison.groups[0]
        writer.writerow(
            [*_facts(first, first.rows[0], base), *comparison.varying, *map(_heading, metrics)]
        )
        for group in comparison.groups:
            for row in group.rows:
                numbers = [row.metrics.get(name) for name in metrics]
                varying = [row.varying[name] for name in comparison.varying]
                writer.writerow([*_facts(group, row, base).values(), *varying, *numbers])


def _heading(metric: str) -> str:
    name = unit(metric)
    return f"{metric} [{name}]" if name else metric


def _facts(group: Group, row: Row, base: Path) -> dict[str, object]:
    record = row.record
    return {
        "group": group.title,
        "run": row.label,
        "run_id": record.run_id,
        "status": str(record.status),
        "failed_stage": record.failed_stage and str(record.failed_stage),
        "reason": record.reason,
        "flags": " ".join(row.flags),
        "model": record.model,
        "batch_size": record.batch_size,
        "hardware": group.common.hardware,
        "dataset": record.dataset.name,
        "dataset_hash": record.dataset.hash,
        "backend": record.backend,
        "protocol_version": record.protocol_version,
        "fingerprint": record.fingerprint,
        "started_at": record.started_at,
        "record": record_path(row, base),
    }


def record_path(row: Row, base: Path) -> str:
    """Path of a row's record relative to a folder."""
    folder = row.run.dir
    return f"{_relative(folder.parent, base)}/{folder.name}/{RECORD_FILE}"


@lru_cache(maxsize=1000)  # a sweep's runs have their folder in common
def _relative(folder: Path, base: Path) -> str:
    return os.path.relpath(folder, base)


def write_comparison(comparison: Comparison, path: Path, base: Path) -> None:
    """Write the comparison as JSON: groups, rows in their order, metrics, flags and columns."""
    write_json(
        path,
        {
            "schema_version": COMPARISON_SCHEMA_VERSION,
            "summary": comparison.summary,
            "varying": comparison.varying,
            "columns": [_column(column) for column in COLUMNS],
            "flags": {flag: NOTES[flag].meaning for flag in comparison.flags},
            "groups": [_group(group, base) for group in comparison.groups],
        },
    )


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "heading": column.heading,
        "metrics": list(column.metrics),
        "concerned_by": sorted(column.concerned_by),
        "better": column.better,
    }


def _group(group: Group, base: Path) -> dict[str, Any]:
    return {
        "title": group.title,
        "dataset": group.dataset,
        "common": group.common._asdict(),
        "rows": [_row(group, row, base) for row in group.rows],
    }


def _row(group: Group, row: Row, base: Path) -> dict[str, Any]:
    result = row.record.eval
    return _facts(group, row, base) | {
        "flags": list(row.flags),
        "varying": row.varying,
        "overrides": row.record.overrides,
        "cells": {column.key: column.cell(row) for column in COLUMNS},
        "per_class_ap": result.per_class if result is not None and result.complete else None,
        "metrics": row.metrics,
    }
