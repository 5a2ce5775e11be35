"""Multi-sample dropout: a head that runs under several masks of one batch of features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import nn
from torch.nn import functional as F

from dropkit.core.check import Whole, check_kind
from dropkit.core.drop import Drop
from dropkit.core.schedule import Schedule
from dropkit.torch import functional
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated

__all__ = ["MultiSampleDropout"]

Tensor = torch.Tensor
_SAMPLES = Whole(1, "give a number of samples, e.g. 8")


class MultiSampleDropout(Rated):
    """Runs a head under several dropout masks of the same features and averages the losses (Inoue 2019).

    loss = mean over k of loss(head(x kept_k / (1 - p)), y). All samples are one batch for the head, which is
    called once. Train with `loss`; calling the module gives the mean of the outputs in training and mode
    "mc", and head(x) in evaluation.

    Args:
        head: what follows the dropout; its inputs and outputs begin with the batch.
        p: the probability that a feature is dropped, in [0, 1], or a schedule.
        samples: how many masks, at least 1.

    Raises:
        DropkitError: the head is no module, p is out of range, or `samples` is no whole number above 0.

    >>> head = MultiSampleDropout(nn.Linear(6, 2), 0.5, samples=3)
    >>> head(torch.ones(4, 6)).shape, head.outputs(torch.ones(4, 6)).shape
    (torch.Size([4, 2]), torch.Size([3, 4, 2]))
    """

    def __init__(self, head: nn.Module, p: float | Schedule = 0.5, samples: int = 8) -> None:
        super().__init__()
        self.head = check_kind("head", head, nn.Module, "give the module that follows the dropout")
        self.take_rate(p)
        self.samples = _SAMPLES.check("samples", samples)

    def rate_moved(self) -> None:
        """Describe the draws at another rate."""
        self._description = Drop(self.p)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return the mean of the outputs over the samples; in evaluation head(input).

        Args:
            input: the features, which begin with the batch.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.
        """
        if not self.drawing:
            plain: Tensor = self.head(input)
            return plain
        return self.outputs(input, **source).mean(0)

    def outputs(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return the outputs of every sample: (samples, batch, ...); in evaluation one sample, undropped."""
        if not self.drawing:
            return self.forward(input)[None]
        check_tensor(input)
        if not input.dim():
            raise TensorError("input", "begins with the batch", (), "give (batch, features)")
        copies = input.expand(self.samples, *input.shape)
        dropped = functional.drop(copies, self._description, **self.source(source))
        out: Tensor = self.head(dropped.flatten(0, 1))
        return out.reshape(self.samples, len(input), *out.shape[1:])

    def loss(
        self,
        input: Tensor,
        targets: Any,
        criterion: Callable[[Tensor, Any], Tensor] = F.cross_entropy,
        **source: Unpack[Source],
    ) -> Tensor:
        """Return the mean of the losses of the samples.

        Args:
            input: the features, which begin with the batch.
            targets: what `criterion` takes.
            criterion: the loss of (outputs, targets), a number.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.
        """
        return torch.stack([criterion(each, targets) for each in self.outputs(input, **source)]).mean()

    def extra_repr(self) -> str:
        """Show the rate and the number of samples."""
        return f"p={self.p}, samples={self.samples}"
