"""What of the zoo ran on a machine: a table for the docs and the parameter counts, from records.

    odbench run --config-name zoo_smoke
    python benchmarks/zoo_runs.py runs/DATE/SWEEP... --table docs/zoo_runs.md \\
        --parameters odbench/zoo/parameters.csv

With --update, models without a run in those folders keep their rows of the table and their
counts. Of several runs of a model the best is taken: one that ended well before one that did not,
the published input size before another, then the latest.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from odbench import derive
from odbench.records import find_runs
from odbench.report.markup import escape, table
from odbench.results import Flag, RunRecord, Stage, Status

HEADINGS = (
    "Model",
    "Parameters (M)",
    "Status",
    "Build (s)",
    "First step (s)",
    "Step (s)",
    "Eval wall (s)",
    "Export wall (s)",
    "Peak RAM (GB)",
    "Differs from the published configuration",
)

ABOUT = """\
# Every model of the zoo, once through every stage

Made from run records by `benchmarks/zoo_runs.py`; the sweep is `sweeps/zoo_smoke.yaml`. It says
what runs, and what memory it takes: with so few steps, and tracing in every first call, the times
are no benchmark.

* Hardware: {hardware}
* Software: {software}
* Each run: {steps} train steps with batch size {batch}, evaluation of {images}, export, and calls
  of the exported model.
* Step: mean of {measured} steps after the first one and the warm-up.
* Peak RAM: highest resident size of the process in any stage.
{busy}
"""


def main() -> int:
    """Write the table and the parameter counts of some runs."""
    arguments = _parse()
    records = _best(stored.record for stored in find_runs(arguments.folders))
    if not records:
        print("no record of a run in there", file=sys.stderr)
        return 2
    kept = _kept_rows(arguments.table) if arguments.update else {}
    arguments.table.write_text(_page(records, kept), encoding="utf-8")
    if arguments.parameters is not None:
        _write_parameters(arguments.parameters, records, arguments.update)
    print(f"{len(records)} models: {arguments.table}")
    return 0


def _best(records: Iterable[RunRecord]) -> list[RunRecord]:
    kept: dict[str, RunRecord] = {}
    for record in sorted(records, key=_rank):
        kept[record.model] = record
    return [kept[name] for name in sorted(kept)]


def _rank(record: RunRecord) -> tuple[bool, bool, str]:
    return record.status is Status.ok, not _changes(record), record.started_at


def _changes(record: RunRecord) -> list[str]:
    """What a run changed in the architecture of its model."""
    return [
        override.lstrip("+").removeprefix("model.pipeline.")
        for override in record.overrides
        if override.lstrip("+").startswith("model.pipeline.")
    ]


def _kept_rows(path: Path) -> dict[str, list[str]]:
    """The rows of a table that was written before, by model."""
    rows: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == len(HEADINGS):
            rows[cells[0]] = cells
    return {model: cells for model, cells in rows.items() if model[0].islower()}


def _page(records: Sequence[RunRecord], kept: dict[str, list[str]]) -> str:
    first = records[0]
    trained = next(record.train for record in records if record.train is not None)
    busy = [r.model for r in records if Flag.busy_device in derive.flags(r)]
    note = f"* Other work ran beside {len(busy)} of the {len(records)} runs"
    note += " made last; the other rows may be of such runs, too." if kept else ": long times."
    versions = first.environment.packages
    about = ABOUT.format(
        hardware="; ".join(sorted({record.hardware for record in records})),
        software=", ".join(f"{name} {versions[name]}" for name in sorted(versions)),
        steps=trained.num_steps,
        batch=trained.batch_size,
        images="a picture" if first.dataset.images["val"] == 1 else "the pictures",
        measured=len(trained.compute_s),
        busy=note if busy else "",
    )
    right = [name not in (HEADINGS[0], HEADINGS[2], HEADINGS[-1]) for name in HEADINGS]
    by_model = kept | {escape(record.model): _row(record) for record in records}
    rows = [by_model[model] for model in sorted(by_model)]
    return f"{about.rstrip()}\n\n{table(HEADINGS, rows, right)}\n"


def _row(record: RunRecord) -> list[str]:
    values = derive.metrics(record)
    peaks = [u.peak_ram_bytes for u in record.usage.values() if u.peak_ram_bytes is not None]
    parameters = values.get("train/parameters")
    return [
        escape(record.model),
        "" if parameters is None else f"{parameters / 1e6:.2f}",
        escape(
            str(record.status) if record.reason is None else f"{record.status}: {record.reason}"
        ),
        *(
            _seconds(values.get(name))
            for name in ("train/build_s", "train/first_step_s", "train/step_s_mean")
        ),
        *(_seconds(values.get(f"{stage}/wall_s")) for stage in (Stage.eval, Stage.export)),
        f"{max(peaks) / 1e9:.1f}" if peaks else "",
        escape(", ".join(_changes(record))),
    ]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _write_parameters(path: Path, records: Sequence[RunRecord], update: bool) -> None:
    """Trainable parameters of the zoo's models, and the number of classes they were counted for."""
    counts: dict[str, tuple[str, str]] = {}
    if update:
        with path.open(encoding="utf-8", newline="") as file:
            counts = {
                row["name"]: (row["parameters"], row["classes"]) for row in csv.DictReader(file)
            }
    for record in records:
        trained = record.train
        if record.spec["model"]["zoo"] and trained is not None and trained.parameters:
            counts[record.model] = (str(trained.parameters), str(len(record.dataset.classes)))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "parameters", "classes"])
        for name in sorted(counts):
            writer.writerow([name, *counts[name]])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", help="run or sweep folders")
    parser.add_argument("--table", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--update", action="store_true", help="keep the rows of other models")
    parser.add_argument("--parameters", type=Path, help="CSV file to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
