"""Values with units as people write them: ``50MB``, ``40ms``, ``20min``, ``50%``, ``3M``."""

from __future__ import annotations

import math
import re

from odbench.errors import InputError
from odbench.report.text import significant

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
# kB to TB count by 1000, as the columns of the report do; KiB to TiB by 1024.
_BYTES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12} | {
    f"{letter}iB": 1024.0**power for power, letter in enumerate("KMGT", start=1)
}
_JOULES = {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "Wh": 3600.0, "kWh": 3.6e6}

# What may stand behind a number, and how much of the metric's own unit it is.
_ACCEPTED: dict[str | None, dict[str, float]] = {
    "s": _SECONDS,
    "ms": {name: seconds * 1e3 for name, seconds in _SECONDS.items()},
    "bytes": {"bytes": 1.0, **_BYTES},
    "J": _JOULES,
    "0..1": {"%": 0.01},
    "images/s": {"images/s": 1.0, "/s": 1.0},
    None: {"k": 1e3, "M": 1e6, "G": 1e9},
}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


def parse_quantity(text: str, unit: str | None, where: str) -> float:
    """Read a number that may have a unit behind it.

    Args:
        text: Such as ``50MB``; without a unit it is in ``unit``.
        unit: As :func:`odbench.report.columns.unit` gives it, None for a count.
        where: For the error: the option and the metric.

    Returns:
        The number in ``unit``, finite and not negative; 0 to 1 where the unit is ``0..1``.

    Raises:
        InputError: Not a number, a unit of another kind, or out of range.
    """
    accepted = _ACCEPTED[unit]
    found = _QUANTITY.fullmatch(text)
    factor = None
    if found is not None:
        factor = accepted.get(found[2]) if found[2] else 1.0
    if found is None or factor is None:
        raise InputError(
            "not a number with a unit that fits",
            where=where,
            value=text,
            allowed=f"a number alone ({unit or 'a count'}), or with one of {', '.join(accepted)}",
        )
    value = float(found[1]) * factor
    highest = 1.0 if unit == "0..1" else math.inf
    if not (math.isfinite(value) and 0 <= value <= highest):
        raise InputError(
            "out of range",
            where=where,
            value=text,
            allowed="0 to 1, or 0% to 100%" if unit == "0..1" else "0 or more",
        )
    return value


def show_quantity(value: float, unit: str | None) -> str:
    """Write a value for people: bytes in MB, counts in millions where they are that large."""
    if unit == "0..1":
        return f"{value:.3f}"
    if unit == "bytes":
        return f"{significant(value / 1e6)} MB"
    if unit is None:
        return f"{significant(value / 1e6)} million" if value >= 1e5 else significant(value)
    return f"{significant(value)} {unit}"
