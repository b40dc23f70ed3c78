"""The errors of odbench, and the exit code that each kind ends a command with.

::

    OdbenchError                    1   anything that odbench itself reports
    +-- InputError                  2   what the user gave cannot be used
    |   +-- ConfigError             2   a configuration key, value or combination
    |   +-- DatasetError            2   pictures, annotations, records
    |   +-- PipelineError           2   a field of pipeline.config
    |   +-- EvaluationError         2   ground truth or detections that cannot be scored
    |   +-- ZooError                2   a model of the zoo, or its checkpoint, that cannot be used
    +-- RunError                    1   a run that was started and did not end well
    |   +-- OutOfMemoryError        1   host or device memory
    +-- TrackingError               1   the MLflow store
    |   +-- TrackingInputError      2   the store that was named cannot be one (an InputError too)
    +-- DownloadError               1   a transfer that did not come to its end

An error says what is wrong, where (file and line, or configuration path), the value, what is
allowed, and what to do. The parts are given apart, so that every message has the same shape.
"""

from __future__ import annotations


class OdbenchError(Exception):
    """Base of every error that odbench reports without a traceback.

    Args:
        what: One sentence: what is wrong.
        where: File (with line) or configuration path.
        value: The offending value, shown as given.
        allowed: What would have been accepted.
        fix: What to do about it.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        value: object = None,
        allowed: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.value = value
        self.allowed = allowed
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.value is not None:
            lines.append(f"  value:   {self.value}")
        if self.allowed is not None:
            lines.append(f"  allowed: {self.allowed}")
        if self.fix is not None:
            lines.append(f"  do:      {self.fix}")
        return "\n".join(lines)


class InputError(OdbenchError):
    """What the user gave cannot be used; nothing was started."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration key, value or combination of values."""


class DatasetError(InputError):
    """Pictures, annotations or records that cannot be used."""


class PipelineError(InputError):
    """A field of ``pipeline.config``."""


class EvaluationError(InputError):
    """Ground truth or detections that cannot be scored."""


class ZooError(InputError):
    """A model of the zoo, or its checkpoint, that is not there or cannot be used."""


class RunError(OdbenchError):
    """A run that was started and did not end well."""


class OutOfMemoryError(RunError):
    """Host or device memory ran out."""


class TrackingError(OdbenchError):
    """The MLflow store cannot be read or written."""


class TrackingInputError(TrackingError, InputError):
    """What was named is no MLflow store, or not one for this command."""


class DownloadError(OdbenchError):
    """A transfer that did not come to its end."""
