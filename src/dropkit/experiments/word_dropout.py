"""Dropout of words at the input: a number of a word becomes that of the unknown word."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.torch import InputDropout

__all__ = ["PADDING", "UNKNOWN", "WordDropout"]

PADDING, UNKNOWN = 0, 1
"""What the first two numbers mean wherever inputs are numbers of words."""


class WordDropout(nn.Module):
    """Replace words by the unknown word in training, each by a coin of its own; padding stays.

    The "word dropout" of Bowman et al. 2016, "Generating Sentences from a Continuous Space", who do
    so to the words that a decoder reads. (That of Iyyer et al. 2015 leaves words out of a mean instead.)
    The coins are those of `InputDropout` at the same address, and follow its modes.

    Args:
        p: the probability that a word is replaced, in [0, 1].

    >>> WordDropout(1.0)(torch.tensor([[7, 8, 0]]))
    tensor([[1, 1, 0]])
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop = InputDropout(p)

    def forward(self, words: Tensor) -> Tensor:
        """Replace words in numbers (rows, length)."""
        kept = self.drop(torch.ones_like(words, dtype=torch.float32)) > 0
        return torch.where(kept | (words == PADDING), words, UNKNOWN)
