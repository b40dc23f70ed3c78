"""Composing a :class:`RunSpec` from ``conf/`` and overrides, with every error in one shape."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from odbench.config.refused import REFUSED_MODELS
from odbench.config.register import PRIMARY, data_dir, register
from odbench.config.spec import RunSpec
from odbench.errors import ConfigError, OdbenchError

# Open mappings of the specification: a key that is not there yet may be given without Hydra's `+`.
_OPEN = ("model.pipeline.", "tracking.tags.", "dataset.csv_columns", "dataset.annotations")

# Fields of a model that every run sets by a key of its own, by patterns of their names.
_SET_BY_RUN = {
    r"train_config\.batch_size": "train.batch_size=N",
    r"train_config\.num_steps": "train.num_steps=N",
    r"eval_config\.batch_size": "eval.batch_size=N",
    r"model\.\w+\.num_classes": "the data set's classes, which set it",
}

# Its file lies a folder deeper, so that it is no model among the others to model=glob(*).
_FROM_PIPELINE, _ITS_FILE = "from_pipeline", "from/pipeline"


def open_overrides(overrides: Sequence[str]) -> list[str]:
    """Overrides as Hydra takes them: open keys marked, ``~/`` expanded, ``from_pipeline`` found.

    A shell leaves the ``~`` of ``dataset.dir=~/data`` alone, and to Hydra it is no text.

    Raises:
        ConfigError: A field of the model that the run itself sets: it would be lost.
    """
    for item in overrides:
        _check_not_set_by_run(item)
    home = f"={Path.home()}/"
    expanded = [item.replace("=~/", home, 1) for item in overrides]
    expanded = [
        re.sub(rf"\b{_FROM_PIPELINE}\b", _ITS_FILE, item) if item.startswith("model=") else item
        for item in expanded
    ]
    return [f"++{item}" if item.startswith(_OPEN) else item for item in expanded]


def _check_not_set_by_run(override: str) -> None:
    key, _, value = override.lstrip("+~").partition("=")
    for pattern, own in _SET_BY_RUN.items():
        if re.fullmatch(rf"model\.pipeline\.{pattern}", key):
            raise ConfigError(
                "every run sets this field itself",
                where=key,
                value=value,
                allowed=own,
                fix=f"give {own}" if "=" in own else "leave it out",
            )


def compose_spec(overrides: Sequence[str], config_name: str = PRIMARY) -> RunSpec:
    """Compose and check one run.

    Raises:
        ConfigError: A wrong key, type, choice, range or combination.
    """
    return to_spec(compose_config(overrides, config_name))


def compose_config(overrides: Sequence[str], config_name: str = PRIMARY) -> DictConfig:
    """Compose one run without checking ranges; the ``hydra`` node is left out."""
    register()
    with hydra_session(), config_errors():
        config: DictConfig = compose(config_name, open_overrides(overrides))
    return config


@contextmanager
def hydra_session() -> Iterator[None]:
    """Hydra's compose API on ``conf/``, and nothing left of it afterwards."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(data_dir("conf")), version_base="1.3"):
        yield


def to_spec(config: DictConfig) -> RunSpec:
    """The dataclasses of a composed configuration; their own checks run here."""
    names = [f.name for f in dataclasses.fields(RunSpec)]
    for key in config:
        if key not in names and key != "hydra":
            raise _unknown_key(str(key))
    with config_errors():
        bare = OmegaConf.masked_copy(config, names)
        # plain values, so that the merge checks each key and type against the schema once more:
        # `+key=value` gets past the first check
        values = OmegaConf.create(OmegaConf.to_container(bare, resolve=True, enum_to_str=True))
        spec = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RunSpec), values))
    if not isinstance(spec, RunSpec):
        raise TypeError(f"composed a {type(spec).__name__}, not a RunSpec")
    return spec


def spec_to_dict(spec: RunSpec) -> dict[str, Any]:
    """Plain JSON values of a specification; :func:`spec_from_dict` reads them back."""
    container = OmegaConf.to_container(OmegaConf.structured(spec), resolve=True, enum_to_str=True)
    return typing.cast(dict[str, Any], container)


