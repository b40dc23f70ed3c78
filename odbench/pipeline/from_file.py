"""``model=from_pipeline model.path=FILE``: a user's own ``pipeline.config`` as a model.

The file becomes the fields of :class:`~odbench.config.spec.ModelSpec` before anything else is
done, so that records, fingerprints and MLflow see what it says and not where it lay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from odbench.config.register import data_dir
from odbench.config.spec import ModelSpec
from odbench.errors import ConfigError, PipelineError
from odbench.pipeline.architectures import family_of
from odbench.pipeline.fields import clear, flatten, get, plain
from odbench.pipeline.parse import ROOT, parse_fields
from odbench.pipeline.read import read_pipeline

FROM_PIPELINE = "from_pipeline"  # name and family, until the file has been read
PLACEHOLDER = "PATH_TO_BE_CONFIGURED"  # what published files have in place of a path

_FILE = "pipeline.config"
_TARBALL = re.compile(r"(?P<name>.+)_coco17(_[tg]pu-\d+)?")


def resolve_model(model: ModelSpec) -> ModelSpec:
    """A model whose fields are all there: the file's, then those of ``model.pipeline``.

    A model of ``conf/model/`` is returned as it is.

    Raises:
        ConfigError: ``model.path`` is missing, or given with another model.
        PipelineError: The file cannot be read, or its model cannot be trained.
    """
    if model.family != FROM_PIPELINE:
        _check_no_path(model)
        return model
    if not model.path:
        raise ConfigError(
            "no file is named",
            where="model.path",
            value="null",
            allowed="the path of a pipeline.config",
            fix="model=from_pipeline model.path=FILE",
        )
    path = _find(Path(model.path).expanduser())
    base = read_pipeline(path)
    _leave_out_paths(base)
    fields = _merge(plain(base), model.pipeline)
    proto = type(base)()
    parse_fields(fields, proto, ROOT)
    _check_texts(proto, path)
    zoo_name = _zoo_name(path)
    return replace(
        model,
        name=model.name if model.name != FROM_PIPELINE else zoo_name or _own_name(path),
        family=family_of(proto),
        zoo=zoo_name is not None and model.name in (FROM_PIPELINE, zoo_name),
        path=None,  # its fields are here now; a run that is repeated needs no file
        pipeline=plain(proto),
    )


def _check_no_path(model: ModelSpec) -> None:
    if model.path is not None:
        raise ConfigError(
            f"the model {model.name} is read from no file",
            where="model.path",
            value=model.path,
            allowed="null",
            fix=f"model=from_pipeline model.path={model.path}",
        )


def _find(path: Path) -> Path:
    """The file; of a folder, the one in it that a tarball has."""
    path = path.absolute()
    return path / _FILE if path.is_dir() else path


def _leave_out_paths(base: Message) -> None:
    """Drop the paths that each run sets, as the entries of ``conf/model/`` leave them out."""
    readers = [f"eval_input_reader[{i}]" for i in range(len(get(base, "eval_input_reader")))]
    for reader in ["train_input_reader", *readers]:
        if get(base, reader) is not None:
            clear(base, f"{reader}.label_map_path")
            if get(base, f"{reader}.tf_record_input_reader") is not None:
                clear(base, f"{reader}.tf_record_input_reader.input_path")
    if PLACEHOLDER in (get(base, "train_config.fine_tune_checkpoint") or ""):
        clear(base, "train_config.fine_tune_checkpoint")


def _merge(base: Any, over: Any) -> Any:
    """Mappings are merged, all else is replaced, as Hydra does with overrides."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    return {**base, **{key: _merge(base.get(key), value) for key, value in over.items()}}


def _check_texts(proto: Message, path: Path) -> None:
    """Refuse ``${...}``: a specification would take it for a reference to another field."""
    for field, value in flatten(proto).items():
        values = value if isinstance(value, list) else [value]
        if any(isinstance(item, str) and "${" in item for item in values):
            raise PipelineError(
                "a text with ${, a variable that nothing has replaced",
                where=f"{path}: {field}",
                value=value,
                fix="write out what is meant",
            )


def _own_name(path: Path) -> str:
    """The file's name, or its folder's where it is called as they all are."""
    return path.stem if path.name != _FILE else path.parent.name or path.stem


def _zoo_name(path: Path) -> str | None:
    """The model of the zoo whose unpacked tarball a file lies in."""
    match = _TARBALL.fullmatch(path.parent.name)
    if path.name != _FILE or match is None:
        return None
    entry = data_dir("conf") / "model" / f"{match['name']}.yaml"
    return match["name"] if entry.is_file() else None
