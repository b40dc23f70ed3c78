"""How values are written: numbers, shortened texts, and what stands for no value."""

from __future__ import annotations

import math

DASH = "\u2013"  # no value (an en dash): never shown as 0


def decimals(value: float, digits: int) -> int:
    """Count the decimals that show so many significant digits of a value, at most 5."""
    if value == 0:
        return 0
    return min(5, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, and never less than its whole part."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{decimals(value, digits)}f}"


def interval(value: float, low: float, high: float) -> tuple[str, str]:
    """Write a value and the interval with decimals enough to read off the interval's width."""
    half = (high - low) / 2
    places = decimals(value, 3)
    if half > value * 1e-5:  # below that it is rounding, as of samples that are all equal
        places = max(places, decimals(half, 1))
    return f"{value:.{places}f}", f"{low:.{places}f}{DASH}{high:.{places}f}"


def shorten(text: str, length: int) -> str:
    """Cut a text to its first line and to a length, with an ellipsis."""
    lines = text.strip().splitlines()
    first = lines[0].strip() if lines else ""
    return first if len(first) <= length else first[: length - 1].rstrip() + "…"
