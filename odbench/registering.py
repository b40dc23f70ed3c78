"""``odbench pick --register``: the winner into the MLflow Model Registry."""

from __future__ import annotations

from odbench.errors import InputError, TrackingError
from odbench.records import StoredRun
from odbench.syncing import sync
from odbench.tracking.registry import Version, exported_model, register_run
from odbench.tracking.sync import Places


def check_name(name: str) -> str:
    """The name of a registered model, as MLflow takes it.

    Raises:
        InputError: It is empty, or has a character that MLflow refuses.
    """
    if not name.strip() or set(name) & set("/:"):
        raise InputError(
            "not the name of a registered model",
            where="--register",
            value=name,
            allowed="a text without / and :",
        )
    return name


def register(run: StoredRun, name: str) -> Version:
    """Register the exported model of a run, which is sent to its store first if need be.

    Raises:
        InputError: There is no exported model any more.
        TrackingError: The store failed.
    """
    exported_model(run)
    places = Places()
    store = places.opened(places.of(run))
    sent = sync([run.dir], places)
    mlflow_run_id = next((item.mlflow_run_id for item in sent.items if item.kind == "run"), None)
    if mlflow_run_id is None:
        errors = [item.error for item in sent.items if item.error]
        raise TrackingError(f"the run is not in MLflow: {' '.join(errors)}", where=str(run.dir))
    return register_run(store, mlflow_run_id, run, name)
