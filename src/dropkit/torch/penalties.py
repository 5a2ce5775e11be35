"""What learned rates need of a training: their penalty in the loss, and a parameter group of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from dropkit.core.check import DropkitError, Interval, check_kind
from dropkit.torch.stochastic import Stochastic

__all__ = ["PenaltyHook", "of_batch", "parameter_groups", "penalty"]

_WEIGHT = Interval(0, float("inf"), "give a factor of the penalty, e.g. 1.0")


def penalty(model: nn.Module) -> torch.Tensor:
    """Return the sum of what the layers of a model add to the mean loss of a batch: a term a learned rate.

    loss = mean over the batch of the negative log-likelihood + penalty(model).

    Args:
        model: a module with layers that learn their rate; a layer that stands in several places counts once.

    Raises:
        DropkitError: no layer of the model has a penalty.
        DropkitError: a penalty follows from a batch that was computed without gradients.

    >>> import dropkit
    >>> penalty(nn.Sequential(dropkit.torch.Dropout(0.5)))
    Traceback (most recent call last):
    dropkit.core.check.DropkitError: model has a layer with a penalty, got 'Sequential'; drop the term, ...
    """
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    terms = [term for m in model.modules() if isinstance(m, Stochastic) and (term := m.penalty()) is not None]
    if not terms:
        rule = "has a layer with a penalty"
        mend = "drop the term, or use a layer that learns its rate, e.g. ConcreteDropout"
        raise DropkitError("model", rule, type(model).__name__, mend)
    return torch.stack([term.reshape(()).to(terms[0].device) for term in terms]).sum()


def parameter_groups(model: nn.Module, **options: Any) -> list[dict[str, Any]]:
    """Return the parameters of a model in groups for an optimizer: learned rates apart, without weight decay.

    Weight decay would pull a rate's logit to 0, which is a rate of one half.

    Args:
        model: a module; a parameter that several modules share goes into one group.
        **options: of the first group, e.g. `lr=1e-3, weight_decay=0.01`; the rates take them too, but for
            the weight decay.

    Returns:
        one group, or two where the model learns rates.

    >>> [group["weight_decay"] for group in parameter_groups(nn.Linear(2, 2), weight_decay=0.01)]
    [0.01]
    """
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    own = [m for m in model.modules() if isinstance(m, Stochastic)]
    rates = list({id(rate): rate for m in own for rate in m.rates()}.values())
    known = {id(rate) for rate in rates}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    groups: list[dict[str, Any]] = [{**options, "params": others}]
    return groups + ([{**options, "params": rates, "weight_decay": 0.0}] if rates else [])


def of_batch(module: nn.Module, found: torch.Tensor) -> torch.Tensor:
    """Return the penalty of the last batch of a module, for its `penalty`, or refuse one without its graph.

    Raises:
        DropkitError: the module learns, and that batch was computed without gradients, as reentrant
            checkpointing does.

    >>> of_batch(nn.Identity(), torch.ones(()))
    tensor(1.)
    """
    learns = any(parameter.requires_grad for parameter in module.parameters())
    if torch.is_grad_enabled() and learns and not found.requires_grad:
        mend = "ask for it after a forward pass with gradients, and checkpoint with use_reentrant=False"
        raise DropkitError("penalty", "is that of a batch with gradients", "a batch without", mend)
    return found


class PenaltyHook:
    """Adds the penalty of a model to the gradient before each step of an optimizer: for a loop of one's own.

    It is what `loss + weight * penalty(model)` would give, without touching the loss. Gradients that are
    clipped by hand are clipped before it. With a gradient scaler and a fused optimizer, which unscales inside
    of its step, call `scaler.unscale_(optimizer)` first.

    Args:
        model: a module with layers that learn their rate.
        weight: the factor of the penalty, at least 0.

    Raises:
        DropkitError: no layer of the model has a penalty, or that of a layer follows from the batch, whose
            graph is gone when the optimizer steps.
    """

    def __init__(self, model: nn.Module, weight: float = 1.0) -> None:
        penalty(model)
        _refuse_batch(model)
        self.model, self.weight = model, _WEIGHT.check("weight", weight)

    def add(self) -> None:
        """Add the gradient of the penalty to those that are there."""
        with torch.enable_grad():
            term = self.weight * penalty(self.model)
        if term.requires_grad:  # all may be frozen for a while
            term.backward()  # type: ignore[no-untyped-call]  # it is untyped

    def follow(self, optimizer: torch.optim.Optimizer) -> RemovableHandle:
        """Act by itself before each `optimizer.step()`; `handle.remove()` ends it."""
        return optimizer.register_step_pre_hook(lambda *_: self.add())


def _refuse_batch(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, Stochastic) and module.penalty_of_batch:
            rule = "has penalties that follow from parameters alone"
            mend = "write loss + dropkit.torch.penalty(model), or take LossCallback or with_loss for trainers"
            raise DropkitError("model", rule, type(module).__name__, mend)
