"""Drop-Activation for PyTorch: it takes the place of a ReLU."""

from __future__ import annotations

from typing import Unpack

import torch
from torch.nn import functional as F

from dropkit.core.mode import Mode
from dropkit.core.schedule import Schedule
from dropkit.methods.drop_activation import drop_activation
from dropkit.torch import functional
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated

__all__ = ["DropActivation"]


class DropActivation(Rated):
    """A ReLU that random units pass by: y = x where dropped, else relu(x) (Liang et al. 2018).

    Evaluation takes the expected value, p x + (1 - p) relu(x). It replaces the activation, it does not follow
    it.

    Args:
        p: the probability that a unit passes without its ReLU, in [0, 1], or a schedule.

    Shape:
        any; the output has the shape of the input.

    Raises:
        DropkitError: p lies outside [0, 1].

    >>> DropActivation(0.25).eval()(torch.tensor([-2.0, 2.0]))
    tensor([-0.5000,  2.0000])
    """

    def __init__(self, p: float | Schedule = 0.05) -> None:
        super().__init__(p)

    def rate_moved(self) -> None:
        """Describe the draws at another rate."""
        self.description = drop_activation(self.p)

    @property
    def acts_in_eval(self) -> bool:
        """Evaluation is a leaky ReLU."""
        return True

    def forward(self, input: torch.Tensor, **source: Unpack[Source]) -> torch.Tensor:
        """Activate, but for the dropped units.

        Args:
            input: a tensor of a real floating type.
            **source: `key` and `generator` as in every layer.
        """
        check_tensor(input)
        mode: Mode = "train" if self.drawing else "eval"
        return functional.drop(F.relu(input), self.description, mode=mode, fill=input, **self.source(source))

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"p={self.p}"
