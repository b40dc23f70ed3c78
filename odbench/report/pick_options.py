"""Constraints and preferences, as they are given on the command line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from odbench.errors import InputError
from odbench.report.pick_metrics import Metric, find_metric
from odbench.report.quantities import parse_quantity


@dataclass(frozen=True)
class Constraint:
    """A bound that a run's metric must keep; the limit itself keeps it."""

    metric: Metric
    bound: Literal["min", "max"]
    limit: float  # in the metric's unit

    def gap(self, value: float) -> float:
        """How far a value is beyond the limit, in the metric's unit; 0 where it keeps it."""
        beyond = self.limit - value if self.bound == "min" else value - self.limit
        return max(0.0, beyond)

    def met(self, value: float) -> bool:
        """Whether a value keeps the limit."""
        return self.gap(value) == 0

    def relative_gap(self, value: float) -> float:
        """The gap as a share of the limit; of a limit of 0 without end."""
        gap = self.gap(value)
        if gap == 0:
            return 0.0
        return gap / self.limit if self.limit else math.inf

    @property
    def text(self) -> str:
        """As a condition, such as ``AP50 >= 0.500``."""
        sign = ">=" if self.bound == "min" else "<="
        return f"{self.metric.short} {sign} {self.metric.show(self.limit)}"


@dataclass(frozen=True)
class Preference:
    """What is wanted most: metrics in order of importance, or all at once by weight."""

    metrics: tuple[Metric, ...]
    weights: tuple[float, ...] | None = None  # as many, above 0; None: the first one decides

    @property
    def text(self) -> str:
        """As it is given, such as ``AP=2, latency_p50_ms=1``."""
        if self.weights is None:
            return ", then ".join(metric.short for metric in self.metrics)
        pairs = zip(self.metrics, self.weights, strict=True)
        return ", ".join(f"{metric.short}={weight:g}" for metric, weight in pairs)


def parse_constraints(minima: Iterable[str], maxima: Iterable[str]) -> tuple[Constraint, ...]:
    """Read the values of ``--min`` and ``--max``; several may stand in one, between commas.

    Raises:
        InputError: A metric or value that cannot be used, or bounds that exclude each other.
    """
    found = [_constraint(text, "min") for text in _parts(minima, "--min")]
    found += [_constraint(text, "max") for text in _parts(maxima, "--max")]
    for low in found:
        for high in found:
            same = low.metric == high.metric and (low.bound, high.bound) == ("min", "max")
            if same and low.limit > high.limit:
                raise InputError(
                    "no value can keep both constraints",
                    where=low.metric.key,
                    value=f"{low.text} and {high.text}",
                    fix="raise --max or lower --min",
                )
    return tuple(dict.fromkeys(found))


def parse_preference(texts: Sequence[str]) -> Preference:
    """Read the values of ``--prefer``: names in order of importance, or ``NAME=WEIGHT`` of all.

    Raises:
        InputError: A metric that cannot be used or comes twice, or a weight that is not above 0
            or is not given for all.
    """
    names, weights = [], []
    for part in _parts(texts, "--prefer"):
        name, equals, weight = part.partition("=")
        names.append(find_metric(name.strip(), "--prefer"))
        weights.append(_weight(weight, part) if equals else None)
    given = tuple(weight for weight in weights if weight is not None)
    if given and len(given) < len(names):
        raise InputError(
            "some have a weight and some have none",
            where="--prefer",
            value=", ".join(texts),
            allowed="AP (the order decides), or AP=2,latency_p50_ms=1 (a weight each)",
        )
    if not names or len(set(names)) < len(names):
        raise InputError("a metric must be named, once", where="--prefer", value=", ".join(texts))
    return Preference(tuple(names), given or None)


def _parts(texts: Iterable[str], option: str) -> list[str]:
    parts = [part.strip() for text in texts for part in text.split(",")]
    if not all(parts):
        raise InputError("an empty value", where=option, value=", ".join(texts))
    return parts


def _constraint(text: str, bound: Literal["min", "max"]) -> Constraint:
    option = f"--{bound}"
    name, equals, value = text.partition("=")
    if not equals:
        example = "AP50=0.5" if bound == "min" else "latency_p50_ms=40"
        raise InputError(
            "no value is given", where=option, value=text, allowed=f"NAME=VALUE, such as {example}"
        )
    metric = find_metric(name.strip(), option)
    return Constraint(metric, bound, parse_quantity(value, metric.unit, f"{option} {metric.key}"))


def _weight(text: str, part: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise InputError(
            "not a weight", where="--prefer", value=part, allowed="NAME=NUMBER, the number above 0"
        )
    return weight
