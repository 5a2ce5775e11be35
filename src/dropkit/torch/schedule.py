"""Schedules in motion: the stepper of a model, and rates for the layers of a model that exists already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from dropkit.core.check import RATE, DropkitError, check_kind
from dropkit.core.drop import Drop
from dropkit.core.rate import Learned, depth_rates
from dropkit.core.schedule import Schedule
from dropkit.torch.layer import Layer
from dropkit.torch.layers import DropPath
from dropkit.torch.mode import refuse_foreign
from dropkit.torch.rated import Rated
from dropkit.torch.stochastic import Stochastic

__all__ = ["Stepper", "set_depth_rates", "set_rates"]


class Stepper:
    """Moves every scheduled layer of a model by one at each optimizer step.

    Step after `backward`: activation checkpointing runs the forward pass again there, at the rate of then.

    The step lives in the layers' buffers, so a state_dict is all that resuming takes, and the stepper itself
    keeps nothing. A layer that stands in several places moves once.

    Args:
        model: a module with layers whose rate is a schedule.
        step: where to begin, a number of optimizer steps taken so far. Without it: where the layers stand.

    Raises:
        DropkitError: the model has no such layer, or its layers stand at different steps and `step` is not
            given.

    >>> import dropkit
    >>> from dropkit.torch import Dropout
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), Dropout(dropkit.linear_schedule(0.0, 0.3, 10)))
    >>> schedule = Stepper(model)
    >>> schedule.step()
    >>> schedule.now, schedule.rates
    (1, {'1': 0.03})
    """

    def __init__(self, model: nn.Module, step: int | None = None) -> None:
        found = check_kind("model", model, nn.Module, "give the torch.nn.Module itself").named_modules()
        self._layers = {name: m for name, m in found if isinstance(m, Layer | Rated) and m.scheduled}
        if not self._layers:
            mend = (
                "give a layer a schedule, e.g. dropkit.torch.set_rates(model, dropkit.linear_schedule(...))"
            )
            raise DropkitError("model", "has a layer whose rate is a schedule", type(model).__name__, mend)
        if step is None:
            self._agreed()
        else:
            self.move_to(step)

    @property
    def now(self) -> int:
        """The number of optimizer steps taken so far."""
        return self._agreed()

    @property
    def rates(self) -> dict[str, float]:
        """The rate of each scheduled layer now, by its name."""
        return {name: layer.p for name, layer in self._layers.items()}

    def step(self) -> None:
        """Take one step; call it after each `optimizer.step()`."""
        self.move_to(self._agreed() + 1)

    def move_to(self, step: int) -> None:
        """Bring every layer to a step, a whole number of at least 0."""
        for layer in self._layers.values():
            layer.move_to(step)

    def follow(self, optimizer: torch.optim.Optimizer) -> RemovableHandle:
        """Step by itself after each `optimizer.step()`, however many batches or skipped updates lie between.

        Args:
            optimizer: one optimizer of the training.

        Returns:
            a handle that ends it: `handle.remove()`, or `with schedule.follow(optimizer):` around the loop.
        """
        return optimizer.register_step_post_hook(lambda *_: self.step())

    def _agreed(self) -> int:
        steps = {name: int(layer.step) for name, layer in self._layers.items() if layer.step is not None}
        if len(set(steps.values())) > 1:
            mend = "say where to go on: Stepper(model, step=...) or move_to(step)"
            raise DropkitError("model", "has its layers at one step", steps, mend)
        return next(iter(steps.values()))


def set_rates(model: nn.Module, rates: Any, kind: type[Stochastic] = Stochastic) -> None:
    """Give layers of a model another rate, in place; a schedule begins at step 0.

    Args:
        model: a module with dropkit layers.
        rates: one rate for all (a number in [0, 1] or a schedule), or a sequence with one a layer, in the
            order of `model.modules()`: that of the calls in `nn.Sequential` and `nn.ModuleList`.
        kind: which layers: those of this class, by default all that draw at one rate; where a module stands
            around the layer that holds its rate, e.g. `DropConnect`, that one. Learned rates are left alone.

    Raises:
        DropkitError: a rate is wrong, a schedule is given to a layer that takes none, the model has no such
            layer or another number of them than there are rates, or all layers are meant and it has torch's
            own dropout.

    >>> from dropkit.torch import Dropout
    >>> model = torch.nn.Sequential(Dropout(0.5), Dropout(0.5))
    >>> set_rates(model, [0.1, 0.2])
    >>> model
    Sequential(
      (0): Dropout(p=0.1, inplace=False)
      (1): Dropout(p=0.2, inplace=False)
    )
    """
    layers = _layers(model, kind)
    pairs = zip(layers, _one_each(rates, layers), strict=True)
    checked = [_checked(layer, rate) for layer, rate in pairs]
    device = next((parameter.device for parameter in model.parameters()), torch.get_default_device())
    for layer, rate in zip(layers, checked, strict=True):
        if isinstance(layer, Layer):
            _describe(layer, rate, device)
        else:
            layer.p = rate


def set_depth_rates(model: nn.Module, rate: float, kind: type[Stochastic] = DropPath) -> None:
    """Give the layers of a model rates that grow linearly with depth, in place.

    The l-th of n layers gets rate * l / n: the linear decay rule of Huang et al. 2016; see
    `dropkit.depth_rates`.

    Args:
        model: a module with dropkit layers.
        rate: the rate of the last layer, in [0, 1].
        kind: which layers: those of this class, in the order of `model.modules()`.

    Raises:
        DropkitError: the rate lies outside [0, 1], or the model has no such layer.

    >>> model = torch.nn.Sequential(DropPath(), DropPath())
    >>> set_depth_rates(model, 0.2)
    >>> [layer.p for layer in model]
    [0.1, 0.2]
    """
    set_rates(model, depth_rates(rate, len(_layers(model, kind))), kind)


def _layers(model: nn.Module, kind: type[Stochastic]) -> list[Stochastic]:
    """Return what holds the rates of the layers of a kind, each once."""
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    if kind in (Layer, Stochastic):
        # Who asks for all layers would not see that torch's own were left behind.
        refuse_foreign(model, "has dropkit's layers where it drops", ", or name the kind of layers you mean")
        _refuse_others(model)
    holders = [m.rate_layer() for m in model.modules() if isinstance(m, kind)]
    found = list({id(holder): holder for holder in holders if holder is not None}.values())
    if not found:
        name = "Dropout" if kind in (Layer, Stochastic) else kind.__name__
        rule = f"has a layer of kind {kind.__name__} with one rate that can be set"
        mend = f"put dropkit.torch.{name} where it shall drop"
        raise DropkitError("model", rule, type(model).__name__, mend)
    return found


def _refuse_others(model: nn.Module) -> None:
    """Who stands on `Stochastic` with a rate of its own may not have said where it is."""
    for name, module in model.named_modules():
        alone = isinstance(module, Stochastic) and module.rate_layer() is None
        learned = alone and any(True for _ in module.rates())
        if alone and not learned and isinstance(getattr(module, "p", None), float | tuple | dict):
            rule = "has rates that can be set alike"
            mend = "let rate_layer say what holds the rate, or name the kind of layers you mean"
            raise DropkitError("model", rule, f"{name}: {type(module).__name__}", mend)


def _checked(layer: Stochastic, rate: Any) -> Any:
    """Return the description of a layer with this rate, or the rate for one that no description says."""
    if isinstance(layer, Layer):
        return replace(layer.description, rate=_given(rate))
    if isinstance(rate, Schedule):
        if not isinstance(layer, Rated):
            rule = "are numbers where a layer takes no schedule"
            raise DropkitError("rates", rule, type(layer).__name__, "set layer.p as training goes on")
        return rate
    return RATE.check("rate", _given(rate))


def _given(rate: Any) -> Any:
    if isinstance(rate, Learned):
        raise DropkitError("rates", "are not learned by these layers", rate, "give a number or a schedule")
    return rate


def _one_each(rates: Any, layers: list[Stochastic]) -> Sequence[Any]:
    if isinstance(rates, str) or not isinstance(rates, Sequence):
        return [rates] * len(layers)
    if len(rates) != len(layers):
        rule = f"are as many as the model's layers, {len(layers)}"
        raise DropkitError("rates", rule, len(rates), "give one rate, or one a layer")
    return rates


def _describe(layer: Layer, description: Drop, device: torch.device) -> None:
    layer.describe(description)
    rate = description.rate
    if isinstance(rate, Schedule):
        layer.step, layer.threshold = (torch.zeros((), dtype=torch.int64, device=device) for _ in range(2))
        layer.move_to(0)
    else:
        layer.step = layer.threshold = None
        layer._p = rate if isinstance(rate, float) else None
