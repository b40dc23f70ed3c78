"""What a full training would take and cost, from the steps that were measured."""

from __future__ import annotations

from dataclasses import dataclass

from odbench.measure.comparing import block_means, repeated
from odbench.report.variants import Variant

BLOCKS = 20
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class TrainingCost:
    """A projection: the mean step time, scaled. None where no step was measured.

    ``low`` and ``high`` are those of the mean step time, with 95 % confidence by Student's t over
    the means of the repeats, or of a single run over means of consecutive blocks, since steps that
    follow on each other are alike; None where fewer than two steps were measured. The steps alone:
    without building, tracing, checkpoints and evaluations.
    """

    steps: int
    measured_steps: int
    hours: float | None
    hours_low: float | None
    hours_high: float | None
    price_per_hour: float | None = None

    def cost(self, hours: float | None) -> float | None:
        """The price of so many hours, None where either is not known."""
        return None if hours is None or self.price_per_hour is None else hours * self.price_per_hour


def training_cost(
    variant: Variant, steps: int, price_per_hour: float | None = None
) -> TrainingCost:
    """Project the time of ``steps`` train steps of a variant's own batch size."""
    trains = [row.record.train for row in variant.counted]
    runs = [train.step_s for train in trains if train is not None]
    several = len(runs) > 1
    means = variant.values(("train/step_s_mean",))
    step = repeated(means if several else block_means(runs[0] if runs else [], BLOCKS))
    mean = variant.metrics.get("train/step_s_mean")
    half = None if step.high is None or step.mean is None else step.high - step.mean
    share = steps / SECONDS_PER_HOUR
    return TrainingCost(
        steps=steps,
        measured_steps=sum(map(len, runs)),
        hours=None if mean is None else mean * share,
        hours_low=None if mean is None or half is None else max(0.0, mean - half) * share,
        hours_high=None if mean is None or half is None else (mean + half) * share,
        price_per_hour=price_per_hour,
    )
