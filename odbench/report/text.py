"""How values are written: numbers, shortened texts, and what stands for no value."""

from __future__ import annotations

import math

DASH = "\u2013"  # no value (an en dash): never shown as 0


def decimals(value: float, digits: int) -> int:
    """Count the decimals that show so many significant digits of a value, at most 4."""
    if value == 0:
        return 0
    return min(4, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, and never less than its whole part."""
    if value == 0:
        return "0"
    text = f"{value:.{decimals(value, digits)}f}"
    return text if float(text) else f"{value:.1e}"


def interval(value: float, low: float, high: float) -> tuple[str, str]:
    """Write a value and the interval with decimals enough to read off the interval's width."""
    places = max(decimals(value, 3), decimals((high - low) / 2, 1))
    return f"{value:.{places}f}", f"{low:.{places}f}{DASH}{high:.{places}f}"


def shorten(text: str, length: int) -> str:
    """Cut a text to its first line and to a length, with an ellipsis."""
    lines = text.strip().splitlines()
    first = lines[0].strip() if lines else ""
    return first if len(first) <= length else first[: length - 1].rstrip() + "…"
