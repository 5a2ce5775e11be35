"""Models that bring their own way of training: Lightning modules, transformers models, skorch nets.

Each function returns what a study takes: a factory of fresh models, and the recipe by which they train.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from dropkit.core.check import DropkitError, try_import
from dropkit.experiments.recipe import Batch, Configured, Recipe
from dropkit.experiments.sites import fed

__all__ = ["from_lightning", "from_skorch", "from_transformers"]

Factory = Callable[..., nn.Module]


class _Known:
    """A function under the name that users of its library know, for the plan and the report."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.__qualname__, self.__wrapped__ = name, function

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.__wrapped__(*given, **named)


def from_lightning(make_module: Callable[..., Any]) -> tuple[Factory, Recipe]:
    """Train a LightningModule by its own `training_step` and `configure_optimizers`.

    What it logs goes nowhere; callbacks and other hooks are not called.

    Args:
        make_module: returns a fresh module; gets `input_shape` and `n_outputs` where it takes them. Its
            `training_step` gets batches (x, y), its forward pass gives (batch, n_outputs).

    Returns:
        the factory and the recipe of a study.
    """

    @functools.wraps(make_module)
    def make_model(**offered: Any) -> nn.Module:
        module: nn.Module = make_module(**offered)
        vars(module).update(log=_quiet, log_dict=_quiet)  # without a Trainer they would warn at every step
        return module

    optimizer = _Known("LightningModule.configure_optimizers", _lightning_optimizer)
    step = _Known("LightningModule.training_step", _lightning_step)
    return make_model, Recipe(optimizer=Configured(optimizer), step=step)


def _quiet(*_: Any, **__: Any) -> None:
    return None


def _lightning_optimizer(module: Any) -> Optimizer:
    if not module.automatic_optimization:
        mend = "give its training step to the study as a function of (model, batch, optimizer)"
        raise DropkitError("model", "must leave the optimization to its trainer", type(module).__name__, mend)
    given = module.configure_optimizers()
    if isinstance(given, Mapping) and set(given) == {"optimizer"}:
        given = given["optimizer"]
    if isinstance(given, list | tuple) and len(given) == 1:
        (given,) = given
    if not isinstance(given, Optimizer):
        rule = "must configure one optimizer, without a schedule of its learning rate"
        raise DropkitError("model", rule, given, "return the optimizer alone from configure_optimizers")
    return given


def _lightning_step(model: nn.Module, batch: Batch, optimizer: Optimizer) -> Tensor:
    before, module = fed(model)
    optimizer.zero_grad()
    training_step: Any = module.training_step
    given = training_step((before(batch[0]), batch[1]), 0)
    loss: Tensor = given["loss"] if isinstance(given, Mapping) else given
    torch.autograd.backward(loss)
    optimizer.step()
    return loss


def from_transformers(
    make_model: Callable[..., Any],
    *,
    argument: str = "input_ids",
    learning_rate: float = 5e-5,
    weight_decay: float = 0.0,
) -> tuple[Factory, Recipe]:
    """Train a model of transformers by the loss that it returns for `labels=`, as its Trainer does.

    Args:
        make_model: returns a fresh model with `n_outputs` labels; gets `input_shape`, `n_outputs` and, for
            numbers of words, `n_words` where it takes them.
        argument: under which its forward pass takes a batch. With `input_ids` it also gets the
            `attention_mask` of what is not its `pad_token_id`, if it has one.
        learning_rate: of AdamW for the model as brought; 5e-5 is the Trainer's own.
        weight_decay: likewise.

    Returns:
        the factory and the recipe of a study.
    """

    @functools.wraps(make_model)
    def make(**offered: Any) -> nn.Module:
        return _Logits(make_model(**offered), argument)

    adamw = functools.partial(_Known("AdamW", _adamw), lr=learning_rate, weight_decay=weight_decay)
    without = ("input_rate", "augment") if argument == "input_ids" else ()
    step = _Known("model(labels=...).loss", _transformers_step)
    return make, Recipe(optimizer=Configured(adamw), step=step, leaves_out=without)


def _adamw(model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
    return AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)


class _Logits(nn.Module):
    """The logits of a transformers model, for one tensor."""

    def __init__(self, model: nn.Module, argument: str) -> None:
        super().__init__()
        self.model, self.argument = model, argument

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:
        """Logits, or with labels the loss."""
        given = {self.argument: x}
        padding = getattr(self.model.config, "pad_token_id", None)
        if self.argument == "input_ids" and padding is not None:
            given["attention_mask"] = (x != padding).long()
        if labels is None:
            return self.model(**given).logits
        return self.model(**given, labels=labels).loss


def _transformers_step(model: nn.Module, batch: Batch, optimizer: Optimizer) -> Tensor:
    before, module = fed(model)
    optimizer.zero_grad()
    loss: Tensor = module(before(batch[0]), labels=batch[1])
    torch.autograd.backward(loss)
    optimizer.step()
    return loss


def from_skorch(net: Any) -> tuple[Factory, Recipe]:
    """Train the module of a skorch NeuralNetClassifier or NeuralNetRegressor by its criterion and optimizer.

    Its batch size, number of epochs, callbacks and splits are the study's.

    Args:
        net: not fitted; its module is a class or a function, so that every network begins afresh.

    Returns:
        the factory and the recipe of a study.

    Raises:
        DropkitError: it is neither of these nets, or holds a module that is made already.
    """
    skorch = try_import("skorch", extra="skorch")
    if not isinstance(net, skorch.NeuralNetClassifier | skorch.NeuralNetRegressor):
        mend = "use one of these, with one output a class, or one for a regression"
        raise DropkitError(
            "model", "must be a NeuralNetClassifier or NeuralNetRegressor", type(net).__name__, mend
        )
    if isinstance(net.module, nn.Module):
        raise DropkitError(
            "model",
            "must hold a class as its module",
            type(net.module).__name__,
            "give module__NAME=... for its arguments",
        )
    criterion = net.criterion(**net.get_params_for("criterion"))
    probabilities = isinstance(net, skorch.NeuralNetClassifier) and isinstance(criterion, nn.NLLLoss)

    @functools.wraps(net.module)
    def make_model() -> nn.Module:
        module: nn.Module = net.module(**net.get_params_for("module"))
        return _Log(module) if probabilities else module

    optimizer = functools.partial(_Known(net.optimizer.__name__, _skorch_optimizer), net)
    return make_model, Recipe(loss=criterion, optimizer=Configured(optimizer))


def _skorch_optimizer(net: Any, model: nn.Module) -> Optimizer:
    groups, settings = net.get_params_for_optimizer("optimizer", model.named_parameters())
    optimizer: Optimizer = net.optimizer(*groups, **settings)
    return optimizer


class _Log(nn.Module):
    """The log of the probabilities that a module gives, as skorch takes it for its NLLLoss."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities, which serve as logits."""
        probabilities: Tensor = self.module(x)
        return torch.log(probabilities + torch.finfo(probabilities.dtype).eps)
