"""``odbench data``: convert, check, count and show data sets. Thin, as :mod:`odbench.cli`."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from odbench.errors import ConfigError, DatasetError
from odbench.reporting import AsJson, print_json, reported

if TYPE_CHECKING:
    from odbench.config.dataset_spec import DatasetSpec
    from odbench.dataset.check import CheckReport
    from odbench.dataset.prepare import Converted
    from odbench.dataset.types import Dataset

SHOWN = 1000  # findings that are listed on a terminal; --json has them all

data_app = typer.Typer(
    help="Data sets: convert labelled pictures to records, check, count and show them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Source = Annotated[Path, typer.Argument(help="Folder or annotation file of the data set.")]
Folder = Annotated[Path, typer.Argument(help="Folder that `odbench data convert` made.")]
Format = Annotated[str, typer.Option("--format", help="auto, voc, csv, coco or tfrecord.")]
ValFraction = Annotated[
    float, typer.Option(help="Share of the pictures held out where the source names no split.")
]
SplitFile = Annotated[
    Path | None, typer.Option(help="JSON or text that names the split of every picture.")
]
Seed = Annotated[int, typer.Option(help="Of the choice of what is held out or shown.")]
LabelMap = Annotated[Path | None, typer.Option(help="Classes and their ids, .pbtxt.")]
Strict = Annotated[bool, typer.Option("--strict", help="Every finding is an error.")]
Columns = Annotated[
    str | None, typer.Option(help="Names of CSV columns: filename=image,class=label.")
]
Images = Annotated[
    Path | None, typer.Option(help="Folder of the pictures, from here or in the source.")
]


@data_app.command()
@reported
def convert(
    source: Source,
    *,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    kind: Format = "auto",
    val_fraction: ValFraction = 0.2,
    split_file: SplitFile = None,
    seed: Seed = 0,
    shards: Annotated[int, typer.Option(help="Record files per split.")] = 4,
    workers: Annotated[
        int | None, typer.Option(help="Processes; as many as are worth it if not given.")
    ] = None,
    label_map: LabelMap = None,
    strict: Strict = False,
    columns: Columns = None,
    images: Images = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace another converted set in --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert a data set to TFRecords, COCO ground truth and a label map."""
    from odbench.dataset.prepare import convert_dataset
    from odbench.dataset.watch import watched

    spec = _spec(
        source,
        kind=kind,
        split_file=split_file,
        label_map=label_map,
        columns=columns,
        images=images,
        strict=strict,
        val_fraction=val_fraction,
        split_seed=seed,
        shards=shards,
        workers=1 if workers is None else workers,
    )
    _log_to_stderr()
    with watched("converting") as advance:
        done = convert_dataset(spec, out, force=force, workers=workers, advance=advance)
    print_json(_as_json(done)) if as_json else _show(done)


@data_app.command()
@reported
def check(
    source: Annotated[Path, typer.Argument(help="A data set, or a converted one.")],
    *,
    kind: Format = "auto",
    val_fraction: ValFraction = 0.2,
    split_file: SplitFile = None,
    seed: Seed = 0,
    label_map: LabelMap = None,
    strict: Strict = False,
    columns: Columns = None,
    images: Images = None,
    as_json: AsJson = False,
) -> int:
    """List what is wrong with a data set; writes nothing. Exit code 2: it cannot be used."""
    from odbench.dataset.check import check_dataset
    from odbench.dataset.watch import watched

    spec = _spec(
        source,
        kind=kind,
        split_file=split_file,
        label_map=label_map,
        columns=columns,
        images=images,
        strict=strict,
        val_fraction=val_fraction,
        split_seed=seed,
    )
    _log_to_stderr()
    with watched("checking") as advance:
        report = check_dataset(spec, advance)
    print_json(report.as_json()) if as_json else _show_check(report)
    refused = report.errors or (strict and report.findings)
    return DatasetError.exit_code if refused else 0


