"""What is published of the models of a group, beside what was measured; never in a ranking."""

from __future__ import annotations

from dataclasses import dataclass

from odbench.report.comparison import Group
from odbench.report.markup import escape, table
from odbench.report.once import once
from odbench.report.text import DASH, significant
from odbench.report.variants import Variant, variants
from odbench.zoo.catalogue import PUBLISHED, catalogue

_ZOO = f"Published: AP on COCO 2017 val and milliseconds, {PUBLISHED}."
_P100 = (
    "Seconds of 1000 train steps are published of the TF1 zoo's model of the same architecture, "
    "on an NVIDIA Tesla P100; input size, batch size, data and software are not stated, and may "
    "all differ: an order of magnitude, no comparison."
)

# 1000 train steps on a Tesla P100 in seconds, by how names of the TF2 zoo begin; of each the TF1
# model that was timed. The other TF1 models that were have no relative here.
_TRAIN_S = {
    "ssd_mobilenet_v2_320x320": ("ssd_mobilenet_v2_coco", 672.0),
    "faster_rcnn_resnet50_v1_": ("faster_rcnn_resnet50_coco", 268.0),
    "faster_rcnn_resnet101_v1_": ("faster_rcnn_resnet101_coco", 373.0),
    "faster_rcnn_inception_resnet_v2_": ("faster_rcnn_inception_resnet_v2_atrous_coco", 1086.0),
}

HEADINGS = (
    *("Model", "Published AP", "Measured AP", "Published ms", "Measured p50 (ms)"),
    *("Published 1000 steps (s)", "Measured 1000 steps (s)"),
)


@dataclass(frozen=True)
class PublishedRow:
    """A model of the zoo: its figures, and those of the first variant of it."""

    model: str
    published_ap: float | None  # on COCO 2017 val, 0..1
    published_ms: float | None  # on hardware that is not stated
    variant: Variant
    relative: str | None  # of the TF1 zoo
    published_train_s: float | None  # of 1000 steps of the relative on a P100

    @property
    def measured_ap(self) -> float | None:
        """On the group's data, 0..1."""
        return self.variant.metrics.get("eval/AP")

    @property
    def measured_ms(self) -> float | None:
        """Latency p50 of the exported model on the group's hardware."""
        return self.variant.metrics.get("latency/p50_ms")

    @property
    def measured_train_s(self) -> float | None:
        """1000 train steps on the group's hardware."""
        return self.variant.metrics.get("train/time_1000_steps_s")

    @property
    def texts(self) -> list[str]:
        """The cells below :data:`HEADINGS`."""
        train = self.published_train_s, self.measured_train_s
        return [
            self.model,
            *map(_ap, (self.published_ap, self.measured_ap)),
            *map(_number, (self.published_ms, self.measured_ms)),
            DASH if train[0] is None else f"{train[0]:.0f} ({self.relative})",
            _number(train[1]),
        ]


@once
def published_rows(group: Group) -> list[PublishedRow]:
    """One row for each model of the group that the zoo publishes, in the order of the group."""
    entries = {entry.name: entry for entry in catalogue()}
    found: dict[str, PublishedRow] = {}
    for variant in variants(group):
        entry = entries.get(variant.record.model)
        if entry is not None and variant.ok and entry.name not in found:
            trained = next((v for k, v in _TRAIN_S.items() if entry.name.startswith(k)), None)
            relative, seconds = trained or (None, None)
            found[entry.name] = PublishedRow(
                entry.name, entry.AP, entry.speed_ms, variant, relative, seconds
            )
    return list(found.values())


def published_table(group: Group) -> str | None:
    """Lay the rows out in Markdown; None where the zoo has none of the models."""
    rows = published_rows(group)
    body = [[escape(text) for text in row.texts] for row in rows]
    return table(HEADINGS, body, [False] + [True] * 6) if rows else None


def published_note(group: Group) -> str:
    """Where the published figures are from, and on what hardware they and ours were taken."""
    trained = any(row.published_train_s is not None for row in published_rows(group))
    here = f"Measured: {group.common.hardware}, data set {group.dataset}."
    return " ".join([_ZOO, here, *([_P100] if trained else [])])


def _ap(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def _number(value: float | None) -> str:
    return DASH if value is None else significant(value)
