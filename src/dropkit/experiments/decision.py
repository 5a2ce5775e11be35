"""Which outcomes the differences bear: better, worse, equivalent, no better, or not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dropkit.experiments.inference import Estimate, estimate, holm
from dropkit.report.record import BETTER, EQUIVALENT, NO_BETTER, OPEN, WORSE

__all__ = ["BETTER", "EQUIVALENT", "NO_BETTER", "OPEN", "WORSE", "Decision", "as_good", "carriers", "decide"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Decision:
    """Outcomes of a family of comparisons, with Holm's p values: arrays, one entry a comparison.

    `p_equivalent` and `p_no_better` are NaN where there is no margin.
    """

    estimate: Estimate
    p: Array
    p_adjusted: Array
    p_equivalent: Array
    p_no_better: Array
    outcome: Array


def decide(
    differences: npt.ArrayLike, margins: npt.ArrayLike, overlap: float = 0.0, alpha: float = 0.05
) -> Decision:
    """Judge a family of comparisons; negative differences are better.

    Three families of claims, each with a chance of at most `alpha` to hold a false one, by Holm's correction:
    "there is a difference" (two-sided corrected t), "the difference is smaller than the margin" (two
    one-sided tests: Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987), and its half "a
    gain is smaller than the margin". A difference that is shown, and shown to be smaller than the margin,
    is called equivalent: the margin says that it does not matter.

    Args:
        differences: `(..., comparisons, pairs)`, at least two pairs.
        margins: of equivalence, `(comparisons,)`, above 0, or NaN for none.
        overlap: n_test / n_train for resampled splits, 0 for disjoint rows.
        alpha: the level, in (0, 1).

    >>> d = [[-2.1, -1.9, -2.0, -2.2], [0.1, -0.1, 0.0, 0.1], [1.0, -2.0, 3.0, -1.0]]
    >>> decide(d, [0.5, 0.5, 0.5]).outcome.tolist()
    ['better', 'equivalent', 'not shown']
    """
    found = estimate(differences, overlap)
    margins = np.asarray(margins, dtype=float)
    p_adjusted = holm(found.p())
    p_no_better = _adjust(found.above(-margins), margins)
    p_equivalent = _adjust(np.maximum(found.above(-margins), found.below(margins)), margins)
    shown = p_adjusted < alpha
    outcome = np.select(
        [p_equivalent < alpha, shown & (found.mean < 0), shown, p_no_better < alpha],
        [EQUIVALENT, BETTER, WORSE, NO_BETTER],
        OPEN,
    )
    return Decision(found, found.p(), p_adjusted, p_equivalent, p_no_better, outcome)


def _adjust(p: Array, margins: Array) -> Array:
    # Which comparisons have a margin is fixed by the plan, so the others need no correction.
    adjusted = np.full_like(p, np.nan)
    kept = np.isfinite(margins)
    adjusted[..., kept] = holm(p[..., kept])
    return adjusted


def carriers(
    differences: npt.ArrayLike, margins: npt.ArrayLike, overlap: float = 0.0, alpha: float = 0.05
) -> list[tuple[int, ...]]:
    """For each comparison with an outcome, the pairs without which it would be another one.

    Each pair is left out in turn and everything is judged again. Fewer than four pairs name nobody.

    >>> carriers([[-1.0, -1.1, -0.9, -1.0, -1.1], [-0.7, -0.6, -0.2, -1.1, -1.3]], [float("nan")] * 2)
    [(), (3,)]
    """
    d = np.asarray(differences, dtype=float)
    pairs = d.shape[-1]
    if pairs < 4:
        return [()] * len(d)
    whole = decide(d, margins, overlap, alpha).outcome
    left = decide(np.stack([np.delete(d, pair, axis=-1) for pair in range(pairs)]), margins, overlap, alpha)
    # Equal differences leave no spread to judge by: that says nothing about the pair that is gone.
    changed = (left.outcome != whole) & (whole != OPEN) & (left.estimate.sd > 0)
    return [tuple(np.flatnonzero(column).tolist()) for column in changed.T]


def as_good(
    differences: Sequence[Sequence[float]], best: int, margin: float, overlap: float, alpha: float
) -> list[int]:
    """Which rows are shown to be no worse than row `best` by `margin` or more; `best` itself is one.

    One-sided corrected t tests of the differences between two rows, with Holm's correction over all others.
    The best row was picked by the same numbers, which makes the others look worse than they are: the list
    may be too short, but not too long.

    >>> as_good([[-2.1, -1.9, -2.0], [-2.0, -1.9, -1.9], [-1.0, 0.0, 1.0]], 0, 0.5, 0.0, 0.05)
    [0, 1]
    """
    d = np.asarray(differences, dtype=float)
    others = [row for row in range(len(d)) if row != best]
    p = holm(estimate(d[others] - d[best], overlap).below(margin))
    return sorted([best, *(row for row, each in zip(others, p, strict=True) if each < alpha)])
