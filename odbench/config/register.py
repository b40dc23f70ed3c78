"""Registration with Hydra: the schema, the search path and the resolvers."""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from odbench.config.spec import RunSpec

PRIMARY = "config"


def data_dir(name: str) -> Path:
    """The folder ``conf`` or ``sweeps``: packed in an installed odbench, else the checkout's."""
    package = Path(__file__).resolve().parent.parent
    packed = package / "_data" / name
    return packed if packed.is_dir() else package.parent / name


class SweepsSearchPath(SearchPathPlugin):  # type: ignore[misc]
    """Lets ``--config-name NAME`` find ``sweeps/NAME.yaml``."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder of sweep definitions."""
        search_path.append(provider="odbench", path=f"file://{data_dir('sweeps')}")


@cache
def register() -> None:
    """Register everything with Hydra, once per process."""
    ConfigStore.instance().store(name="run_spec", node=RunSpec, provider="odbench")
    Plugins.instance().register(SweepsSearchPath)
    _prefer_own_launchers()
    register_resolvers()


def _prefer_own_launchers() -> None:
    """Take away the plugins' choices that ours in ``conf/hydra/launcher`` have the names of.

    Hydra would check our files against theirs, and warn at each job.
    """
    launchers: dict[str, object] = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for path in (data_dir("conf") / "hydra" / "launcher").glob("*.yaml"):
        launchers.pop(path.name, None)


def register_resolvers() -> None:
    """Register the resolvers that our configuration uses; a worker of a launcher lacks them.

    Cached in the configuration, as Hydra's own ``now`` is, so that all jobs of a sweep agree; it
    keeps the folders of two sweeps apart that start in the same second.
    """
    OmegaConf.register_new_resolver(
        "odbench.uid", lambda: secrets.token_hex(2), use_cache=True, replace=True
    )
