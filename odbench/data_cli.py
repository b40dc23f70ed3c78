"""``odbench data``: convert, check, count and show data sets. Thin, as :mod:`odbench.cli`."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from odbench.data_options import Seed, Shards, in_options, takes_source
from odbench.errors import ConfigError, DatasetError
from odbench.reporting import AsJson, counted, print_json, reported

if TYPE_CHECKING:
    from odbench.config.dataset_spec import DatasetSpec
    from odbench.dataset.check import CheckReport
    from odbench.dataset.prepare import Converted
    from odbench.dataset.types import Dataset, Finding

SHOWN = 1000  # findings that are listed on a terminal; --json has them all

data_app = typer.Typer(
    help="Data sets: convert labelled pictures to records, check, count and show them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(help="Folder that `odbench data convert` made.")]


@data_app.command()
@reported
@takes_source
def convert(
    spec: DatasetSpec,
    workers: int | None,
    *,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    shards: Shards = 4,
    force: Annotated[
        bool, typer.Option("--force", help="Replace another converted set in --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert a data set to TFRecords, COCO ground truth and a label map."""
    from odbench.dataset.prepare import convert_dataset
    from odbench.dataset.watch import watched

    spec = replace(spec, shards=shards)
    _log_to_stderr()
    with watched("converting") as advance:
        done = convert_dataset(spec, out, force=force, workers=workers, advance=advance)
    print_json(_as_json(done)) if as_json else _show(done)


@data_app.command()
@reported
@takes_source
def check(spec: DatasetSpec, workers: int | None, *, as_json: AsJson = False) -> int:
    """List what is wrong with a data set, converted or not; writes nothing.

    Exit code 2: it cannot be used, or --strict and there is a warning.
    """
    from odbench.dataset.check import check_dataset
    from odbench.dataset.watch import watched

    _log_to_stderr()
    with watched("checking") as advance:
        report = check_dataset(spec, advance, workers)
    for error in report.errors:
        in_options(error)
    print_json(report.as_json()) if as_json else _show_check(report)
    refused = report.errors or (spec.strict and report.warnings)
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

    _check_folder(figure, "--figure")
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

    _check_folder(out, "--out")
    dataset = _load(folder)
    if split not in dataset.splits:
        raise ConfigError(
            "no such split", where="--split", value=split, allowed=", ".join(dataset.splits)
        )
    draw_contact_sheet(dataset, out, count, split, seed)
    typer.echo(out)


def _check_folder(picture: Path | None, option: str) -> None:
    if picture is not None and not picture.absolute().parent.is_dir():
        raise ConfigError(
            "no such folder",
            where=option,
            value=picture.parent,
            fix="make it, or name a picture in another one",
        )


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
    from odbench.dataset.findings import warnings_in

    dataset, summary = done.dataset, done.dataset.summary
    for split, images in summary.images.items():
        typer.echo(f"{split}: {images} images, {summary.boxes[split]} boxes")
    typer.echo(f"classes: {len(dataset.classes)}")
    _show_notes(dataset.findings)
    actions = Counter((f.kind, f.action) for f in warnings_in(dataset.findings))
    for (kind, action), count in sorted(actions.items()):
        typer.echo(f"found: {count} {kind} ({action})")
    if dataset.findings:
        typer.echo(f"each finding is in {dataset.dir / 'dataset.json'}")
    typer.echo(f"{dataset.dir}{'' if done.made else ': already there, nothing done'}")


def _show_notes(findings: list[Finding]) -> None:
    from odbench.dataset.findings import NOTES, describe_finding

    for finding in findings:
        if finding.kind in NOTES:
            typer.echo(f"note: {describe_finding(finding)}")


def _show_check(report: CheckReport) -> None:
    from odbench.dataset.findings import describe_finding

    for error in report.errors:
        typer.echo(f"error: {error}")
    for finding in report.warnings[:SHOWN]:
        typer.echo(f"warning: {describe_finding(finding)}")
    if len(report.warnings) > SHOWN:
        typer.echo(f"and {len(report.warnings) - SHOWN} more warnings: --json has them all")
    _show_notes(report.findings)
    for split, images in report.images.items():
        typer.echo(f"{split}: {images} images, {report.boxes.get(split, 0)} boxes")
    kinds = Counter(finding.kind for finding in report.warnings)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    typer.echo(
        f"{counted(len(report.errors), 'error')}, {counted(len(report.warnings), 'warning')}"
        + (f": {by_kind}" if by_kind else "")
    )


def _print_rich(renderable: Any) -> None:
    from rich.console import Console

    from odbench.reporting import PIPE_WIDTH

    # a pipe or a file has no width of its own: do not fold the table to 80 columns there
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    console.print(renderable)
