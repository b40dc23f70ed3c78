"""``Part``: one group of a comparison as the page shows it, its repeats joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from odbench.report.comparison import Comparison, Group
from odbench.report.variants import Variant, variants


@dataclass(frozen=True)
class Part:
    """A group with its variants, in the table's order."""

    number: int  # 0-based, of the group
    group: Group
    variants: list[Variant]
    varying: list[str]  # dotted paths that differ anywhere in the comparison

    def id_of(self, variant: Variant) -> str:
        """What a row of the table, and its data in a figure, is known by."""
        return f"{self.number}-{variant.key}"

    @cached_property
    def one_model(self) -> bool:
        """Whether all variants are of the same model."""
        return len({variant.record.model for variant in self.variants}) == 1

    def name(self, variant: Variant) -> str:
        """Its label, where there is one model alone without it: what differs is at the front."""
        if not self.one_model:
            return variant.label
        return variant.label.removeprefix(f"{variant.record.model}-") or variant.label

    @cached_property
    def by_ap(self) -> list[Variant]:
        """The variants that have an AP, the best first; flagged ones among them."""
        found = [v for v in self.variants if v.metrics.get("eval/AP") is not None]
        return sorted(found, key=lambda v: -(v.metrics["eval/AP"] or 0.0))

    @cached_property
    def best_first(self) -> list[Variant]:
        """Every variant: those with an AP by it, then the others as the table has them."""
        first = self.by_ap
        seen = {variant.key for variant in first}
        return first + [v for v in self.variants if v.key not in seen]

    def first(self, limit: int, having: Callable[[Variant], object]) -> tuple[list[Variant], str]:
        """The best of those that have something, and a sentence where that is not all of them."""
        found = [variant for variant in self.best_first if having(variant)]
        note = f" The first {limit} of {len(found)} by AP." if len(found) > limit else ""
        return found[:limit], note


def parts_of(comparison: Comparison) -> list[Part]:
    """Each group of a comparison."""
    return [
        Part(number, group, variants(group), comparison.varying)
        for number, group in enumerate(comparison.groups)
    ]
