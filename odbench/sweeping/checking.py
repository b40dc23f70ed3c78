"""The inputs of many runs, checked: what they have in common is looked at once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from odbench.config import fingerprint as identity
from odbench.config.spec import ModelSpec, RunSpec
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.types import Dataset
from odbench.job import cache_dir, check_device, check_folders, find_start
from odbench.pipeline.build import build_pipeline
from odbench.pipeline.from_file import resolve_model
from odbench.pipeline.starting import StartingPoint
from odbench.results import PROTOCOL_VERSION


@dataclass(frozen=True)
class Identified:
    """What tells a run from others, before it is run."""

    fingerprint: str
    variant: str


class Checker:
    """Checks runs as :func:`odbench.job.prepare` does. Its answers hold as long as nothing changes.

    Nothing of a pipeline is kept: a thousand of them are not held at once.
    """

    def __init__(self) -> None:
        self._folders: set[tuple[str, str | None]] = set()
        self._devices: set[str] = set()
        self._models: dict[str, ModelSpec] = {}
        self._starts: dict[tuple[str, str, Path], StartingPoint | None] = {}
        self._datasets: dict[tuple[str, Path], Dataset] = {}
        self._built: set[str] = set()

    def identify(self, spec: RunSpec) -> Identified:
        """Find and convert a run's inputs, and tell its identity.

        Raises:
            InputError: Inputs that cannot be used.
        """
        self._check_place(spec)
        spec, start, dataset = self._inputs(spec)
        digest = start.digest if start else None
        known = (dataset.hash, PROTOCOL_VERSION, digest)
        return Identified(identity.fingerprint(spec, *known), identity.variant(spec, *known))

    def check(self, spec: RunSpec, variant: str) -> None:
        """Make sure that a run's ``pipeline.config`` can be built; repeats share it.

        Raises:
            InputError: It cannot.
        """
        if variant not in self._built:
            spec, start, dataset = self._inputs(spec)
            build_pipeline(spec, dataset, start)
            self._built.add(variant)

    def _check_place(self, spec: RunSpec) -> None:
        folders = (spec.paths.runs_dir, spec.paths.reports_dir)
        if folders not in self._folders:
            check_folders(spec)
            self._folders.add(folders)
        if spec.runtime.device not in self._devices:
            check_device(spec)
            self._devices.add(spec.runtime.device)

    def _inputs(self, spec: RunSpec) -> tuple[RunSpec, StartingPoint | None, Dataset]:
        cache, model = cache_dir(spec), repr(spec.model)
        if model not in self._models:
            self._models[model] = resolve_model(spec.model)
        spec = dataclasses.replace(spec, model=self._models[model])
        start = (model, spec.train.init, cache)
        if start not in self._starts:
            self._starts[start] = find_start(spec)
        data = (repr(spec.dataset), cache)
        if data not in self._datasets:
            self._datasets[data] = prepare_dataset(spec.dataset, cache)
        return spec, self._starts[start], self._datasets[data]
