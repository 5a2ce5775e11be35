"""What a design can see: the detectable effect, its floor where pairs share rows, and the pairs it takes.

Effects and margins are in standard deviations of the paired difference; negative is better, as everywhere.
All levels are those of the first and strictest of Holm's steps, alpha / comparisons.
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left
from dataclasses import dataclass

from scipy import optimize, stats

__all__ = ["MOST_PAIRS", "Design"]

MOST_PAIRS = 1000
"""The largest study that can be asked for."""

_FEWEST = 3


@dataclass(frozen=True)
class Design:
    """Pairs that share rows or not, comparisons, level and power.

    Args:
        pairs: of (split, seed), at least 2.
        overlap: n_test / n_train for resampled splits, 0 for disjoint rows.
        comparisons: that Holm's correction counts, at least 1.
        alpha: level of the whole family, in (0, 1).
        power: with which an effect is to be found, in (0, 1).

    >>> round(Design(10).detectable, 2), round(Design(10, comparisons=5).detectable, 2)
    (1.0, 1.33)
    """

    pairs: int
    overlap: float = 0.0
    comparisons: int = 1
    alpha: float = 0.05
    power: float = 0.8

    @property
    def detectable(self) -> float:
        """The smallest true mean difference that is found with the stated power, by the noncentral t."""
        most = 10 + 10 * self._critical(self._level / 2)
        shift = optimize.brentq(lambda nc: self._exceeds(self._level / 2, nc) - self.power, 0, most)
        return float(shift) * self._scale

    @property
    def floor(self) -> float:
        """The detectable effect of endlessly many pairs: 0 only where pairs share no rows.

        >>> round(Design(10, overlap=0.2).floor, 2)
        1.25
        """
        normal = stats.norm.isf(self._level / 2) + stats.norm.ppf(self.power)
        return float(normal) * math.sqrt(self.overlap)

    def finds(self, effect: float) -> float:
        """The probability that a true difference of `effect` is shown, on its own side of zero.

        >>> round(Design(10).finds(1.0), 2)
        0.8
        """
        return self._exceeds(self._level / 2, abs(effect) / self._scale)

    def rules_out(self, margin: float, effect: float) -> float:
        """The probability that a gain of `margin` or more is ruled out where the true difference is `effect`.

        >>> round(Design(10).rules_out(1.0, effect=0.0), 2)
        0.9
        """
        return self._exceeds(self._level, (effect + margin) / self._scale)

    def pairs_to_decide(
        self, effect: float, margin: float | None = None, most: int = MOST_PAIRS
    ) -> int | None:
        """The fewest pairs that show a true difference of `effect`, or rule out a gain of `margin`.

        Whichever comes first, with the stated power; None where it takes more than `most` pairs.

        >>> Design(10).pairs_to_decide(0.5), Design(10, overlap=0.2).pairs_to_decide(0.5)
        (34, None)
        """
        counts = range(_FEWEST, most + 1)

        def decides(pairs: int) -> bool:
            design = dataclasses.replace(self, pairs=pairs)
            ruled_out = 0.0 if margin is None else design.rules_out(margin, effect)
            return max(design.finds(effect), ruled_out) >= self.power

        at = bisect_left(counts, True, key=decides)
        return counts[at] if at < len(counts) else None

    @property
    def _level(self) -> float:
        return self.alpha / self.comparisons

    @property
    def _scale(self) -> float:
        return math.sqrt(1 / self.pairs + self.overlap)

    def _critical(self, level: float) -> float:
        return float(stats.t.isf(level, self.pairs - 1))

    def _exceeds(self, level: float, shift: float) -> float:
        return float(stats.nct.sf(self._critical(level), self.pairs - 1, shift))
