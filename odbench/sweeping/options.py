"""The options of ``odbench run`` that are odbench's own; Hydra's parser does not know them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from odbench.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """How a sweep is gone on with."""

    dry_run: bool = False  # show the plan and run nothing
    as_json: bool = False  # the plan, for programs
    failed: bool = False  # also what failed before
    missing: bool = False  # nothing but what was never begun
    fail_fast: bool = False  # stop after the first failure
    new: bool = False  # whatever was done before

    def __post_init__(self) -> None:
        """Check what does not go together."""
        for one, other in (("failed", "missing"), ("new", "failed"), ("new", "missing")):
            if getattr(self, one) and getattr(self, other):
                raise ConfigError(
                    "these options contradict one another",
                    where="command line",
                    value=f"--{one} --{other}",
                    fix="give one of them",
                )
        if self.as_json and not self.dry_run:
            raise ConfigError(
                "only a plan is printed as JSON",
                where="command line",
                value="--json",
                fix="add --dry-run; of runs, odbench report --json prints the comparison",
            )


_FLAGS = {
    f"--{'json' if field.name == 'as_json' else field.name.replace('_', '-')}": field.name
    for field in dataclasses.fields(Options)
}

# What another start of the same sweep does not repeat.
_ONCE = ("--dry-run", "--json", "--failed", "--missing", "--new")


def take_options(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Our options, and the arguments that are left.

    Raises:
        ConfigError: Options that contradict one another.
    """
    given = {_FLAGS[a]: True for a in arguments if a in _FLAGS}
    return Options(**given), [a for a in arguments if a not in _FLAGS]


def lasting(arguments: Sequence[str]) -> list[str]:
    """The arguments by which the same sweep is gone on with."""
    return [a for a in arguments if a not in _ONCE]
