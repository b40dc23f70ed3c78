"""The question that a report answers, and its answer: what comes before every table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from odbench.report.comparison import Comparison, Group
from odbench.report.differences import difference
from odbench.report.pick import Candidate, Choice, Tie, pick_each
from odbench.report.pick_metrics import Metric, metrics_table
from odbench.report.pick_options import Constraint, Preference, parse_preference
from odbench.report.pick_words import Training, exclusion_text, sentence

# What tells a model from another at a glance, beside what was asked for.
_AT_A_GLANCE = ("eval/AP", "latency/p50_ms", "train/time_1000_steps_s", "export/size_bytes")

MAX_ALTERNATIVES = 4
MAX_REASONS = 5


@cache
def _highest_ap() -> Preference:
    return parse_preference(["AP"])


@dataclass(frozen=True)
class Question:
    """What is asked: the run that keeps every constraint and is best in what is preferred."""

    constraints: tuple[Constraint, ...] = ()
    preference: Preference | None = None  # None: the highest AP
    training: Training | None = None  # whose projection is asked for
    price_per_hour: float | None = None  # of the machine
    allow_flagged: bool = False

    @property
    def preferred(self) -> Preference:
        """What decides."""
        return self.preference or _highest_ap()

    @property
    def text(self) -> str:
        """The question in words, such as ``Which model has the highest AP ...?``."""
        preferred = self.preferred
        if preferred.weights is not None:
            wanted = f"is best by {preferred.text}, weighed"
        else:
            first, *others = preferred.metrics
            extreme = "highest" if first.better == "higher" else "lowest"
            wanted = f"has the {extreme} {first.short}"
            wanted += "".join(f", then {metric.short}" for metric in others)
        kept = " and ".join(constraint.text for constraint in self.constraints)
        return f"Which model {wanted}{f' and keeps {kept}' if kept else ''}?"


@dataclass(frozen=True)
class Answer:
    """What to take in one group of comparable runs."""

    choice: Choice
    sentence: str  # with the why, ties named

    @property
    def group(self) -> Group:
        """The runs it was chosen from."""
        return self.choice.group

    @property
    def chosen(self) -> Candidate | None:
        """What to take, None where nothing competes."""
        return self.choice.chosen

    @property
    def metrics(self) -> list[Metric]:
        """What was asked for, and what else a reader looks at first."""
        table = metrics_table()
        asked = [*self.choice.metrics, *(table[key] for key in _AT_A_GLANCE)]
        return list(dict.fromkeys(asked))

    @property
    def alternatives(self) -> tuple[Candidate, ...]:
        """Those nearest to it: tied ones first, then the others that nothing dominates."""
        tied = {id(tie.other) for tie in self.choice.ties if tie.tied}
        front = [c for c in self.choice.runners_up if c.dominated_by is None or id(c.row) in tied]
        ordered = sorted(front, key=lambda candidate: id(candidate.row) not in tied)
        return tuple(ordered[:MAX_ALTERNATIVES])

    def tie_with(self, candidate: Candidate) -> Tie | None:
        """The first test that showed no difference between it and the chosen one."""
        chosen = self.chosen
        sides = {id(candidate.row), id(chosen.row) if chosen else None}
        return next(
            (
                tie
                for tie in self.choice.ties
                if tie.tied and {id(tie.reference), id(tie.other)} == sides
            ),
            None,
        )

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """The first runs that do not compete, each with its reasons."""
        out = [candidate for candidate in self.choice.candidates if not candidate.competes]
        return [
            (c.row.label, "; ".join(dict.fromkeys(exclusion_text(e, c) for e in c.exclusions)))
            for c in out[:MAX_REASONS]
        ]

    @property
    def left_out_count(self) -> int:
        """How many runs do not compete."""
        return sum(not candidate.competes for candidate in self.choice.candidates)


def answer_of(comparison: Comparison, question: Question) -> list[Answer]:
    """Answer the question in each group for itself, never across."""
    choices = pick_each(
        comparison,
        question.constraints,
        question.preferred,
        test=difference,
        allow_flagged=question.allow_flagged,
    )
    return [Answer(choice, sentence(choice, question.training)) for choice in choices]
