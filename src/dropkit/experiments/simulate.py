"""Simulated studies: how often the verdicts err where the truth is known.

Scores are drawn, no network is trained. As in the default study, families are compared with one `none` in
two scores: differences of two families share the scores of `none`, and the scores of a family go together.
What is drawn is judged by the very functions that judge a study.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from dropkit.experiments.decision import BETTER, EQUIVALENT, OPEN, decide
from dropkit.experiments.inference import estimate
from dropkit.experiments.looks import level_at
from dropkit.experiments.power import Design

__all__ = ["Errors", "Looked", "Truth", "at_looks", "errors"]

Array = npt.NDArray[Any]

_BETWEEN_SCORES = 0.7
_EARLY = 2.0  # of the detectable effect
_MARGIN = 3.0  # of the detectable effect: so wide that only the test at its edge keeps a study from an error


@dataclass(frozen=True)
class Truth:
    """How the differences between pairs are spread, apart from their mean.

    Args:
        correlation: between pairs that share rows, in [0, 1); by default the one that the correction assumes,
            overlap / (1 + overlap).
        freedom: of the t distribution that a pair's own part has, above 2; infinite for the normal one.
    """

    correlation: float | None = None
    freedom: float = math.inf

    def correlation_in(self, design: Design) -> float:
        """The correlation between two pairs."""
        return design.overlap / (1 + design.overlap) if self.correlation is None else self.correlation

    def draw(self, design: Design, studies: int, seed: int) -> Array:
        """Differences from `none` without any true one, `(studies, comparisons, pairs)`, of variance 1.

        >>> Truth().draw(Design(10, comparisons=8), studies=3, seed=0).shape
        (3, 8, 10)
        """
        rng, scores = np.random.default_rng(seed), min(2, design.comparisons)
        r, shape = self.correlation_in(design), (studies, scores, design.comparisons // scores + 1)
        own = rng.normal(size=(*shape, design.pairs))
        if math.isfinite(self.freedom):
            own *= np.sqrt((self.freedom - 2) / rng.chisquare(self.freedom, own.shape))
        x = math.sqrt(r / 2) * rng.normal(size=(*shape, 1)) + math.sqrt((1 - r) / 2) * own
        if scores == 2:
            x[:, 1] = _BETWEEN_SCORES * x[:, 0] + math.sqrt(1 - _BETWEEN_SCORES**2) * x[:, 1]
        return (x[:, :, 1:] - x[:, :, :1]).reshape(studies, design.comparisons, design.pairs)


@dataclass(frozen=True)
class Errors:
    """How many of so many simulated studies came out wrong, or right.

    Attributes:
        studies: how many were simulated for each figure.
        false_better: no family is better, and one is called so.
        false_difference: no family differs, and one is called better or worse.
        plain_difference: the same by the plain t test, of one comparison alone.
        covered: the 95 % interval of the first comparison holds its true difference.
        found: the first comparison is better by just the detectable effect, and is called so.
        false_equivalent: all are worse by just the margin, and one is called equivalent.
        false_no_better: all are better by just the margin, and of one such a gain is said to be ruled out.
    """

    studies: int
    false_better: int
    false_difference: int
    plain_difference: int
    covered: int
    found: int
    false_equivalent: int
    false_no_better: int


def errors(design: Design, studies: int, truth: Truth | None = None, seed: int = 0) -> Errors:
    """Simulate studies and count what is said of them.

    Args:
        design: pairs, overlap, comparisons (1, or an even number), level and power.
        studies: how many, at least 1.
        truth: how differences are spread, by default as the tests assume.
        seed: of the draws.

    >>> few = errors(Design(10, comparisons=8), studies=100)
    >>> few.false_better <= few.false_difference <= 20 < 60 < few.found
    True
    """
    truth = truth or Truth()
    d = truth.draw(design, studies, seed)
    # Effects are in units of the spread that is seen between pairs, which shared rows do not enter.
    effect = design.detectable * math.sqrt(1 - truth.correlation_in(design))
    off, wide = np.full(design.comparisons, np.nan), np.full(design.comparisons, _MARGIN * effect)
    null = decide(d, off, design.overlap, design.alpha).outcome
    helped = decide(d - effect * np.eye(design.comparisons)[0][:, None], off, design.overlap, design.alpha)
    worse, better = (decide(d + at, wide, design.overlap, design.alpha) for at in (wide[0], -wide[0]))
    return Errors(
        studies=studies,
        false_better=_any(null == BETTER),
        false_difference=_any(null != OPEN),
        plain_difference=int((estimate(d[:, 0]).p() < design.alpha).sum()),
        covered=int(_holds(d[:, 0], design.overlap, design.alpha).sum()),
        found=int((helped.outcome[:, 0] == BETTER).sum()),
        false_equivalent=_any(worse.outcome == EQUIVALENT),
        false_no_better=_any(better.p_no_better < design.alpha),
    )


@dataclass(frozen=True)
class Looked:
    """Studies that end at the first look at which their first comparison is decided.

    Attributes:
        studies: how many were simulated for each figure.
        false_difference: no family differs, and at some look one is called better or worse.
        early: the first comparison is better by the effect, and that was shown before the last look.
        covered: the interval of the look at which it ended holds that effect.
        covered_unadjusted: the same of an interval at the level of the whole study.
    """

    studies: int
    false_difference: int
    early: int
    covered: int
    covered_unadjusted: int


def at_looks(design: Design, looks: int, studies: int, seed: int = 0) -> Looked:
    """Simulate studies that may end early.

    Args:
        design: pairs, overlap, comparisons, level and power; the effect is twice the detectable one, so that
            many end early.
        looks: how often it is looked at, after equal shares of the pairs.
        studies: how many, at least 1.
        seed: of the draws.

    >>> few = at_looks(Design(12, comparisons=4), looks=3, studies=100)
    >>> few.false_difference <= 20 and few.covered_unadjusted <= few.covered
    True
    """
    truth = Truth()
    d, off = truth.draw(design, studies, seed), np.full(design.comparisons, np.nan)
    effect = _EARLY * design.detectable * math.sqrt(1 - truth.correlation_in(design))
    helped = d - effect * np.eye(design.comparisons)[0][:, None]
    claimed, ended, covered, unadjusted = np.zeros((4, studies), dtype=bool)
    early = 0
    for look in range(1, looks + 1):
        pairs = slice(design.pairs * look // looks)
        level = level_at(design.alpha, look, looks)
        claimed |= (decide(d[..., pairs], off, design.overlap, level).outcome != OPEN).any(axis=1)
        shown = decide(helped[..., pairs], off, design.overlap, level).outcome[:, 0] != OPEN
        ends = ~ended & (shown | (look == looks))
        covered |= ends & _holds(d[:, 0, pairs], design.overlap, level)
        unadjusted |= ends & _holds(d[:, 0, pairs], design.overlap, design.alpha)
        early += int(ends.sum()) if look < looks else 0
        ended |= ends
    return Looked(studies, int(claimed.sum()), early, int(covered.sum()), int(unadjusted.sum()))


def _holds(differences: Array, overlap: float, alpha: float) -> Array:
    """Whether the interval of a mean without any true one holds zero; a shift moves both alike."""
    found = estimate(differences, overlap)
    held: Array = np.abs(found.mean) <= found.error * special.stdtrit(found.freedom, 1 - alpha / 2)
    return held


def _any(hits: Array) -> int:
    return int(hits.any(axis=1).sum())
