"""What the parent hands to the child, as files in the run folder.

``config.yaml`` (the specification, resolved), ``pipeline.config`` and ``job.json`` (the rest).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter, ValidationError
from yaml import YAMLError

from odbench.backend import Job
from odbench.config.compose import spec_to_dict, to_spec
from odbench.config.spec import RunSpec
from odbench.dataset.prepare import load_dataset
from odbench.dataset.types import Dataset
from odbench.errors import ConfigError, InputError
from odbench.records import write_json

JOB_FILE = "job.json"
CONFIG_FILE = "config.yaml"
PIPELINE_FILE = "pipeline.config"


@dataclass(frozen=True)
class Identity:
    """What a run is and stays, however many processes carry it out."""

    run_id: str
    fingerprint: str
    started_at: str  # ISO 8601, UTC; of the first process
    overrides: list[str]  # of the command line
    sweep_id: str | None
    dataset_hash: str
    protocol_version: int
    variant: str = ""  # the fingerprint without seed and repeat


def write_job(
    run_dir: Path, spec: RunSpec, dataset: Dataset, pipeline_text: str, identity: Identity
) -> None:
    """Write what :func:`read_job` and :func:`read_identity` read."""
    (run_dir / PIPELINE_FILE).write_text(pipeline_text, encoding="utf-8")
    OmegaConf.save(OmegaConf.create(spec_to_dict(spec)), run_dir / CONFIG_FILE)
    write_json(run_dir / JOB_FILE, {"dataset": str(dataset.dir.resolve()), **asdict(identity)})


def read_identity(run_dir: Path) -> Identity:
    """The identity of the run that a folder was made for.

    Raises:
        InputError: No run was begun there, or one that says less of itself than is needed.
    """
    path = run_dir / JOB_FILE
    try:
        return TypeAdapter(Identity).validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            "no run was begun here", where=str(run_dir), allowed=f"a folder with {JOB_FILE}"
        ) from error
    except ValidationError as error:
        raise InputError(
            "it does not say which run it belongs to", where=str(path), fix="run it anew"
        ) from error


def read_job(run_dir: Path) -> Job:
    """The job that was written to a run folder."""
    return Job(
        spec=read_spec(run_dir),
        dataset=read_dataset(run_dir),
        pipeline_config=run_dir / PIPELINE_FILE,
        run_dir=run_dir,
    )


def read_dataset(run_dir: Path) -> Dataset:
    """The converted data set that was given to the run of a folder.

    Raises:
        DatasetError: It is not there any more, or not whole.
    """
    body = json.loads((run_dir / JOB_FILE).read_text(encoding="utf-8"))
    return load_dataset(Path(body["dataset"]))


def read_spec(run_dir: Path) -> RunSpec:
    """The specification of the run that a folder was made for.

    Raises:
        ConfigError: It cannot be read as one.
    """
    path = run_dir / CONFIG_FILE
    try:
        config = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"cannot be read: {reason}", where=str(path)) from error
    if not isinstance(config, DictConfig):
        raise ConfigError("not a configuration", where=str(path))
    return to_spec(config)
