"""What a rule of the linter is given and what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig


class Severity(Enum):
    """``error``: it does not train, or trains something else; ``warning``: it may be meant."""

    error = "error"
    warning = "warning"


@dataclass(frozen=True)
class LintFinding:
    """One thing that is wrong.

    Attributes:
        rule: Name of the rule's function.
        path: Of the field, as in :mod:`odbench.pipeline.fields`.
        value: As it is in the file; None where it is not set.
        what: What is wrong.
        fix: What to do about it.
        line: In the file, from 1; None where the rule saw the message alone.
    """

    rule: str
    path: str
    value: Any
    what: str
    fix: str
    severity: Severity = Severity.error
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"severity": self.severity.value}


@dataclass(frozen=True)
class LintContext:
    """What a rule must know beside the message.

    Attributes:
        replicas: Devices that share a batch.
        of_run: odbench made it for a run: what the run replaces anyhow is not worth a word.
    """

    replicas: int = 1
    of_run: bool = False


Rule = Callable[[TrainEvalPipelineConfig, LintContext], Iterator[LintFinding]]

# PATH_TO_BE_CONFIGURED, which one published file spells otherwise
PLACEHOLDER = re.compile(r"PATH_TO_\w*CONFIGURED")


def is_local(path: str) -> bool:
    """Whether a path can be looked up here: neither a placeholder nor an address."""
    return bool(path) and not PLACEHOLDER.search(path) and "://" not in path
