"""How every command ends: its exit code, an error as one message, JSON as the only output."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec

import typer

from odbench.errors import OdbenchError

P = ParamSpec("P")

# Of more runs neither a table nor their folders are printed: the report has them.
MOST_SHOWN = 100

PIPE_WIDTH = 200  # columns of a table in a pipe or a file

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def debugging() -> bool:
    """Whether the traceback of an error is wanted."""
    return "--debug" in sys.argv


def reported(command: Callable[P, int | None]) -> Callable[P, None]:
    """End a command with its exit code; an error of ours is one message, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except OdbenchError as error:
            if debugging():
                raise
            notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", []))
            typer.echo(f"odbench: {error}{notes}", err=True)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            raise
        except OSError as error:  # a full disk, a folder that went away
            if debugging():
                raise
            typer.echo(f"odbench: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("odbench: interrupted", err=True)
            raise typer.Exit(130) from None
        raise typer.Exit(code or 0)

    return wrapped


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_json(body: Any) -> None:
    """Write JSON on standard output."""
    sys.stdout.write(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
