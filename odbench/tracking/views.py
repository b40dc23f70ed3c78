"""A view of MLflow's own pages: one row for each variant, what models are chosen by, and figures.

The run table of an experiment begins without a metric, and its charts with one for each of fifty.
MLflow keeps named views of an experiment as tags of it; their form is that of MLflow 3.17, as the
scripts of its pages read and write it. Pages that do not know it leave it aside. No MLflow here.
"""

from __future__ import annotations

import json
from typing import Any

NAME = "odbench: choose a model"
TAG = "mlflow.sharedViewState.odbench"  # what follows the second dot is its key in an address

_AP, _LATENCY, _TRAIN = "eval/AP", "latency/p50_ms", "train/time_1000_steps_s"
_SIZE, _RAM = "export/size_bytes", "train/peak_ram_bytes"

_PARAMS = ("model.name", "train.batch_size", "optimizer.learning_rate", "augmentation")
_METRICS = (_AP, "eval/AP50", _TRAIN, _LATENCY, "latency/p99_ms", _SIZE, _RAM)
_TAGS = ("odbench.status", "odbench.flags", "odbench.hardware")

_SECTION = "odbench"
_RUNS = 100  # that a figure shows


def address(experiment_id: str) -> str:
    """Of the view's figures, within MLflow's pages."""
    key = TAG.rpartition(".")[2]
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={key}&compareRunsMode=CHART"


def view(at_ms: int) -> str:
    """The tag's value: JSON in which the state is JSON once more.

    Args:
        at_ms: When it was made, milliseconds since 1970, UTC.
    """
    columns = [
        *(f"params.`{name}`" for name in _PARAMS),
        *(f"metrics.`{name}`" for name in _METRICS),
        *(f"tags.`{name}`" for name in _TAGS),
    ]
    state = {
        "searchFilter": "tags.`odbench.level` = 'variant'",
        "orderByKey": f"metrics.`{_AP}`",
        "orderByAsc": False,
        "selectedColumns": columns,
        "runsHiddenMode": "SHOW_ALL",
        "compareRunSections": [
            {
                "uuid": _SECTION,
                "name": "AP against cost",
                "display": True,
                "isReordered": True,
                "columns": 2,
            }
        ],
        "compareRunCharts": [
            _parallel(),
            *map(_scatter, (_LATENCY, _TRAIN, _SIZE, _RAM)),
        ],
    }
    made = {"name": NAME, "createdAt": at_ms, "updatedAt": at_ms}
    return json.dumps(made | {"state": json.dumps(state)})


def _parallel() -> dict[str, Any]:
    return _chart("PARALLEL", "parallel") | {
        "selectedParams": ["train.batch_size"],
        "selectedMetrics": [_TRAIN, _LATENCY, _RAM, _AP],
        "showAllRuns": True,
    }


def _scatter(cost: str) -> dict[str, Any]:
    return _chart("SCATTER", cost) | {
        "xaxis": {"key": cost, "type": "METRIC"},
        "yaxis": {"key": _AP, "type": "METRIC"},
    }


def _chart(kind: str, name: str) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{_SECTION}-{name}",
        "metricSectionId": _SECTION,
        "runsCountToCompare": _RUNS,
        "deleted": False,
        "isGenerated": False,
    }
