"""How much is taken in of what others publish."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on a tarball; the largest of the zoo stays well below each."""

    max_bytes: int = 2 * 2**30  # of the tarball
    expansion: int = 4  # unpacked bytes per byte of max_bytes; weights hardly compress
    max_members: int = 10_000

    @property
    def max_unpacked_bytes(self) -> int:
        """Of everything in the tarball together."""
        return self.expansion * self.max_bytes
