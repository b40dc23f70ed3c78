"""``odbench pipeline``: print, check and compare ``pipeline.config``. Thin, as ``cli.py``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from odbench.errors import ConfigError, InputError, PipelineError
from odbench.reporting import AsJson, counted, print_json, reported

if TYPE_CHECKING:
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

    from odbench.config.spec import RunSpec
    from odbench.pipeline.diff import FieldChange
    from odbench.pipeline.lint import LintReport

DIFFERENT = 1  # exit code of a diff that found something; what cannot be compared ends with 2
_HELP = ("--help",)


class _PrintByDefault(TyperGroup):
    """A group whose command is ``print`` where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``print`` before arguments that name no command."""
        if not args or (args[0] not in self.commands and args[0] not in _HELP):
            args = ["print", *args]
        return super().parse_args(ctx, args)


pipeline_app = typer.Typer(
    cls=_PrintByDefault,
    help="The pipeline.config of a run: odbench pipeline model=NAME KEY=VALUE ... prints it.",
    rich_markup_mode=None,
)

# Hydra reads these arguments.
_HYDRA = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["--help"]}

Base = Annotated[
    bool, typer.Option("--base", help="The model's own configuration, without the run's edits.")
]


@pipeline_app.command("print", context_settings=_HYDRA)
@reported
def print_(context: typer.Context, base: Base = False) -> None:
    """Print the pipeline.config of a run: odbench pipeline model=NAME KEY=VALUE ..."""
    from odbench.pipeline.build import PipelineConfig

    sys.stdout.write(PipelineConfig(_composed(context.args, base=base), []).text)


@pipeline_app.command()
@reported
def lint(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE | RUN_DIR | KEY=VALUE ...]",
            help="A pipeline.config, a run folder, or what a run would be told.",
        ),
    ] = None,
    replicas: Annotated[int, typer.Option(help="Devices that share a batch.", min=1)] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="A warning is an error.")] = False,
    as_json: AsJson = False,
) -> int:
    """List what is wrong with a pipeline.config. Exit code 2: it cannot be trained as it is."""
    report = _lint(what or [], replicas)
    print_json(report.as_json()) if as_json else _show_lint(report)
    refused = report.errors or (strict and report.findings)
    return PipelineError.exit_code if refused else 0


@pipeline_app.command()
@reported
def diff(
    old: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A pipeline.config, a run folder, the name of a model, or KEY=VALUE of a run, "
            "several in one argument: 'model=NAME train.batch_size=4'.",
        ),
    ],
    new: Annotated[
        str | None,
        typer.Argument(
            metavar="B",
            help="The same. Without it, A is a run, compared with its model's own configuration.",
        ),
    ] = None,
    base: Base = False,
    as_json: AsJson = False,
) -> int:
    """List the fields that differ. Exit code 0: none, 1: some, 2: they cannot be compared."""
    from odbench.pipeline.diff import diff_protos

    if new is None:
        changes = diff_protos(*_run_and_base(old))
    else:
        changes = diff_protos(_operand(old, base=base), _operand(new, base=base))
    if as_json:
        print_json({"same": not changes, "changes": [change.as_json() for change in changes]})
    else:
        _show_diff(changes)
    return DIFFERENT if changes else 0


def _lint(what: Sequence[str], replicas: int) -> LintReport:
    from odbench.pipeline.lint import LintReport, lint_file, lint_proto
    from odbench.pipeline.lint_types import LintContext

    if what and (Path(what[0]).exists() or not any("=" in item for item in what)):
        if len(what) > 1:
            raise InputError(
                "one configuration at a time", where="pipeline lint", value=" ".join(what)
            )
        path = Path(what[0])
        context = LintContext(replicas, of_run=_is_run(path))
        return lint_file(_config_file(path), context)
    context = LintContext(replicas, of_run=True)
    source = " ".join(what) or "the default run"
    return LintReport(source, lint_proto(_composed(what, base=False), context))


def _composed(overrides: Sequence[str], *, base: bool) -> TrainEvalPipelineConfig:
    """What a run would use, or its model's own configuration."""
    from odbench.config.compose import compose_spec

    return _of_spec(compose_spec(overrides), base=base)


def _of_spec(spec: RunSpec, *, base: bool) -> TrainEvalPipelineConfig:
    from odbench.job import prepare
    from odbench.pipeline.build import base_proto

    return base_proto(spec.model) if base else prepare(spec).pipeline.proto


