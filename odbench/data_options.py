"""What ``odbench data convert`` and ``check`` are told of a source, and their errors in its words.

The sources speak of fields of the configuration, ``dataset.kind=csv``, as a run is told them.
Whoever gave an option is told of that option: ``--format csv``.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from odbench.errors import ConfigError, OdbenchError

if TYPE_CHECKING:
    from odbench.config.dataset_spec import DatasetSpec

# Fields of the configuration and what stands for them here.
_OPTIONS = {
    "dataset.dir": "SOURCE",
    "dataset.kind": "--format",
    "dataset.val_fraction": "--val-fraction",
    "dataset.split_file": "--split-file",
    "dataset.split_seed": "--seed",
    "dataset.shards": "--shards",
    "dataset.workers": "--workers",
    "dataset.label_map": "--label-map",
    "dataset.strict": "--strict",
    "dataset.csv_columns": "--columns",
    "dataset.images_dir": "--images",
    "dataset.annotations": "--annotations",
    "paths.cache_dir": "ODBENCH_CACHE_DIR",  # of the environment
}

_NAMES = "|".join(re.escape(name) for name in _OPTIONS)
_ASSIGNMENT = re.compile(rf"\b({_NAMES})=(?:\{{([^}}]*)\}}|(\S*))")
_ALTERNATIVE = re.compile(r"\bor \{([^}]*)\}")
_FIELD = re.compile(rf"\b({_NAMES})\b")

Source = Annotated[Path, typer.Argument(help="Folder or annotation file of the data set.")]
Format = Annotated[str, typer.Option("--format", help="auto, voc, csv, coco or tfrecord.")]
ValFraction = Annotated[
    float, typer.Option(help="Share of the pictures held out where the source names no split.")
]
SplitFile = Annotated[
    Path | None, typer.Option(help="JSON or text that names the split of every picture.")
]
Seed = Annotated[int, typer.Option(help="Of the choice of what is held out or shown.")]
Shards = Annotated[int, typer.Option(help="Record files per split.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes; as many as are worth it if not given.")
]
LabelMap = Annotated[Path | None, typer.Option(help="Classes and their ids, .pbtxt.")]
Strict = Annotated[bool, typer.Option("--strict", help="Every warning is an error.")]
Columns = Annotated[
    str | None, typer.Option(help="Names of CSV columns: filename=image,class=label.")
]
Images = Annotated[
    Path | None, typer.Option(help="Folder of the pictures, from here or in the source.")
]
Annotations = Annotated[
    str | None,
    typer.Option(help="Annotation files, from here or in the source: train=FILE,val=FILE."),
]


def source_spec(
    source: Source,
    *,
    kind: Format = "auto",
    val_fraction: ValFraction = 0.2,
    split_file: SplitFile = None,
    seed: Seed = 0,
    workers: Workers = None,
    label_map: LabelMap = None,
    strict: Strict = False,
    columns: Columns = None,
    images: Images = None,
    annotations: Annotations = None,
) -> DatasetSpec:
    """The options of a command as the specification that a run would have.

    Raises:
        ConfigError: An option is out of range, or is no list of what it should be.
    """
    from odbench.config.dataset_spec import DatasetKind, DatasetSpec

    kinds = [member.value for member in DatasetKind if member is not DatasetKind.shapes]
    if kind not in kinds:
        raise ConfigError("no such format", where="--format", value=kind, allowed=", ".join(kinds))
    files = _pairs(annotations, "--annotations", "train=FILE,val=FILE, or all=FILE")
    return DatasetSpec(
        name=source.absolute().name or "dataset",
        kind=DatasetKind(kind),
        dir=str(source),
        val_fraction=val_fraction,
        split_file=None if split_file is None else str(split_file),
        split_seed=seed,
        workers=1 if workers is None else workers,
        label_map=None if label_map is None else str(label_map),
        strict=strict,
        csv_columns=_pairs(
            columns, "--columns", "field=column,..., such as filename=image,class=label"
        ),
        images_dir=None if images is None else _from_here(images, images.is_dir()),
        annotations={
            split: _from_here(Path(name), Path(name).is_file()) for split, name in files.items()
        },
    )


def takes_source(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command the options of a source; it gets ``spec`` and ``workers`` made of them.

    Its errors name the options that they are about.
    """
    shared, own = _parameters(source_spec), _parameters(command)

    @functools.wraps(command)
    def wrapped(**given: Any) -> int | None:
        options = {name: given.pop(name) for name in shared}
        try:
            return command(spec=source_spec(**options), workers=options["workers"], **given)
        except OdbenchError as error:
            in_options(error)
            raise

    kept = [parameter for name, parameter in own.items() if name not in ("spec", "workers")]
    parameters = [*shared.values(), *kept]
    vars(wrapped)["__signature__"] = inspect.Signature(parameters)
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def in_options(error: OdbenchError) -> OdbenchError:
    """The same error, with options in the place of fields of the configuration."""
    for part in ("what", "where", "allowed", "fix"):
        text = getattr(error, part)
        if text is not None:
            setattr(error, part, _in_options(text))
    return error


def _in_options(text: str) -> str:
    def option(match: re.Match[str]) -> str:
        name, mapping, value = match.groups()
        sign = " " if _OPTIONS[name].startswith("--") else "="
        return f"{_OPTIONS[name]}{sign}{value if mapping is None else _as_pairs(mapping)}"

    text, assigned = _ASSIGNMENT.subn(option, text)
    if assigned:
        text = _ALTERNATIVE.sub(lambda match: f"or {_as_pairs(match.group(1))}", text)
    return _FIELD.sub(lambda match: _OPTIONS[match.group(1)], text)


def _as_pairs(mapping: str) -> str:
    """``a: B, c: D`` as options have it: ``a=B,c=D``."""
    return ",".join(
        "=".join(part.strip() for part in pair.split(":")) for pair in mapping.split(",")
    )


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function with their annotations, not as text."""
    hints = get_type_hints(function, localns={"DatasetSpec": object}, include_extras=True)
    return {
        name: parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
    }


def _pairs(text: str | None, option: str, allowed: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in (text or "").split(",") if pair.strip()]
    for key, _, value in pairs:
        if not key.strip() or not value.strip():
            raise ConfigError("not a list of names", where=option, value=text, allowed=allowed)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _from_here(path: Path, there: bool) -> str:
    """From here where there is such a file or folder, else from the source's."""
    return str(path.absolute() if there else path)
