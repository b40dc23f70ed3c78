"""How validity flags are marked beside a number, and what each of them tells a reader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from odbench.results import Flag


@dataclass(frozen=True)
class FlagNote:
    """The mark of a flag, one letter, and its meaning."""

    mark: str
    meaning: str


NOTES: dict[Flag, FlagNote] = {
    Flag.projection: FlagNote(
        "p",
        "the 1000-step train time is projected from fewer measured steps; the interval holds the "
        "total with 95 % confidence",
    ),
    Flag.few_samples: FlagNote("n", "too few latency samples for a p99, so none is given"),
    Flag.partial_eval: FlagNote(
        "e", "not every image of the set was evaluated exactly once, so there is no AP"
    ),
    Flag.busy_device: FlagNote("b", "other processes used the machine meanwhile: times are high"),
    Flag.stolen_cpu: FlagNote(
        "h", "a virtual machine whose host kept cores back meanwhile: times are high"
    ),
    Flag.throttled: FlagNote("t", "the device lowered its clocks meanwhile: times are high"),
    Flag.checkpoint_in_window: FlagNote(
        "c", "a checkpoint was written between the timed train steps"
    ),
    Flag.eval_in_window: FlagNote(
        "v", "an evaluation on the way came between the timed train steps"
    ),
    Flag.resumed: FlagNote(
        "m", "interrupted and resumed: trained in parts, each with its own order of pictures"
    ),
    Flag.batch_shrunk: FlagNote("s", "a smaller batch was run than was asked for"),
    Flag.diverged: FlagNote("d", "a train loss was not finite"),
    Flag.side_by_side: FlagNote(
        "o", "other runs could use the device at the same time, as runtime.side_by_side allowed"
    ),
    Flag.replayed: FlagNote("r", "played back for a trial of the program: nothing was measured"),
}


# Something else had part of the device: every time measured then is high.
SLOWED = frozenset({Flag.busy_device, Flag.stolen_cpu, Flag.throttled, Flag.side_by_side})


def marks(flags: Iterable[Flag]) -> str:
    """Write the marks of those flags, such as ``[b][t]``."""
    return "".join(f"[{NOTES[flag].mark}]" for flag in flags)
