"""The space of a search, in Hydra's own grammar: ``choice``, ``range``, ``interval``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from odbench.config.compose import open_overrides
from odbench.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = float | int | str | bool | None


@dataclass(frozen=True)
class Space:
    """What a search varies, and what all its trials have in common."""

    fixed: list[str]  # overrides
    distributions: dict[str, BaseDistribution]  # by key
    texts: dict[str, dict[Value, str]] = field(default_factory=dict)  # of choices, as given

    def overrides(self, params: Mapping[str, Value]) -> list[str]:
        """The overrides of a trial."""
        own = [f"{key}={self._text(key, value)}" for key, value in params.items()]
        return [*self.fixed, *own]

    def samples(self) -> list[list[str]]:
        """Overrides of a few trials that have every choice and both ends of every range."""
        ends = {key: _ends(drawn) for key, drawn in self.distributions.items()}
        return [
            self.overrides({key: values[min(n, len(values) - 1)] for key, values in ends.items()})
            for n in range(max(map(len, ends.values())))
        ]

    def _text(self, key: str, value: Value) -> str:
        return self.texts[key][value] if key in self.texts else repr(value)


def _ends(drawn: Any) -> list[Value]:
    return list(drawn.choices) if hasattr(drawn, "choices") else [drawn.low, drawn.high]


def read_space(parser: OverridesParser, params: Mapping[str, str], given: Sequence[str]) -> Space:
    """The space of ``hydra.sweeper.params`` and the command line, which wins.

    Raises:
        ConfigError: There is nothing to search, or an interval is none.
    """
    lines = open_overrides([f"{key}={value}" for key, value in params.items()])
    overrides = {o.get_key_element(): o for o in parser.parse_overrides([*lines, *given])}
    space = Space([], {})
    for key, override in overrides.items():
        if not override.is_sweep_override():
            space.fixed.append(f"{key}={override.get_value_element_as_str()}")
        elif override.is_discrete_sweep() and not override.is_range_sweep():
            _add_choices(space, key, override)
        else:
            space.distributions[key] = _numbers(key, override)
    if not space.distributions:
        raise ConfigError(
            "there is nothing to search",
            where="hydra.sweeper.params",
            allowed="KEY: interval(LOW, HIGH), tag(log, interval(LOW, HIGH)), int(interval(1, 9)), "
            "range(LOW, END, STEP) or choice(A, B), also on the command line",
        )
    return space


def _add_choices(space: Space, key: str, override: Override) -> None:
    from optuna.distributions import CategoricalDistribution

    texts = list(override.sweep_string_iterator())
    values: list[Value] = list(texts)
    if override.is_choice_sweep():
        given: Any = override.value()
        if all(isinstance(value, bool | int | float) for value in given.list):
            values = list(given.list)
    space.texts[key] = dict(zip(values, texts, strict=True))
    space.distributions[key] = CategoricalDistribution(values)


def _numbers(key: str, override: Override) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    sweep: Any = override.value()
    log = "log" in sweep.tags
    try:
        if isinstance(sweep, RangeSweep) and _whole(sweep.start, sweep.stop, sweep.step):
            return IntDistribution(sweep.start, sweep.stop - 1, log=log, step=sweep.step)
        if isinstance(sweep, RangeSweep):
            return FloatDistribution(sweep.start, sweep.stop, log=log, step=sweep.step)
        if isinstance(sweep, IntervalSweep) and _whole(sweep.start, sweep.end):
            return IntDistribution(sweep.start, sweep.end, log=log)
        return FloatDistribution(sweep.start, sweep.end, log=log)
    except ValueError as error:
        raise ConfigError(
            f"nothing can be drawn from it: {error}", where=key, value=override.input_line
        ) from error


def _whole(*values: object) -> bool:
    return all(isinstance(value, int) for value in values)
