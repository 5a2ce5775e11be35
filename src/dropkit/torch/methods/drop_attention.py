"""DropAttention for torch: a layer for the weights of attention."""

from __future__ import annotations

from typing import Literal, Unpack

import torch

from dropkit.core.check import Whole
from dropkit.core.rate import Schedule
from dropkit.methods.drop_attention import coins, renormalized
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source, carry_out
from dropkit.torch.rated import Rated
from dropkit.torch.run import Call, law_of, widen

__all__ = ["DropAttention"]

Tensor = torch.Tensor
_WINDOW = Whole(1, "give a number of neighbouring keys, e.g. 2")


class DropAttention(Rated):
    """Keys or single weights of attention are dropped; each row is brought back to a sum of 1.

    y = a kept / (sum over a row of a kept) (Lin et al. 2019). A row of which nothing is left passes as it
    is. In evaluation all weights do.

    Args:
        p: the probability that a weight is dropped, in [0, 1], or a schedule.
        unit: `"column"` drops a key for all queries of a head, `"element"` for one query.
        window: how many neighbouring keys fall together, at least 1.

    Raises:
        DropkitError: p lies outside [0, 1], the unit is neither word, or the window is no count.

    >>> DropAttention(0.5)(torch.full((1, 1, 2, 4), 0.25), key=1)
    tensor([[[[0.3333, 0.0000, 0.3333, 0.3333],
              [0.3333, 0.0000, 0.3333, 0.3333]]]])
    """

    def __init__(
        self, p: float | Schedule = 0.1, unit: Literal["column", "element"] = "column", window: int = 1
    ) -> None:
        super().__init__(p)
        self.unit, self.window = unit, _WINDOW.check("window", window)
        self._law = law_of(coins(0.0, unit, window))

    def forward(self, weights: Tensor, **source: Unpack[Source]) -> Tensor:
        """Drop and renormalise in training, return the very `weights` otherwise.

        Args:
            weights: (batch, heads, queries, keys), behind the softmax.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the weights are no floating tensor of four axes.
        """
        if not (self.drawing and self.can_draw):
            return weights
        check_tensor(weights, "weights")
        if weights.dim() != 4:
            raise TensorError(
                "weights", "has axes (batch, heads, queries, keys)", tuple(weights.shape), "add the axes"
            )
        wide = widen(weights)
        ones = torch.ones_like(wide, requires_grad=False)
        kept = carry_out(ones, Call(self._law, self.p), "train", **self.source(source)) != 0
        y: Tensor = renormalized(wide, kept, torch).to(weights.dtype)
        return y

    def extra_repr(self) -> str:
        """Show the unit and the window too."""
        return f"{super().extra_repr()}, unit={self.unit!r}, window={self.window}"
