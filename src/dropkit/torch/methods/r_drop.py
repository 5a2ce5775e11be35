"""R-Drop as a loss: two passes whose predictions must agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dropkit.methods.r_drop import divergence
from dropkit.torch.check import check_alike
from dropkit.torch.run import widen
from dropkit.torch.two_passes import WEIGHT, cross_entropy, supervised, two_passes

__all__ = ["r_drop", "symmetric_kl"]

Tensor = torch.Tensor


def symmetric_kl(p: Tensor, q: Tensor) -> Tensor:
    """Return (KL(p || q) + KL(q || p)) / 2 of two predictions: a number a row, in float32 at least.

    Args:
        p: logits (..., classes).
        q: logits of the other pass, of the same shape.

    Raises:
        DropkitError: one of them is not a tensor of a floating type, or their shapes differ.

    >>> symmetric_kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    tensor([0.1155])
    """
    check_alike("p", p, "q", q)
    rows: Tensor = divergence(widen(p).log_softmax(-1), widen(q).log_softmax(-1), torch)
    return rows


def r_drop(
    model: nn.Module,
    inputs: Any,
    targets: Any,
    criterion: Callable[[Any, Any], Tensor] = cross_entropy,
    alpha: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the loss of a batch with R-Drop (Liang et al. 2021).

    (loss(p) + loss(q)) / 2 + alpha (KL(p || q) + KL(q || p)) / 2, where p and q are the predictions of two
    passes under two masks. The model runs twice: it must not overwrite its inputs. For Lightning and
    transformers there are `dropkit.torch.lightning.TwoPassesCallback(symmetric_kl, alpha)` and
    `dropkit.torch.transformers.two_passes_trainer(symmetric_kl, alpha)`.

    Args:
        model: a model with dropout that returns logits (..., classes), or what has them under `logits`, as
            the models of transformers do; one that draws nothing is warned of.
        inputs: what it takes: a tensor, a tuple of arguments, or a mapping of them by name.
        targets: what `criterion` takes.
        criterion: the loss of (logits, targets), a number; by default the cross-entropy, whose targets are
            one label for each row of the logits, -100 where it does not count, or probabilities.
        alpha: the factor of the divergence, at least 0.
        mask: which rows count in the divergence, true there, e.g. `targets != padding`; None counts all.

    Raises:
        DropkitError: alpha is out of range, the outputs are no tensor, or the mask does not fit.

    >>> model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2))
    >>> r_drop(model, torch.ones(4, 3), torch.tensor([0, 1, 1, 0])).shape
    torch.Size([])
    """
    alpha = WEIGHT.check("alpha", alpha)
    return two_passes(model, supervised(model, inputs, targets, criterion), symmetric_kl, alpha, mask)