@data_app.command()
@reported
def stats(
    folder: Folder,
    figure: Annotated[Path | None, typer.Option(help="Draw them too, as .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count a converted data set: boxes by class, sizes, shapes, balance of the splits."""
    from odbench.dataset.statistics import (
        dataset_statistics,
        render_statistics,
        statistics_to_json,
    )

    statistics = dataset_statistics(_load(folder))
    if figure is not None:
        from odbench.report.dataset_figures import draw_statistics

        draw_statistics(statistics, figure)
    if as_json:
        print_json(statistics_to_json(statistics))
    else:
        _print_rich(render_statistics(statistics))


@data_app.command()
@reported
def show(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="Picture to write, .png.")],
    count: Annotated[int, typer.Option(help="Pictures on it.", min=1, max=400)] = 16,
    split: Annotated[str, typer.Option(help="train or val.")] = "train",
    seed: Seed = 0,
) -> None:
    """Draw a sheet of pictures with their boxes."""
    from odbench.dataset.preview import draw_contact_sheet

    dataset = _load(folder)
    if split not in dataset.splits:
        raise ConfigError(
            "no such split", where="--split", value=split, allowed=", ".join(dataset.splits)
        )
    draw_contact_sheet(dataset, out, count, split, seed)
    typer.echo(out)


def _spec(
    source: Path,
    *,
    kind: str,
    split_file: Path | None,
    label_map: Path | None,
    columns: str | None,
    images: Path | None,
    strict: bool,
    **options: Any,
) -> DatasetSpec:
    """The options of a command as the specification that a run would have."""
    from odbench.config.dataset_spec import DatasetKind, DatasetSpec

    kinds = [member.value for member in DatasetKind if member is not DatasetKind.shapes]
    if kind not in kinds:
        raise ConfigError("no such format", where="--format", value=kind, allowed=", ".join(kinds))
    return DatasetSpec(
        name=source.absolute().name or "dataset",
        kind=DatasetKind(kind),
        dir=str(source),
        split_file=None if split_file is None else str(split_file),
        label_map=None if label_map is None else str(label_map),
        strict=strict,
        csv_columns=_columns(columns),
        images_dir=_images_dir(images),
        **options,
    )


def _images_dir(images: Path | None) -> str | None:
    """From here where there is such a folder, else from the source's."""
    if images is None:
        return None
    return str(images.absolute() if images.is_dir() else images)


def _columns(text: str | None) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in (text or "").split(",") if pair.strip()]
    for field, _, name in pairs:
        if not field.strip() or not name.strip():
            raise ConfigError(
                "not a list of columns",
                where="--columns",
                value=text,
                allowed="field=column,..., such as filename=image,class=label",
            )
    return {field.strip(): name.strip() for field, _, name in pairs}


def _load(folder: Path) -> Dataset:
    from odbench.dataset.stored import load_dataset

    return load_dataset(folder)


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")


def _as_json(done: Converted) -> dict[str, Any]:
    dataset, summary = done.dataset, done.dataset.summary
    return {
        "dir": str(dataset.dir),
        "made": done.made,
        "name": dataset.name,
        "hash": dataset.hash,
        "classes": dataset.class_ids,
        "images": summary.images,
        "boxes": summary.boxes,
        "findings": summary.findings,
        "label_map": str(dataset.label_map),
        "splits": {
            name: {
                "records": [str(path) for path in split.records],
                "ground_truth": str(split.ground_truth),
            }
            for name, split in dataset.splits.items()
        },
    }


def _show(done: Converted) -> None:
    dataset, summary = done.dataset, done.dataset.summary
    for split, images in summary.images.items():
        typer.echo(f"{split}: {images} images, {summary.boxes[split]} boxes")
    typer.echo(f"classes: {len(dataset.classes)}")
    for kind, count in summary.findings.items():
        typer.echo(f"found: {count} {kind}")
    if summary.findings:
        typer.echo(f"each finding is in {dataset.dir / 'dataset.json'}")
    typer.echo(f"{dataset.dir}{'' if done.made else ': already there, nothing done'}")


def _show_check(report: CheckReport) -> None:
    from odbench.dataset.findings import describe_finding

    for error in report.errors:
        typer.echo(f"error: {error}")
    for finding in report.findings[:SHOWN]:
        typer.echo(f"warning: {describe_finding(finding)}")
    if len(report.findings) > SHOWN:
        typer.echo(f"and {len(report.findings) - SHOWN} more warnings: --json has them all")
    for split, images in report.images.items():
        typer.echo(f"{split}: {images} images, {report.boxes.get(split, 0)} boxes")
    kinds = Counter(finding.kind for finding in report.findings)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    typer.echo(
        f"{len(report.errors)} errors, {len(report.findings)} warnings"
        + (f": {counted}" if counted else "")
    )


def _print_rich(renderable: Any) -> None:
    from rich.console import Console

    from odbench.reporting import PIPE_WIDTH

    # a pipe or a file has no width of its own: do not fold the table to 80 columns there
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    console.print(renderable)
