"""Which runs of a group are repeats of one configuration: alike but for the seed."""

from __future__ import annotations

from odbench.config.fingerprint import stable_hash
from odbench.report.comparison import Group, Row

# Where a run is written and logged, and what chance makes of it.
_LEFT_OUT = ("name", "paths", "tracking", "seed")


def repeats(group: Group) -> list[list[Row]]:
    """The rows of each configuration that was run more than once."""
    found: dict[str, list[Row]] = {}
    for row in group.rows:
        spec = {key: value for key, value in row.record.spec.items() if key not in _LEFT_OUT}
        found.setdefault(stable_hash(spec), []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]
