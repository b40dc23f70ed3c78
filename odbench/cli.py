"""The ``odbench`` command. Thin: every import of weight sits inside the command that needs it."""

from __future__ import annotations

import gc
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odbench import __version__
from odbench.compare_cli import compare
from odbench.data_cli import data_app
from odbench.errors import InputError
from odbench.pick_cli import pick
from odbench.pipeline_cli import pipeline_app
from odbench.report_cli import export_records, report, show_runs
from odbench.reporting import AsJson, debugging, print_json, reported
from odbench.sync_cli import sync
from odbench.zoo_cli import zoo_app

if TYPE_CHECKING:
    from odbench.ending import Outcome

app = typer.Typer(
    name="odbench",
    help="Which object-detection model should we use, on our data and our hardware?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="--debug, anywhere, shows the traceback of an error.",
)

# Hydra reads these arguments, its own options included.
_HYDRA = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

app.add_typer(data_app, name="data")
app.add_typer(zoo_app, name="zoo")
app.add_typer(pipeline_app, name="pipeline")
app.command()(pick)


@app.command(context_settings=_HYDRA, add_help_option=False)
@reported
def run(context: typer.Context) -> int:
    """Run one configuration, or with -m every combination: train, evaluate, export, time."""
    from odbench.launch import launch

    outcome = launch(context.args)
    if outcome is None:
        return 0
    if outcome.planned_only and outcome.sweep is not None:
        from odbench.sweeping.showing import plan_json, render_plan

        as_json = "--json" in context.args
        print_json(plan_json(outcome.sweep)) if as_json else typer.echo(render_plan(outcome.sweep))
        return 0
    return _conclude(outcome)


@app.command()
@reported
def resume(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs that were cut off.")],
) -> int:
    """Go on with interrupted, killed or failed runs, from their last checkpoints."""
    from odbench.resuming import resume as go_on

    return _conclude(go_on(folders))


@app.command()
@reported
def score(
    ground_truth: Annotated[Path, typer.Argument(help="COCO instances JSON.")],
    detections: Annotated[Path, typer.Argument(help="COCO results JSON.")],
    engine: Annotated[
        str, typer.Option(help="pycocotools (the reference) or faster_coco_eval.")
    ] = "pycocotools",
    iou_type: Annotated[
        str, typer.Option(help="What is scored: bbox, segm (masks) or keypoints.")
    ] = "bbox",
    as_json: AsJson = False,
) -> None:
    """Score detections by COCO's twelve numbers (of keypoints ten) and AP per class."""
    from odbench.config.spec import ScoringEngine
    from odbench.evaluation.coco import score_files
    from odbench.evaluation.names import IouType
    from odbench.evaluation.text import render_scores, scores_to_json

    names = [member.name for member in ScoringEngine]
    if engine not in names:
        raise InputError("no such engine", where="--engine", value=engine, allowed=", ".join(names))
    kinds = [member.value for member in IouType]
    if iou_type not in kinds:
        raise InputError(
            "no such thing to score", where="--iou-type", value=iou_type, allowed=", ".join(kinds)
        )
    scores = score_files(ground_truth, detections, ScoringEngine[engine], IouType(iou_type))
    print_json(scores_to_json(scores)) if as_json else typer.echo(render_scores(scores))


app.command()(report)
app.command()(compare)
app.command("export-records")(export_records)
app.command()(sync)


@app.command()
@reported
def doctor(as_json: AsJson = False) -> int:
    """Check this machine: packages, device, TensorFlow and the API, folders, tools."""
    from odbench.doctor import diagnose, render

    checks = diagnose()
    if as_json:
        print_json({"ok": all(c.ok for c in checks), "checks": [c.as_json() for c in checks]})
    else:
        render(checks)
    return 0 if all(c.ok for c in checks) else 1


@app.command()
@reported
def ui(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Where the store is: paths.runs_dir=PATH or tracking.uri=URI."),
    ] = None,
    port: Annotated[int, typer.Option(help="On 127.0.0.1.", min=1, max=65535)] = 5000,
) -> int:
    """Open the MLflow UI on the runs' store, at 127.0.0.1."""
    from odbench.config.compose import compose_spec
    from odbench.tracking.store import tracking_uri
    from odbench.tracking.ui import PAGE, serve_ui

    spec = compose_spec(overrides or [])
    return serve_ui(
        tracking_uri(spec),
        port,
        lambda address: typer.echo(f"{address}/{PAGE} (Ctrl-C ends it)"),
    )


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show and end.")
    ] = False,
) -> None:
    """Measure object-detection models: train, evaluate, export, time, track, compare."""


def _conclude(outcome: Outcome) -> int:
    """Say what runs came to; their exit code."""
    show_runs(outcome.runs, outcome.report)
    if outcome.sweep is not None:
        from odbench.sweeping.showing import render_states

        typer.echo(render_states(outcome.sweep), err=True)
    if outcome.stopped:
        typer.echo(f"odbench: stopped before its end: {outcome.stopped}", err=True)
    if outcome.lost:
        typer.echo(f"odbench: {outcome.lost} of the runs left no record", err=True)
    if outcome.not_started:
        were = "was" if outcome.not_started == 1 else "were"
        typer.echo(f"odbench: {outcome.not_started} of the runs {were} not started", err=True)
    for command in _going_on(outcome):
        typer.echo(f"odbench: to go on: {command}", err=True)
    if outcome.unreported:
        typer.echo(f"odbench: no report: {outcome.unreported}", err=True)
    for reason in dict.fromkeys(outcome.untracked):
        typer.echo(f"odbench: measured and on disk, but not tracked: {reason}", err=True)
    if outcome.unsent:
        missing = shlex.join(map(str, dict.fromkeys(outcome.unsent)))
        typer.echo(f"odbench: when the store is back: odbench sync {missing}", err=True)
    return outcome.exit_code


def _going_on(outcome: Outcome) -> list[str]:
    """The commands that do what is left to do."""
    if outcome.goes_on_by is not None:
        again = [outcome.goes_on_by] if outcome.lost or outcome.not_started else []
        if outcome.interrupted:
            again = [outcome.goes_on_by]
        return [f"{outcome.goes_on_by} --failed"] if outcome.failed and not again else again
    cut_off = [run.dir for run in outcome.runs if run.record.status == "interrupted"]
    return [f"odbench resume {shlex.quote(str(folder))}" for folder in cut_off]


def main() -> None:
    """Entry point of the command."""
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        app(args=arguments, prog_name="odbench")
    except BrokenPipeError:
        sys.exit(141)  # the reader of our output has gone, as `| head` does
    except Exception as error:
        if debugging():
            raise
        typer.echo(
            f"odbench: internal error: {type(error).__name__}: {error}\n"
            "  do:      run the command again with --debug and report what it shows",
            err=True,
        )
        sys.exit(1)
    finally:
        gc.freeze()  # the process ends: nothing is gone through once more
