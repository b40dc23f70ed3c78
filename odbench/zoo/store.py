"""The checkpoints of the zoo as a run asks for them."""

from __future__ import annotations

from pathlib import Path

from odbench.errors import DownloadError
from odbench.zoo.cached import CONFIG_FILE, damage, place_of, read_origin
from odbench.zoo.install import Stored
from odbench.zoo.take import buildable, fetch, not_there


def find_checkpoint(name: str, cache_dir: Path) -> Path:
    """The prefix of a model's cached checkpoint, such as ``.../checkpoint/ckpt-0``.

    Presence and sizes are checked, contents are not.

    Args:
        name: Of the model in the zoo.
        cache_dir: Of everything that odbench caches; models lie in its ``zoo/``.

    Raises:
        ZooError: No such model, or its checkpoint is not in the cache: how to get it there.
    """
    return find_model(name, cache_dir).checkpoint


def published_config(name: str, cache_dir: Path) -> Path:
    """The ``pipeline.config`` that came with a model's checkpoint.

    Raises:
        ZooError: As :func:`find_checkpoint`.
    """
    return find_model(name, cache_dir).folder / CONFIG_FILE


def ensure_checkpoint(name: str, cache_dir: Path) -> Path:
    """As :func:`find_checkpoint`; fetched where it is not cached.

    Raises:
        ZooError: No such model, or its checkpoint cannot be fetched or is not what was trusted.
        ConfigError: The mirror or the cache folder cannot be used.
    """
    try:
        return fetch(name, cache_dir).checkpoint
    except DownloadError as error:
        why = f"is not in the cache, and {error.where}: {error.what}"
        raise not_there(buildable(name), cache_dir, why) from error


def find_model(name: str, cache_dir: Path) -> Stored:
    """A model in the cache.

    Raises:
        ZooError: As :func:`find_checkpoint`.
    """
    row, place = buildable(name), place_of(name, cache_dir)
    origin = read_origin(place)
    if origin is None:
        raise not_there(row, cache_dir, "is not in the cache")
    broken = damage(place, origin)
    if broken is not None:
        raise not_there(row, cache_dir, f"is damaged in the cache: {broken}")
    return Stored(place.folder, origin, made=False)
