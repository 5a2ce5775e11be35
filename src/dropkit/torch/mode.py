"""Switch dropout alone: Monte Carlo passes with everything else in eval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from dropkit.core.check import DropkitError
from dropkit.core.mode import Mode
from dropkit.torch.delegate import Delegate
from dropkit.torch.stochastic import Stochastic

__all__ = ["draws_now", "refuse_foreign", "sources", "switch"]

_FAST = nn.TransformerEncoderLayer


@contextmanager
def switch(model: nn.Module, mode: Mode) -> Iterator[None]:
    """Switch every source of dropout of a model, and nothing else, until the block ends.

    Sources are dropkit's layers, torch's dropout modules, and the rates inside `nn.MultiheadAttention`,
    `nn.LSTM`, `nn.GRU` and `nn.RNN`. In mode "mc" the fast paths of `nn.TransformerEncoderLayer`, which
    ignore dropout, are off. Batch normalisation in training goes on training: call `model.eval()` first.

    Raises:
        DropkitError: no source was found, or none that can draw where draws are asked for.
    """
    found = sources(model)
    if not found or (mode != "eval" and not any(map(_can_draw, found))):
        rule = "has dropout with a rate above 0" if found else "has a source of dropout"
        mend = "calls of F.dropout inside forward cannot be seen: use dropkit.torch.Dropout layers"
        still = sorted({type(m).__name__ for m in found if _never_draws(m)})
        if still:
            rule = "has dropout that draws in this mode"
            mend = f"{', '.join(still)} changes no forward pass by chance, so there is nothing to switch on"
        raise DropkitError("model", rule, type(model).__name__, mend)
    with ExitStack() as stack:
        for module in found:
            stack.callback(_force(module, mode))
        if mode != "eval":
            for module in _fast_paths(model):
                stack.callback(_flag(module, True))
        yield


def sources(model: nn.Module) -> list[nn.Module]:
    """Return the modules of a model that drop: ours, torch's, and those with a rate among their arguments."""
    return [module for module in model.modules() if _is_source(module)]


def draws_now(model: nn.Module) -> bool:
    """Return whether a source of dropout would draw in the next pass; calls of F.dropout are not seen."""
    return any(
        module.drawing if isinstance(module, Stochastic) else module.training
        for module in model.modules()
        if _is_source(module) and _can_draw(module)
    )


def _is_source(module: nn.Module) -> bool:
    return isinstance(module, Stochastic | _DropoutNd) or _inner_rate(module) > 0


def refuse_foreign(model: nn.Module, rule: str, mend: str = "") -> None:
    """Refuse a model in which something drops at a rate above 0 that is not dropkit's.

    Raises:
        DropkitError: it has torch's dropout, or an `nn.MultiheadAttention` or recurrent network with a rate;
            they are named.
    """
    found = {id(m) for m in sources(model) if not isinstance(m, Stochastic) and _can_draw(m)}
    names = [
        f"{name}: {type(m).__name__}".removeprefix(": ")
        for name, m in model.named_modules()
        if id(m) in found
    ]
    if names:
        mend = f"exchange them by dropkit.surgery.use_dropkit(model){mend}"
        raise DropkitError("model", rule, ", ".join(names), mend)


def _inner_rate(module: nn.Module) -> float:
    if isinstance(module, nn.RNNBase):
        # torch drops between layers: one layer alone never does.
        return float(module.dropout) if module.num_layers > 1 else 0.0
    return float(module.dropout) if isinstance(module, nn.MultiheadAttention) else 0.0


def _can_draw(module: nn.Module) -> bool:
    if isinstance(module, Stochastic):
        return module.can_draw
    return _inner_rate(module) > 0 or (isinstance(module, _DropoutNd) and module.p > 0)


def _never_draws(module: nn.Module) -> bool:
    """Whether a module of ours that cannot draw has no rate of 0 for its reason: its passes are all alike."""
    if not isinstance(module, Stochastic) or type(module).__name__.startswith("_"):
        return False
    holder: Any = module.rate_layer()
    return not module.can_draw and (holder is None or holder.p > 0)


def _fast_paths(model: nn.Module) -> list[nn.Module]:
    """These layers, and encoders that begin with one, skip dropout unless its flag says training.

    Only that flag is touched, also that of a wrapper which answers for one.
    """
    return [
        module
        for module in model.modules()
        if isinstance(getattr(module, module.inside) if isinstance(module, Delegate) else module, _FAST)
    ]


def _force(module: nn.Module, mode: Mode) -> Callable[[], None]:
    """Set one module's own state and return what puts it back."""
    if isinstance(module, Stochastic):
        before = module.forced_mode
        module.force(mode)
        return lambda: module.force(before)
    return _flag(module, mode != "eval")


def _flag(module: nn.Module, on: bool) -> Callable[[], None]:
    training = module.training
    module.training = on

    def restore() -> None:
        module.training = training

    return restore
