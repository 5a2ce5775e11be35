"""Dropout that a model brings itself: modules, which an arm can switch off, and draws that nobody can."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from dropkit._dispatch import is_keras
from dropkit.core.check import DropkitError
from dropkit.experiments.keras_net import KerasNet
from dropkit.experiments.models import sample
from dropkit.experiments.user_file import reason
from dropkit.torch import Layer

__all__ = ["own_dropout", "random_modes", "switch_off"]

_MODULES = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
_ROWS, _PASSES = 4, 16


def own_dropout(model: nn.Module) -> tuple[str, ...]:
    """What in a model can draw and be switched off, one name for each class, with its count.

    >>> own_dropout(nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.2), nn.Dropout(0.0)))
    ('2 x Dropout',)
    """
    counts = Counter(type(module).__name__ for module in _parts(model) if _draws(module))
    return tuple(f"{count} x {name}" for name, count in counts.items())


def _parts(model: nn.Module) -> list[nn.Module]:
    if not isinstance(model, KerasNet):
        return list(model.modules())
    from dropkit.keras.mode import sources

    return sources(model.model[0])


def _draws(module: nn.Module) -> bool:
    if is_keras(module):
        from dropkit.keras.mode import draws_in_training

        return draws_in_training(module)
    if isinstance(module, Layer):
        return bool(module.forced_mode != "eval")
    if isinstance(module, nn.RNNBase):
        return module.num_layers > 1 and module.dropout > 0  # torch drops between layers only
    if isinstance(module, nn.MultiheadAttention):
        return bool(module.dropout > 0)
    return isinstance(module, _MODULES) and bool(module.p > 0)


def switch_off(model: nn.Module) -> None:
    """Switch off all that `own_dropout` finds, for good."""
    for module in _parts(model):
        if is_keras(module):
            from dropkit.keras.mode import force

            force(module, "eval")
        elif isinstance(module, Layer):
            module.force("eval")
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
        elif isinstance(module, _MODULES):
            module.p = 0.0


def random_modes(model: nn.Module, input_shape: tuple[int, ...], n_words: int = 0) -> tuple[str, ...]:
    """The modes, of `training` and `eval`, in which a model's outputs change from pass to pass.

    Same rows, same weights, other seeds: what changes then is drawn inside `forward`. Weights, buffers and
    the generator are put back; `training` of all modules is left as that of the model was.

    >>> random_modes(nn.Dropout(0.5), (64,))
    ('training',)
    """
    was_training = model.training
    try:
        modes, batch = {"training": True, "eval": False}, sample(_ROWS, input_shape, n_words)
        return tuple(name for name, mode in modes.items() if _changes(model.train(mode), batch))
    finally:
        model.train(was_training)


def _pass(model: nn.Module, batch: Tensor) -> Tensor:
    try:
        outputs: Tensor = model(batch.clone())
    except (Exception, SystemExit) as error:
        rule = f"must run in {'training' if model.training else 'eval'} mode: {reason(error)}"
        raise DropkitError("model", rule, type(model).__name__, "try some passes by hand") from error
    return outputs


@torch.no_grad()
def _changes(model: nn.Module, batch: Tensor) -> bool:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    outputs: list[Tensor] = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(_PASSES):
            torch.manual_seed(seed)
            outputs.append(_pass(model, batch))
            model.load_state_dict(state)  # batch normalisation moved
    spread = (torch.stack(outputs) - outputs[0]).abs().max()
    # Sums may be rounded otherwise from pass to pass; what is drawn moves an output by far more.
    return bool(spread > 1e-5 * outputs[0].abs().max())
