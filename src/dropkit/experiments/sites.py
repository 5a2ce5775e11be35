"""Where dropout goes in a model: behind hidden activations, never behind the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.experiments.models import try_forward
from dropkit.experiments.own import switch_off
from dropkit.report.record import Arm
from dropkit.torch import Dropout, GaussianDropout, InputDropout

__all__ = ["find_sites", "with_arm"]

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Tanh,
    nn.Sigmoid,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Hardsigmoid,
)

_LAYERS: dict[str, Callable[[float], nn.Module]] = {
    "bernoulli": Dropout,
    "gaussian": GaussianDropout,
    "input": InputDropout,
}


def find_sites(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the activation modules that always run between two layers with parameters.

    The order is that of one forward in eval mode: what runs, not what is written.

    >>> find_sites(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softplus()), (4,))
    ('1',)
    """
    called = _call_order(model, input_shape)
    layers = [at for at, (_, module) in enumerate(called) if _has_parameters(module)]
    first, last = (layers[0], layers[-1]) if layers else (0, 0)
    outside = {name for at, (name, _) in enumerate(called) if not first < at < last}
    names = [name for name, module in called if isinstance(module, ACTIVATIONS) and name not in outside]
    if not names:
        rule = "must have a hidden activation module (such as nn.ReLU()) for dropout to stand behind"
        mend = "write activations as modules, not as functions such as F.relu"
        raise DropkitError("model", rule, type(model).__name__, mend)
    return tuple(dict.fromkeys(names))


def _call_order(model: nn.Module, input_shape: tuple[int, ...]) -> list[tuple[str, nn.Module]]:
    called: list[tuple[str, nn.Module]] = []

    def note(name: str) -> Any:
        return lambda module, *_: called.append((name, module))

    leaves = [(name, module) for name, module in model.named_modules() if not any(module.children())]
    handles = [module.register_forward_hook(note(name)) for name, module in leaves]
    try:
        try_forward(model, input_shape)
    finally:
        for handle in handles:
            handle.remove()
    return called


def _has_parameters(module: nn.Module) -> bool:
    return not isinstance(module, ACTIVATIONS) and any(True for _ in module.parameters())


def with_arm(model: nn.Module, arm: Arm, sites: tuple[str, ...]) -> nn.Module:
    """The model with an arm's dropout put in: its own dropout is switched off unless the arm keeps it."""
    if not arm.keeps_own:
        switch_off(model)
    for site in sites if arm.rate else ():
        _put_behind(model, site, make_dropout(arm.noise, arm.rate))
    return nn.Sequential(make_dropout("input", arm.input_rate), model) if arm.input_rate else model


def _put_behind(model: nn.Module, site: str, drop: nn.Module) -> None:
    # A child that a hook calls keeps the module's own class and name, so that code reading `self.act.weight`,
    # or using one activation in several places, goes on working.
    activation = model.get_submodule(site)
    activation.add_module("dropkit_drop", drop)
    activation.register_forward_hook(_drop_output)


def _drop_output(module: nn.Module, _inputs: Any, output: torch.Tensor) -> Any:
    return module.get_submodule("dropkit_drop")(output)


def make_dropout(kind: str, rate: float) -> nn.Module:
    """The layer of an arm: `bernoulli`, `gaussian` or `input`."""
    return _LAYERS[kind](rate)
