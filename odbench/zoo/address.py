"""Where a model of the zoo is fetched from, and what to do where nothing can be fetched."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from odbench.errors import ConfigError
from odbench.zoo.catalogue import ZooEntry

PUBLISHED_AT = "http://download.tensorflow.org/models/object_detection/"
MIRROR_VARIABLE = "ODBENCH_ZOO_MIRROR"


def address_of(row: ZooEntry, mirror: str | None = None) -> str:
    """The address of a model's tarball.

    Args:
        row: The model.
        mirror: Address that has the zoo's folders below it; None: ``ODBENCH_ZOO_MIRROR``, else
            where the zoo is published.

    Raises:
        ConfigError: The mirror is no http address.
    """
    base = mirror or os.environ.get(MIRROR_VARIABLE) or PUBLISHED_AT
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            "not the address of a mirror",
            where="--mirror" if mirror else MIRROR_VARIABLE,
            value=base.rpartition("@")[2],
            allowed="http://HOST/FOLDER or https://HOST/FOLDER",
        )
    return f"{base.rstrip('/')}/{row.path}"


def without_credentials(address: str) -> str:
    """The address as it may be shown and recorded: without user and password."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def by_hand(row: ZooEntry, cache_dir: Path) -> str:
    """How to get a checkpoint into the cache from another machine."""
    return (
        f"fetch {row.tarball} from {PUBLISHED_AT}{row.path} on a machine with a network, "
        f"then here: odbench zoo import {row.tarball} --name {row.name} --cache-dir {cache_dir}"
    )