def spec_from_dict(values: dict[str, Any]) -> RunSpec:
    """The specification of those values."""
    return to_spec(OmegaConf.create(values))


@contextmanager
def config_errors() -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into :class:`ConfigError`."""
    try:
        yield
    except OdbenchError:
        raise
    except MissingConfigException as error:
        raise _missing_config(error) from error
    except OverrideParseException as error:
        raise ConfigError(
            f"cannot read the override: {str(error).splitlines()[0]}",
            where="command line",
            value=error.override,
            allowed="KEY=VALUE, with Hydra's quoting",
        ) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise _bad_value(error) from error


def _missing_config(error: MissingConfigException) -> ConfigError:
    options = list(error.options or [])
    group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
    if group == "model" and choice in REFUSED_MODELS:
        return ConfigError(
            REFUSED_MODELS[choice],
            where=group,
            value=choice,
            fix="choose a CenterNet on that backbone, such as model=centernet_hg104_512x512",
        )
    if not group:
        folders = [data_dir("conf"), data_dir("sweeps")]
        options = [path.stem for folder in folders for path in sorted(folder.glob("*.yaml"))]
    if group == "model":
        options.append(_FROM_PIPELINE)
    near = difflib.get_close_matches(choice, options, n=1, cutoff=0.5)
    if near == [choice]:  # in a file, where nothing finds it
        near = [_ITS_FILE]
    return ConfigError(
        "no such choice" if group else "no such configuration",
        where=group or "--config-name",
        value=choice,
        allowed=", ".join(options) if options else None,
        fix=f"did you mean {near[0]}?" if near else None,
    )


def _bad_value(error: Exception) -> ConfigError:
    """Dig key, value and what is allowed out of an OmegaConf error."""
    source: BaseException = error
    while not isinstance(source, OmegaConfBaseException) and source.__cause__ is not None:
        source = source.__cause__
    message = (getattr(source, "msg", None) or str(source)).strip().splitlines()
    if isinstance(source, OmegaConfBaseException):
        path = source.full_key or _find(r"full_key: (\S+)", str(source))
    else:
        path = _find(r"'([\w.@/]+)'", str(error))
    if path is None:
        path = _find(r"Could not override '([^']+)'", str(error))
    first = message[0] if message else type(error).__name__
    if "is not in struct" in first or ("not in" in first.lower() and "Key" in first):
        return _unknown_key(path or "")
    value = _find(r"[Vv]alue '([^']*)'", first)
    return ConfigError(first, where=path, value=value, allowed=_allowed(path or ""))


def _unknown_key(path: str) -> ConfigError:
    parent, _, key = path.rpartition(".")
    node = _type_at(parent)
    names = [f.name for f in dataclasses.fields(node)] if dataclasses.is_dataclass(node) else []
    near = difflib.get_close_matches(key, names, n=1)
    prefix = f"{parent}." if parent else ""
    return ConfigError(
        f"no such key in {parent or 'the configuration'}",
        where=path,
        value=key,
        allowed=", ".join(names) or None,
        fix=f"did you mean {prefix}{near[0]}?" if near else None,
    )


def _type_at(path: str) -> Any:
    """The declared type at a dotted path of :class:`RunSpec`, or None."""
    node: Any = RunSpec
    for part in filter(None, path.split(".")):
        if not dataclasses.is_dataclass(node):
            return None
        node = typing.get_type_hints(node).get(part)
    return node


def _allowed(path: str) -> str | None:
    kind = _type_at(path)
    options = [t for t in typing.get_args(kind) if t is not type(None)]
    nullable = len(options) < len(typing.get_args(kind))
    if nullable and options:
        kind = options[0]
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    if isinstance(kind, type) and issubclass(kind, Enum):
        text: str | None = ", ".join(member.name for member in kind)
    else:
        text = names.get(kind)
    return f"{text}, or null" if text and nullable else text


def _find(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match.group(1) if match else None
