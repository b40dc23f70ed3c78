"""What the parent hands to the child, as files in the run folder.

``config.yaml`` (the specification, resolved), ``pipeline.config`` and ``job.json`` (the rest).
"""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from odbench.backend import Job
from odbench.config.compose import spec_to_dict, to_spec
from odbench.config.spec import RunSpec
from odbench.dataset.prepare import load_dataset
from odbench.dataset.types import Dataset
from odbench.errors import ConfigError
from odbench.records import write_json

JOB_FILE = "job.json"
CONFIG_FILE = "config.yaml"
PIPELINE_FILE = "pipeline.config"


def write_job(run_dir: Path, spec: RunSpec, dataset: Dataset, pipeline_text: str) -> None:
    """Write what :func:`read_job` reads."""
    (run_dir / PIPELINE_FILE).write_text(pipeline_text, encoding="utf-8")
    OmegaConf.save(OmegaConf.create(spec_to_dict(spec)), run_dir / CONFIG_FILE)
    write_json(run_dir / JOB_FILE, {"dataset": str(dataset.dir)})


def read_job(run_dir: Path) -> Job:
    """The job that was written to a run folder."""
    body = json.loads((run_dir / JOB_FILE).read_text(encoding="utf-8"))
    config = OmegaConf.load(run_dir / CONFIG_FILE)
    if not isinstance(config, DictConfig):
        raise ConfigError("not a configuration", where=str(run_dir / CONFIG_FILE))
    return Job(
        spec=to_spec(config),
        dataset=load_dataset(Path(body["dataset"])),
        pipeline_config=run_dir / PIPELINE_FILE,
        run_dir=run_dir,
    )
