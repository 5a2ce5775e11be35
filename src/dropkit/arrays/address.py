"""The address of a draw as words of 32 bits, for frameworks that hold it in arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["HIGH", "LOW", "MASK", "SECOND", "Address"]

MASK = 0xFFFFFFFF
"""The bits of a word."""

HIGH, LOW, SECOND = range(3)
"""The lanes: the halves of the draw u, and the second uniform; see `dropkit.core.address`."""


class Address(NamedTuple):
    """The numbers of a key, as words, and the lane that is drawn from."""

    low: Any
    high: Any
    call: Any
    stream: Any
    lane: int = HIGH

    @property
    def tile(self) -> int:
        """How many groups eight neighbouring blocks serve: they give whole words to the second uniform."""
        return 32 if self.lane == SECOND else 64
