"""Where everything is cached that can be had again: converted data sets, the zoo's checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_DIR_VARIABLE = "ODBENCH_CACHE_DIR"


def default_cache_dir() -> Path:
    """``ODBENCH_CACHE_DIR``, else the user's cache folder."""
    named = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("odbench")
