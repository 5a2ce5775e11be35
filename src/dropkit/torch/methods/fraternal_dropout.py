"""Fraternal dropout as a loss: two passes whose outputs must agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dropkit.methods.fraternal_dropout import difference
from dropkit.torch.check import check_alike
from dropkit.torch.run import widen
from dropkit.torch.two_passes import WEIGHT, cross_entropy, supervised, two_passes

__all__ = ["fraternal_dropout", "squared_difference"]

Tensor = torch.Tensor


def squared_difference(p: Tensor, q: Tensor) -> Tensor:
    """Return the mean of (p - q)^2 along the last axis: a number a row, in float32 at least.

    Args:
        p: outputs (..., outputs), before any softmax.
        q: those of the other pass, of the same shape.

    Raises:
        DropkitError: one of them is not a tensor of a floating type, or their shapes differ.

    >>> squared_difference(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]))
    tensor([2.])
    """
    check_alike("p", p, "q", q)
    rows: Tensor = difference(widen(p), widen(q))
    return rows


def fraternal_dropout(
    model: nn.Module,
    inputs: Any,
    targets: Any,
    criterion: Callable[[Any, Any], Tensor] = cross_entropy,
    kappa: float = 0.15,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the loss of a batch with fraternal dropout (Zolna et al. 2018).

    (loss(p) + loss(q)) / 2 + kappa mean((p - q)^2), where p and q are the outputs of two passes under two
    masks, before any softmax. The model runs twice: it must not overwrite its inputs. It returns a tensor and
    no state: in the authors' recurrent models both passes begin with the same hidden state and that of the
    first is carried on, which takes two passes and `squared_difference` by hand. For Lightning and
    transformers there are `dropkit.torch.lightning.TwoPassesCallback(squared_difference, kappa)` and
    `dropkit.torch.transformers.two_passes_trainer(squared_difference, kappa)`.

    Args:
        model: a model with dropout that returns a tensor (..., outputs), or what has it under `logits`, as
            the models of transformers do; one that draws nothing is warned of.
        inputs: what it takes: a tensor, a tuple of arguments, or a mapping of them by name.
        targets: what `criterion` takes.
        criterion: the loss of (outputs, targets), a number; by default the cross-entropy, whose targets are
            one label for each row of the outputs, -100 where it does not count, or probabilities.
        kappa: the factor of the difference, at least 0; the authors have 0.15 for a single LSTM layer and 0.1
            for AWD-LSTM with three, on both Penn Treebank and WikiText-2.
        mask: which rows count in the difference, true there; None counts all.

    Raises:
        DropkitError: kappa is out of range, the outputs are no tensor, or the mask does not fit.

    >>> model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2))
    >>> fraternal_dropout(model, torch.ones(4, 3), torch.tensor([0, 1, 1, 0])).shape
    torch.Size([])
    """
    kappa = WEIGHT.check("kappa", kappa)
    return two_passes(model, supervised(model, inputs, targets, criterion), squared_difference, kappa, mask)
