"""Feature masking for torch."""

from __future__ import annotations

from dropkit.core.mode import Scale
from dropkit.methods.feature_mask import Per, feature_mask
from dropkit.torch.layer import Layer, Rate, rate_of

__all__ = ["FeatureMask"]


class FeatureMask(Layer):
    """Columns, rows or entries of a feature matrix (nodes, features) are set to zero: y = x kept.

    Args:
        p: the probability that an entry is masked, in [0, 1], or a schedule.
        per: one coin a `"column"` (Zhu et al. 2020), a `"row"` or an `"entry"`.
        scale: where the factor 1 / (1 - p) goes; by default nowhere, as in the paper.

    Raises:
        DropkitError: p lies outside [0, 1], or `per` is none of the words.

    >>> import torch
    >>> FeatureMask(0.5)(torch.ones(2, 4), key=3)
    tensor([[1., 1., 1., 0.],
            [1., 1., 1., 0.]])
    """

    def __init__(self, p: Rate = 0.2, per: Per = "column", *, scale: Scale = "none") -> None:
        super().__init__(feature_mask(rate_of(p), per, scale))
