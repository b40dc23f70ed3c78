"""What the zoo publishes of the models of a group, beside what was measured; never in a ranking."""

from __future__ import annotations

from dataclasses import dataclass

from odbench.report.comparison import Group
from odbench.report.markup import escape, table
from odbench.report.text import DASH, significant
from odbench.report.variants import Variant, variants
from odbench.zoo.catalogue import PUBLISHED, catalogue

NOTE = f"Published: AP on COCO 2017 val and milliseconds, {PUBLISHED}. Measured: see above."


@dataclass(frozen=True)
class PublishedRow:
    """A model of the zoo: its figures, and those of the first variant of it."""

    model: str
    published_ap: float | None  # on COCO 2017 val, 0..1
    published_ms: float | None  # on hardware that is not stated
    variant: Variant

    @property
    def measured_ap(self) -> float | None:
        """On the group's data, 0..1."""
        return self.variant.metrics.get("eval/AP")

    @property
    def measured_ms(self) -> float | None:
        """Latency p50 of the exported model on the group's hardware."""
        return self.variant.metrics.get("latency/p50_ms")


def published_rows(group: Group) -> list[PublishedRow]:
    """One row for each model of the group that the zoo publishes, in the order of the group."""
    entries = {entry.name: entry for entry in catalogue()}
    found: dict[str, PublishedRow] = {}
    for variant in variants(group):
        entry = entries.get(variant.record.model)
        if entry is not None and variant.ok and entry.name not in found:
            found[entry.name] = PublishedRow(entry.name, entry.AP, entry.speed_ms, variant)
    return list(found.values())


def published_table(group: Group) -> str | None:
    """Lay the rows out in Markdown; None where the zoo has none of the models."""
    rows = published_rows(group)
    headings = ["Model", "Published AP", "Measured AP", "Published ms", "Measured p50 (ms)"]
    body = [
        [
            escape(row.model),
            *map(_ap, (row.published_ap, row.measured_ap)),
            *map(_ms, (row.published_ms, row.measured_ms)),
        ]
        for row in rows
    ]
    return table(headings, body, [False] + [True] * 4) if rows else None


def _ap(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def _ms(value: float | None) -> str:
    return DASH if value is None else significant(value)
