"""DropAttention for torch: a layer for the weights of attention."""

from __future__ import annotations

from typing import Literal, Unpack

import torch

from dropkit.core.check import Whole
from dropkit.core.schedule import Schedule
from dropkit.methods.drop_attention import coins, renormalized
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source, carry_out
from dropkit.torch.rated import Rated
from dropkit.torch.run import Call, laid, law_of, widen
from dropkit.torch.spared import spared
from dropkit.torch.subsets import check_prefix

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
        prefix: how many leading keys never fall, e.g. 1 for a class token. What is protected does not move
            the mask of the others.

    Raises:
        DropkitError: p lies outside [0, 1], the unit is neither word, or window or prefix is no count.

    >>> DropAttention(0.5)(torch.full((1, 1, 2, 4), 0.25), key=1)
    tensor([[[[0.3333, 0.0000, 0.3333, 0.3333],
              [0.3333, 0.0000, 0.3333, 0.3333]]]])
    """

    def __init__(
        self,
        p: float | Schedule = 0.1,
        unit: Literal["column", "element"] = "column",
        window: int = 1,
        prefix: int = 0,
    ) -> None:
        super().__init__(p)
        self.unit, self.window = unit, _WINDOW.check("window", window)
        self.prefix = check_prefix(prefix)
        description = coins(0.0, unit, window)
        self._law, self._coins = law_of(description), description.groups.pattern

    def forward(
        self, weights: Tensor, *, protected: Tensor | None = None, **source: Unpack[Source]
    ) -> Tensor:
        """Drop and renormalise in training, return the very `weights` otherwise.

        Args:
            weights: (batch, heads, queries, keys), behind the softmax.
            protected: further keys that never fall, bool, broadcasting to the weights.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the weights are no floating tensor of four axes, or `protected` does not fit.
        """
        if not (self.drawing and self.can_draw):
            return weights
        check_tensor(weights, "weights")
        if weights.dim() != 4:
            raise TensorError(
                "weights", "has axes (batch, heads, queries, keys)", tuple(weights.shape), "add the axes"
            )
        wide = widen(weights)
        safe = spared(wide, self.prefix, protected)
        kept = self._kept(wide, **self.source(source))
        y: Tensor = renormalized(wide, kept | safe, torch).to(weights.dtype)
        return laid(y, weights)

    def _kept(self, wide: Tensor, **source: Unpack[Source]) -> Tensor:
        if self.window == 1:  # a coin for each: no factors need to be made of them
            return ~draws.below(wide, self.p, self._coins, **source)
        ones = torch.ones_like(wide, requires_grad=False)
        return carry_out(ones, Call(self._law, self.p), "train", **source) != 0

    def extra_repr(self) -> str:
        """Show the unit, the window and what is protected too."""
        shown = f"{super().extra_repr()}, unit={self.unit!r}, window={self.window}"
        return shown + (f", prefix={self.prefix}" if self.prefix else "")
