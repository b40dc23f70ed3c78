"""Where a run stands in its sweep, and what it and its variant are called in MLflow.

A name must not depend on which runs have been logged so far. So what varies is read from what the
sweep was told: an override of a run that the sweep was not given word for word is one that varies.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from odbench.config.register import PRIMARY
from odbench.errors import InputError
from odbench.jobfile import JOB_FILE
from odbench.records import RECORD_FILE, SWEEP_FILE, StoredRun, load_record
from odbench.results import RunRecord

# What Hydra writes of a multirun before its first job.
HYDRA_FILE = "multirun.yaml"

# What says nothing of a variant.
_OF_REPEATS = frozenset({"repeat", "repeats", "same_seed"})

# Where and how a run is carried out: nothing that was measured comes of it.
_AROUND = frozenset({"tracking", "paths", "hydra"})

# What a run's own name tells, where it was not given.
_TOLD = frozenset({"model", "train.batch_size", "train.init", "seed"})

_log = logging.getLogger(__name__)


def is_repeat(record: RunRecord) -> bool:
    """Whether a run is one of several of a variant, which then has an MLflow run of its own."""
    return record.sweep_id is not None and bool(record.variant) and asked_repeats(record) > 1


def asked_repeats(record: RunRecord) -> int:
    """How many runs of its variant were asked for."""
    return int(record.spec.get("repeats") or 1)  # older records know of none


def sweep_folder(run: StoredRun) -> Path | None:
    """The folder of a run's sweep, or None where the run lies somewhere else by now."""
    for folder in run.dir.resolve().parents:
        try:
            body = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):  # not ours
            return None
        known = body.get("sweep_id") if isinstance(body, dict) else None
        return folder if known is not None and known == run.record.sweep_id else None
    return None


def repeats_of(run: StoredRun) -> list[StoredRun]:
    """The runs of a run's sweep and variant that have a record by now, itself among them."""
    folder, here = sweep_folder(run), run.dir.resolve()
    found = [run]
    for path in [] if folder is None else folder.rglob(RECORD_FILE):
        if path.parent == here or not _may_be(path.parent, run.record.variant):
            continue
        try:
            found.append(StoredRun(load_record(path), path.parent))
        except InputError as error:
            _log.warning("left out of its variant: %s", error)
    return by_variant([each for each in found if each.record.sweep_id == run.record.sweep_id]).get(
        run.record.variant, [run]
    )


def by_variant(runs: Sequence[StoredRun]) -> dict[str, list[StoredRun]]:
    """Runs by their variants; those of each ordered by repeat."""
    found: dict[str, list[StoredRun]] = {}
    for run in sorted(runs, key=lambda run: (run.record.repeat, run.record.started_at)):
        found.setdefault(run.record.variant, []).append(run)
    return found


def _may_be(run_dir: Path, variant: str) -> bool:
    """Whether a run may be of a variant: its job says so in a line, its record in megabytes."""
    try:
        return bool(json.loads((run_dir / JOB_FILE).read_bytes())["variant"] == variant)
    except (OSError, ValueError, KeyError, TypeError):  # not there, or older
        return True


def run_name(run: StoredRun) -> str:
    """What a run is called in MLflow: its name, with what else varies in its sweep."""
    record = run.record
    if is_repeat(record):
        return f"{variant_name(run)} r{record.repeat}"
    return _told_apart(run, record.name)


def variant_name(run: StoredRun) -> str:
    """What the variant of a run is called in MLflow, the same for each of its repeats."""
    name = run.record.name.removesuffix(f" r{run.record.repeat}")
    if not run.record.spec.get("name"):
        name = name.removesuffix(f"-seed{run.record.spec.get('seed')}")
    return _told_apart(run, name)


def _told_apart(run: StoredRun, name: str) -> str:
    """A name with what varies; the model last, where a sweep has one: pages cut long names."""
    varying, model = _varying(run), run.record.model
    front = name.removeprefix(f"{model}-")
    own = _own_overrides(run)
    if own is None or front == name or any(o.startswith("model=") for o in own):
        return " ".join([name, *varying])
    return " ".join([front, *varying, model])


def _own_overrides(run: StoredRun) -> list[str] | None:
    """Those that the run's sweep was not given word for word; None where no sweep is known."""
    folder = sweep_folder(run)
    told = None if folder is None else sweep_told(folder)
    if told is None:
        return None
    return [override for override in run.record.overrides if override not in told[1]]


def _varying(run: StoredRun) -> list[str]:
    """``KEY=VALUE`` of what varies in a run's sweep and its name does not tell."""
    own = _own_overrides(run)
    if own is None:
        return []
    left_out = _OF_REPEATS | ({"name"} if run.record.spec.get("name") else _TOLD)
    if is_repeat(run.record):
        left_out |= {"seed"}
    pairs = [(key.lstrip("+~"), value) for key, _, value in (o.partition("=") for o in own)]
    pairs = [
        (key, value)
        for key, value in pairs
        if key not in left_out and re.split("[./]", key)[0] not in _AROUND
    ]
    short = Counter(key.rpartition(".")[2] for key, _ in pairs)
    lasts = [(key, key.rpartition(".")[2], value) for key, value in pairs]
    return [f"{last if short[last] == 1 else key}={value}" for key, last, value in lasts]


def sweep_name(config_name: str, folder: Path) -> str:
    """What a sweep is called in MLflow: by its definition, where it has one, and its folder."""
    return f"{'sweep' if config_name == PRIMARY else config_name}-{folder.resolve().name}"


@cache
def sweep_told(folder: Path) -> tuple[str, list[str]] | None:
    """Name of a sweep and the overrides that it was started with; None where nothing says so."""
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        body: Any = OmegaConf.to_container(OmegaConf.load(folder / HYDRA_FILE), resolve=False)
        told = body["hydra"]
        overrides = [str(override) for override in told["overrides"]["task"]]
        return sweep_name(str(told["job"]["config_name"]), folder), overrides
    except (OSError, ValueError, KeyError, TypeError, YAMLError):
        return None
