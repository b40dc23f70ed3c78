"""Where a run on disk belongs in MLflow: its store, and the run of its sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from odbench.config.compose import spec_from_dict
from odbench.config.spec import RunSpec
from odbench.errors import TrackingError
from odbench.records import StoredRun
from odbench.tracking.store import (
    Store,
    check_reachable,
    open_store,
    sqlite_path,
    store_errors,
    tracking_uri,
    with_driver,
)

_SQLITE = "sqlite:///"

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """A store and an experiment in it."""

    uri: str
    experiment: str
    spec: RunSpec = field(compare=False)  # of one of its runs, its folders as seen from here


class Places:
    """The places of runs: as each run was told, or as given for all of them.

    Args:
        uri: In place of the runs' own ``tracking.uri``.
        experiment: In place of their own ``tracking.experiment``.
    """

    def __init__(self, uri: str | None = None, experiment: str | None = None) -> None:
        self._uri = uri
        self._experiment = experiment
        self._known: dict[str, Place] = {}
        self._open: dict[Place, Store] = {}
        self._broken: dict[Place, TrackingError] = {}

    @property
    def own(self) -> bool:
        """Whether every run goes where it was told to."""
        return self._uri is None and self._experiment is None

    def of(self, run: StoredRun) -> Place:
        """The place of a run. Composing a specification takes long: one of each kind will do.

        Raises:
            ConfigError: The record's specification is not one of this version.
            TrackingError: The address cannot be one of a store.
        """
        parts = [run.record.spec.get("tracking"), run.record.spec.get("paths")]
        key = repr([*parts, _base(run.dir, parts[1])])
        if key not in self._known:
            spec = self._spec(run)
            self._known[key] = Place(tracking_uri(spec), spec.tracking.experiment, spec)
        return self._known[key]

    def _spec(self, run: StoredRun) -> RunSpec:
        """What a run was told, its store and folders as they are seen from here."""
        spec = _anchored(spec_from_dict(run.record.spec), run.dir)
        tracking = dataclasses.replace(
            spec.tracking,
            uri=self._uri or spec.tracking.uri,
            experiment=self._experiment or spec.tracking.experiment,
        )
        return dataclasses.replace(spec, tracking=tracking)

    def opened(self, place: Place) -> Store:
        """The store of a place, made if need be; one that failed before fails at once.

        It is opened once; later it is only made sure that it is still there.

        Raises:
            TrackingError: It cannot be reached, read or written.
        """
        return self._tried(place, lambda: self._opened(place))

    def _opened(self, place: Place) -> Store:
        if place in self._open:
            store = self._open[place]
            with store_errors(place.uri, "open the MLflow store"):
                check_reachable(place.uri)
                if sqlite_path(place.uri) is None:
                    store.client.get_experiment(store.experiment_id)
        else:
            self._open[place] = open_store(place.spec)
        return self._open[place]

    def looked_at(self, place: Place) -> Store | None:
        """The store of a place, None where there is none yet: nothing is made.

        Raises:
            TrackingError: It cannot be reached or read.
        """
        return self._tried(place, lambda: _existing(place))

    def failed(self, error: Exception) -> bool:
        """Whether an error is that of a store as a whole, the same for each of its runs."""
        return any(error is known for known in self._broken.values())

    def _tried(self, place: Place, opening: Callable[[], T]) -> T:
        if place in self._broken:
            raise self._broken[place]
        try:
            return opening()
        except TrackingError as error:
            self._broken[place] = error
            raise


def _existing(place: Place) -> Store | None:
    path = sqlite_path(place.uri)
    if path is not None and not path.exists():
        return None
    with store_errors(place.uri, "look at the MLflow store"):
        check_reachable(place.uri)
        from mlflow.tracking import MlflowClient

        client = MlflowClient(with_driver(place.uri))
        found = client.get_experiment_by_name(place.experiment)
        return None if found is None else Store(place.uri, client, str(found.experiment_id))


def _anchored(spec: RunSpec, run_dir: Path) -> RunSpec:
    """The same with relative paths from where the run was started, not from here."""
    base = _base(run_dir, {"runs_dir": spec.paths.runs_dir})
    if base is None:
        return spec
    paths, uri = spec.paths, spec.tracking.uri
    if uri is not None and uri.startswith(_SQLITE):
        uri = f"{_SQLITE}{base / Path(uri.removeprefix(_SQLITE)).expanduser()}"
    return dataclasses.replace(
        spec,
        tracking=dataclasses.replace(spec.tracking, uri=uri),
        paths=dataclasses.replace(
            paths,
            runs_dir=str(base / paths.runs_dir),
            reports_dir=None if paths.reports_dir is None else str(base / paths.reports_dir),
        ),
    )


def _base(run_dir: Path, paths: Any) -> Path | None:
    """The folder that a relative ``paths.runs_dir`` of a run below it was meant from."""
    given = paths.get("runs_dir") if isinstance(paths, dict) else None
    if not isinstance(given, str) or not Path(given).parts or Path(given).is_absolute():
        return None
    parts = Path(given).parts
    for folder in run_dir.resolve().parents:
        if folder.parts[-len(parts) :] == parts:
            return Path(*folder.parts[: -len(parts)])
    return None


def adopt_runs(store: Store, sweep_id: str, mlflow_run_id: str) -> None:
    """Make runs that were logged while their sweep was not known its children.

    Raises:
        TrackingError: The store failed.
    """
    wanted = f"tags.`odbench.sweep_id` = '{sweep_id}' AND tags.`odbench.kind` = 'run'"
    page = None
    with store_errors(store.uri, f"look for the runs of sweep {sweep_id}"):
        while True:
            found = store.client.search_runs([store.experiment_id], wanted, page_token=page)
            for run in found:
                if "mlflow.parentRunId" not in run.data.tags:
                    store.client.set_tag(run.info.run_id, "mlflow.parentRunId", mlflow_run_id)
            page = found.token
            if not page:
                return
