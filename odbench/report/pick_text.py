"""Choices in the terminal: the answer first, then a small table, then the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from odbench.report.flags import NOTES, marks
from odbench.report.labels import wrap
from odbench.report.pick import Candidate, Choice, Tie
from odbench.report.pick_metrics import Metric, metrics_table
from odbench.report.pick_misses import met
from odbench.report.pick_words import Training, exclusion_text, sentence
from odbench.report.text import DASH, significant
from odbench.report.variants import Variant
from odbench.results import Flag

# What a reader takes in; the rest is counted here and stands in the JSON.
_ROWS = 40
_OUT = 20
_NAMES = 8

_NAME_WIDTH = 22  # characters of a line of a run's name: the table fits 80 columns


def render_choices(choices: Sequence[Choice], training: Training | None) -> Stack:
    """Lay out one answer per group; fits 80 columns."""
    parts: list[RenderableType] = []
    if len(choices) > 1:
        parts.append(
            Text(
                f"{len(choices)} groups that are not comparable with each other; "
                "each is picked from for itself.\n"
            )
        )
    for number, choice in enumerate(choices, start=1):
        if len(choices) > 1:
            parts.append(Text(f"{number}: {choice.group.title}", style="underline"))
        parts += [Text(sentence(choice, training), style="bold"), _table(choice, training)]
        parts += [Text(f"- {line}") for line in _reasons(choice, training)]
        parts.append(Text(""))
    return Stack(*parts[:-1])


def _table(choice: Choice, training: Training | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("Run", no_wrap=True)
    for metric in choice.metrics:
        heading = metric.short.replace("_", " ")
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    if choice.preference.weights is not None:
        table.add_column("Score", justify="right")
    if training is not None:
        table.add_column("Training", justify="right", no_wrap=True)
    table.add_column("Verdict", min_width=9)  # of its longest word
    numbers = _numbers(choice)
    for candidate in choice.candidates[:_ROWS]:
        table.add_row(
            str(numbers[candidate.row.record.run_id]),
            Text("\n".join(wrap(candidate.row.label, _NAME_WIDTH))),
            *(_cell(metric, candidate) for metric in choice.metrics),
            *([] if choice.preference.weights is None else [_score(candidate)]),
            *([] if training is None else [_hours(training, candidate)]),
            _verdict(choice, candidate, numbers),
            style="bold" if candidate is choice.chosen else "" if candidate.competes else "dim",
        )
    return table


def _numbers(choice: Choice) -> dict[str, int]:
    return {c.row.record.run_id: number for number, c in enumerate(choice.candidates, start=1)}


def _cell(metric: Metric, candidate: Candidate) -> Text:
    value = candidate.values[metric.key]
    text = DASH if value is None else metric.show(value)
    marked = marks(metric.flags(candidate.row))
    return Text(f"{text} {marked}" if marked else text)


def _score(candidate: Candidate) -> str:
    return DASH if candidate.score is None else f"{candidate.score:.3f}"


def _hours(training: Training, candidate: Candidate) -> str:
    cost = training.of(candidate.row)
    if cost.hours is None:
        return DASH
    price = cost.cost(cost.hours)
    hours = f"{significant(cost.hours)} h"
    return hours if price is None else f"{hours}\n{significant(price)}"


def _verdict(choice: Choice, candidate: Candidate, numbers: dict[str, int]) -> str:
    if candidate is choice.chosen:
        return "chosen"
    if not candidate.competes:
        return "out"
    if candidate.dominated_by is not None:
        return f"dominated by {numbers[candidate.dominated_by.record.run_id]}"
    return "runner-up"


def _reasons(choice: Choice, training: Training | None) -> Iterator[str]:
    if len(choice.candidates) > _ROWS:
        yield f"{len(choice.candidates) - _ROWS} more rows: --json has them all."
    yield from _out(choice)
    yield from _dominance(choice)
    yield from _tests(choice)
    for entry in met(choice):
        yield f"{entry.constraint.text}: kept by {entry.kept} of {entry.of} runs."
    yield from _rule(choice)
    several = [c.row for c in choice.candidates if len(c.row.rows) > 1]
    if several:
        yield f"Means of repeats: {_listed([_repeats(variant) for variant in several])}."
    if training is not None:
        price = "" if training.price_per_hour is None else " and price"
        yield (
            f"Training: projected hours{price} of {training.steps:,} steps, from the mean measured "
            "step time with the 95 % interval of the mean: the steps alone, without building, "
            "tracing, checkpoints and evaluations."
        )
    yield from _legend(choice, training)


def _out(choice: Choice) -> Iterator[str]:
    out = [candidate for candidate in choice.candidates if not candidate.competes]
    for candidate in out[:_OUT]:
        reasons = dict.fromkeys(exclusion_text(e, candidate) for e in candidate.exclusions)
        yield f"Out: {candidate.row.label}: {'; '.join(reasons)}."
    if len(out) > _OUT:
        yield f"Out: {len(out) - _OUT} more, with their reasons in --json."


def _dominance(choice: Choice) -> Iterator[str]:
    if any(c.dominated_by is not None for c in choice.candidates):
        axes = ", ".join(metrics_table()[key].short for key in choice.candidates[0].values)
        yield f"Dominated: another run is as good or better in each of {axes}, as measured."


def _tests(choice: Choice) -> Iterator[str]:
    """One line for what was tested against the same run in the same metric, by result."""
    seen: dict[tuple[str, str, str], list[Tie]] = {}
    for tie in choice.ties:
        words = "not tested" if tie.tested.verdict is None else "tied" if tie.tied else "different"
        key = (tie.metric.key, words, tie.tested.method)
        seen.setdefault(key, []).append(tie)
    for (_, words, method), ties in seen.items():
        names = _listed([_tested(tie) for tie in ties])
        against = f"against {ties[0].reference.label}, {words}"
        yield f"On {ties[0].metric.short} {against} ({method}): {names}."


def _listed(names: Sequence[str]) -> str:
    """Join the first names and count the others."""
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _tested(tie: Tie) -> str:
    tested, metric = tie.tested, tie.metric
    if tested.low is None or tested.high is None:
        return tie.other.label
    values = [significant(x) for x in (tested.difference or 0.0, tested.low, tested.high)]
    unit = "" if metric.unit in (None, "0..1") else f" {metric.unit}"
    return f"{tie.other.label} ({values[0]}{unit}, 95 % interval {values[1]} to {values[2]})"


def _repeats(variant: Variant) -> str:
    ended = ", ".join(f"{count} {status}" for status, count in variant.statuses.items())
    return f"{variant.label} ({ended})"


def _rule(choice: Choice) -> Iterator[str]:
    preference = choice.preference
    if preference.weights is not None:
        yield f"Score: weighted geometric mean of ratios to the best ({preference.text})."
    for key, count in choice.unused.items():
        name = key.replace("/", "_")
        yield f"{name} breaks no ties: {count} of the competing runs have no clean value of it."
    if choice.allow_flagged:
        flagged = [c.row.label for c in choice.candidates if c.competes and c.flags]
        if flagged:
            yield f"Competing in spite of flags (--allow-flagged): {_listed(flagged)}."


def _legend(choice: Choice, training: Training | None) -> Iterable[str]:
    shown = {
        flag for c in choice.candidates for metric in choice.metrics for flag in metric.flags(c.row)
    }
    return [f"{marks([flag])} {NOTES[flag].meaning}." for flag in Flag if flag in shown]
