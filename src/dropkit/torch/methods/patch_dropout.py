"""PatchDropout for torch: a layer that returns fewer tokens than it was given."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.schedule import Schedule
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.subsets import check_prefix, chosen, gather

__all__ = ["PatchDropout"]

Tensor = torch.Tensor


class PatchDropout(Rated):
    """Random tokens of each sample are removed; those that stay keep their order and are not scaled.

    Of n tokens that may go, round((1 - p) n) stay, one at least (Liu et al. 2023). In evaluation all do.
    Add position embeddings before it.

    Args:
        p: the share of tokens that is removed, in [0, 1], or a schedule.
        prefix: how many leading positions always stay, e.g. 1 for a class token.

    Raises:
        DropkitError: p lies outside [0, 1], or prefix is no count.

    >>> PatchDropout(0.5)(torch.ones(2, 17, 8)).shape
    torch.Size([2, 9, 8])
    """

    def __init__(self, p: float | Schedule = 0.5, prefix: int = 1) -> None:
        super().__init__(p)
        self.prefix = check_prefix(prefix)

    def forward(self, input: Tensor, *, protected: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
        """Remove tokens in training, return the very `input` otherwise.

        Args:
            input: (batch, tokens, features).
            protected: further positions that stay, bool (batch, tokens). Each sample then loses as many
                tokens as the one with the fewest unprotected ones can.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input has other axes, or `protected` does not fit.
        """
        places = self.places(input, protected=protected, **source)
        return input if places is None else gather(input, places)

    def places(
        self, input: Tensor, *, protected: Tensor | None = None, **source: Unpack[Source]
    ) -> Tensor | None:
        """Return where the tokens that stay stand, (batch, count) in their order; None where all do.

        The same key gives the places of `forward`. Arguments as there.
        """
        if not (self.drawing and self.can_draw):
            return None
        return chosen(input, self.p, self.prefix, protected, self.source(source))

    def extra_repr(self) -> str:
        """Show the prefix too."""
        return f"{super().extra_repr()}, prefix={self.prefix}"
