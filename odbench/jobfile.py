"""What the parent hands to the child: ``job.json`` and ``pipeline.config`` in the run folder."""

from __future__ import annotations

import json
from pathlib import Path

from odbench.backend import Job
from odbench.config.compose import spec_from_dict, spec_to_dict
from odbench.config.spec import RunSpec
from odbench.dataset.prepare import load_dataset
from odbench.dataset.types import Dataset
from odbench.records import write_json

JOB_FILE = "job.json"
PIPELINE_FILE = "pipeline.config"


def write_job(run_dir: Path, spec: RunSpec, dataset: Dataset, pipeline_text: str) -> None:
    """Write what :func:`read_job` reads."""
    (run_dir / PIPELINE_FILE).write_text(pipeline_text, encoding="utf-8")
    body = {"spec": spec_to_dict(spec), "dataset": str(dataset.dir)}
    write_json(run_dir / JOB_FILE, body)


def read_job(run_dir: Path) -> Job:
    """The job that was written to a run folder."""
    body = json.loads((run_dir / JOB_FILE).read_text(encoding="utf-8"))
    return Job(
        spec=spec_from_dict(body["spec"]),
        dataset=load_dataset(Path(body["dataset"])),
        pipeline_config=run_dir / PIPELINE_FILE,
        run_dir=run_dir,
    )
