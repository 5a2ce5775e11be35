"""Ending a comparison early: a fixed number of looks, and the level at which each may claim something."""

from __future__ import annotations

__all__ = ["INTERIM", "level_at"]

INTERIM = 0.001
"""Level of each look before the last, taken from that of the last (Haybittle and Peto's rule)."""


def level_at(alpha: float, look: int, looks: int) -> float:
    """The level of one look; all together they are `alpha`.

    The sum bounds the chance of a false claim at any look, however the looks depend on one another.

    Args:
        alpha: of the whole comparison, in (0, 1).
        look: from 1 to `looks`.
        looks: how many were planned, at least 1.

    >>> level_at(0.05, 1, 3), round(level_at(0.05, 3, 3), 3)
    (0.001, 0.048)
    """
    return INTERIM if look < looks else alpha - (looks - 1) * INTERIM
