"""The sweeper that searches; the work is done in ``odbench.searching``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra_plugins.odbench.parts import LaunchingSweeper


class SearchSweeper(LaunchingSweeper):
    """Chooses the cells of a sweep as it goes, from what the earlier ones came to."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def sweep(self, arguments: Sequence[str]) -> None:
        """Search; what the trials came to is in the sweep's folder."""
        from odbench.searching.search import search
        from odbench.sweeping import carrying_out

        carrying = carrying_out.current
        if carrying is None:
            raise RuntimeError("hydra/sweeper=search is started by odbench run")
        carrying.stopped = search(self, arguments)
