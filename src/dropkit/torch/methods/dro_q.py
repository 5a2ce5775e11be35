"""The Q-function of DroQ: dropout, then layer norm, in every hidden layer."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from dropkit.core.check import Whole, check_each
from dropkit.torch.layers import Dropout

__all__ = ["dro_q"]

_SIZE = Whole(1, "give a number of units, e.g. 256")


def dro_q(
    observations: int, actions: int, hidden: Iterable[int] = (256, 256), p: float = 0.01
) -> nn.Sequential:
    """Return the Q-function of DroQ, from an observation and an action behind it to a value.

    Each hidden layer is ReLU(LayerNorm(Dropout(Linear(h)))) (Hiraoka et al. 2022). Take two of them for
    learning and two for the targets, and leave all in training mode: the targets drop as well. The target is
    the least of its two values, as in SAC; the policy step climbs the mean of its two, where SAC takes the
    least there too.

    Args:
        observations: how many numbers an observation has.
        actions: how many an action has.
        hidden: the units of each hidden layer.
        p: the probability that a unit is dropped, in [0, 1]; the authors take 0.0001 to 0.1.

    Returns:
        from (batch, observations + actions) to (batch, 1).

    Raises:
        DropkitError: a size is no whole number above 0, or p is out of range.

    >>> dro_q(3, 1, hidden=(8,))
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): Dropout(p=0.01, inplace=False)
      (2): LayerNorm((8,), eps=1e-05, elementwise_affine=True...)
      (3): ReLU()
      (4): Linear(in_features=8, out_features=1, bias=True)
    )
    """
    width = _SIZE.check("observations", observations) + _SIZE.check("actions", actions)
    layers: list[nn.Module] = []
    for units in check_each("hidden", hidden, _SIZE):
        layers += [nn.Linear(width, units), Dropout(p), nn.LayerNorm(units), nn.ReLU()]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 1))
