"""Checks of single values of the configuration."""

from __future__ import annotations

from odbench.errors import ConfigError


def check(ok: bool, path: str, value: object, allowed: str, fix: str | None = None) -> None:
    """Raise :class:`ConfigError` for ``path`` unless ``ok``."""
    if not ok:
        raise ConfigError(
            "value out of range", where=path, value=repr(value), allowed=allowed, fix=fix
        )