def _operand(text: str, *, base: bool) -> TrainEvalPipelineConfig:
    """A side of a diff: a path, the name of a model, or overrides."""
    from odbench.pipeline.read import read_pipeline

    path = Path(text)
    if path.exists():
        return read_pipeline(_config_file(path))
    if "=" in text:
        return _composed(_split(text), base=base)
    if "/" not in text and text in _model_names():
        return _composed([f"model={text}"], base=True)
    raise InputError(
        "neither a file, nor a run folder, nor the name of a model",
        where="pipeline diff",
        value=text,
        fix="names are listed by odbench run --help; overrides are KEY=VALUE",
    )


def _run_and_base(text: str) -> tuple[TrainEvalPipelineConfig, TrainEvalPipelineConfig]:
    """The configuration of a run's model, and the run's."""
    from odbench.config.compose import compose_spec
    from odbench.jobfile import CONFIG_FILE
    from odbench.pipeline.read import read_pipeline

    path = Path(text)
    if path.exists():
        if not _is_run(path):
            raise InputError(
                f"no run folder: there is no {CONFIG_FILE} in it to say which model it is of",
                where=text,
                fix="give a run folder, or a second configuration",
            )
        return _of_spec(_spec_of(path), base=True), read_pipeline(_config_file(path))
    if "=" not in text:
        raise InputError(
            "nothing to compare it with",
            where="pipeline diff",
            value=text,
            allowed="a run folder or KEY=VALUE alone, else two configurations",
        )
    spec = compose_spec(_split(text))
    return _of_spec(spec, base=True), _of_spec(spec, base=False)


def _spec_of(run_dir: Path) -> RunSpec:
    from omegaconf import DictConfig, OmegaConf
    from yaml import YAMLError

    from odbench.config.compose import to_spec
    from odbench.jobfile import CONFIG_FILE

    path = run_dir / CONFIG_FILE
    try:
        config = OmegaConf.load(path)
    except YAMLError as error:
        raise ConfigError("not a configuration", where=str(path), value=error) from error
    if not isinstance(config, DictConfig):
        raise ConfigError("not a configuration", where=str(path))
    return to_spec(config)


def _is_run(path: Path) -> bool:
    from odbench.jobfile import CONFIG_FILE

    return (path / CONFIG_FILE).is_file()


def _config_file(path: Path) -> Path:
    """The pipeline.config of a run folder; a file as it is."""
    from odbench.jobfile import PIPELINE_FILE

    return path / PIPELINE_FILE if path.is_dir() else path


def _model_names() -> list[str]:
    from odbench.config.register import data_dir

    return [path.stem for path in data_dir("conf").glob("model/*.yaml")]


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(
            f"cannot take it apart: {error}", where="overrides", value=text
        ) from error


def _show_lint(report: LintReport) -> None:
    for finding in report.findings:
        line = f":{finding.line}" if finding.line is not None else ""
        place = f"{report.source}{line}" if line else ""
        where = ": ".join(part for part in (place, finding.path) if part)
        value = "" if finding.value is None else f" = {_brief(finding.value)}"
        typer.echo(f"{finding.severity.value}: {where}{value}: {finding.what}")
        typer.echo(f"  do:      {finding.fix}")
    counts = counted(len(report.errors), "error"), counted(len(report.warnings), "warning")
    typer.echo(", ".join(counts))


def _show_diff(changes: Sequence[FieldChange]) -> None:
    from rich.console import Console
    from rich.text import Text

    if not changes:
        typer.echo("no difference")
        return
    rows = []
    for change in changes:
        was = "" if change.old_path is None else f" (was {change.old_path})"
        old, new = _side(change.old, change.old_set), _side(change.new, change.new_set)
        rows.append((change.path + was, old, new))
    width = max(len(path) for path, _, _ in rows)
    console = Console()
    for path, old, new in rows:
        text = Text.assemble((f"{path:<{width}}  ", "bold"), (old, "red"), " -> ", (new, "green"))
        console.print(text, soft_wrap=True)  # a path that is folded cannot be searched for


def _side(value: Any, is_set: bool) -> str:
    if is_set:
        return _brief(value)
    return "not set" if value is None else f"{_brief(value)} (default)"


def _brief(value: Any) -> str:
    """A value as in JSON; text without quotes, and nothing where it is empty."""
    import json

    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
