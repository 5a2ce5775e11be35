"""The loss of a batch, and the step that makes it smaller."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from dropkit.experiments.dataset import REGRESSION
from dropkit.experiments.recipe import Batch, Recipe, Step
from dropkit.report.plan import Arm
from dropkit.torch import symmetric_kl, two_passes

__all__ = ["Loss", "balanced", "disagreement", "make_loss", "make_step"]

Loss = Callable[[Tensor, Tensor], Tensor]


def balanced(y: Tensor, n_outputs: int) -> Tensor:
    """Weights that give every class the same share of the loss: rows / (classes x rows of the class).

    >>> balanced(torch.tensor([0, 0, 0, 1]), 2)
    tensor([0.6667, 2.0000])
    """
    counts = torch.bincount(y, minlength=n_outputs).clamp(min=1)
    return len(y) / (n_outputs * counts.float())


def make_loss(task: str, arm: Arm, recipe: Recipe, weight: Tensor | None = None) -> Loss:
    """The loss of (outputs, y): cross-entropy, squared error, or the user's own.

    Args:
        task: `classification` or `regression`.
        arm: its label smoothing counts.
        recipe: with a loss of its own, perhaps.
        weight: of each class, or None.
    """
    own = recipe.piece("loss")
    if own is not None:
        return own
    if task == REGRESSION:
        return F.mse_loss
    return nn.CrossEntropyLoss(weight, label_smoothing=arm.label_smoothing)


def disagreement(p: Tensor, q: Tensor, task: str) -> Tensor:
    """How far two passes lie apart, as R-Drop counts it (Liang et al. 2021, eq. 2), a mean over rows.

    (KL(p || q) + KL(q || p)) / 2 of the class probabilities; for a regression, whose outputs have no
    probabilities, the squared difference.

    >>> logits = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> disagreement(*logits, "classification")
    tensor(0.1155)
    """
    if task == REGRESSION:
        return F.mse_loss(p, q)
    return symmetric_kl(p, q).mean()


def make_step(task: str, arm: Arm, recipe: Recipe, weight: Tensor | None = None) -> Step:
    """The training step of (model, batch, optimizer), which returns the loss; arguments: `make_loss`."""
    own = recipe.piece("step")
    if own is not None:
        return own
    loss = make_loss(task, arm, recipe, weight)

    def step(model: nn.Module, batch: Batch, optimizer: Optimizer) -> Tensor:
        optimizer.zero_grad()
        value = _twice(model, batch) if arm.r_drop else loss(_outputs(model, batch[0]), batch[1])
        torch.autograd.backward(value)
        optimizer.step()
        return value

    def _outputs(model: nn.Module, x: Tensor) -> Tensor:
        outputs: Tensor = model(x)
        return outputs.squeeze(1) if task == REGRESSION else outputs

    def _twice(model: nn.Module, batch: Batch) -> Tensor:
        def run() -> tuple[Tensor, Tensor]:
            outputs = _outputs(model, batch[0].clone())
            return loss(outputs, batch[1]), outputs

        return two_passes(model, run, lambda p, q: disagreement(p, q, task), arm.r_drop)

    return step
