"""L0 gates for PyTorch: on the units of an activation, or on the weights of a layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Unpack

import torch
from torch import nn

from dropkit.core.check import Interval
from dropkit.methods.l0_gates import BETA, chance_open, hard_concrete, settled_gate
from dropkit.torch import draws
from dropkit.torch.functional import Source
from dropkit.torch.noisy import NoisyWeights
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.units import PER, Per, check_units, draw_shape, unit_sizes

__all__ = ["L0Gates", "L0Weights"]

Tensor = torch.Tensor
_START = Interval(0, 1, "give a probability, e.g. 0.5", open_low=True, open_high=True)
_WEIGHT = Interval(0, math.inf, "give the price of an open gate, e.g. 0.001", open_high=True)
_BETA = Interval(0, math.inf, "give a temperature; the paper has 2/3", open_low=True, open_high=True)


class L0Gates(Stochastic):
    """Gates on an activation that learn to be exactly 0 or 1 (Louizos et al. 2018).

    Drawing: y = z x with z hard concrete; evaluation: the settled gate. `penalty()` is `weight` times the
    expected number of open gates: `loss = mean loss + dropkit.torch.penalty(model)`. Where a gate stands for
    several weights, e.g. all those out of a unit, the paper counts it as many times: give a larger `weight`.

    Args:
        size: the number of gates of the last axis, or a shape that broadcasts to one sample, e.g. (32, 1, 1)
            for the channels of (N, 32, H, W).
        p: the rate at which gates begin: log alpha = log((1 - p) / p), in (0, 1).
        weight: the price of an open gate in the mean loss, at least 0.
        per: one draw a gate for the whole `"batch"`, as in the authors' code, or for each `"sample"`.
        beta: the temperature, above 0.

    Shapes:
        input and output alike: (N, ...), whose last axes the gates fit.

    Raises:
        DropkitError: a number is out of its range; at the call: the gates do not fit the input.

    >>> gates = L0Gates(4, p=0.01).eval()
    >>> gates(torch.ones(2, 4))
    tensor([[1., 1., 1., 1.],
            [1., 1., 1., 1.]], grad_fn=<WhereBackward0>)
    """

    def __init__(
        self,
        size: int | tuple[int, ...],
        p: float = 0.5,
        *,
        weight: float = 1.0,
        per: Per = "batch",
        beta: float = BETA,
    ) -> None:
        super().__init__()
        shape, self.per = unit_sizes(size), per
        PER.check("per", per)
        start = _START.check("p", p)
        self.log_alpha = nn.Parameter(torch.full(shape, math.log((1 - start) / start)))
        self.weight, self.beta = _WEIGHT.check("weight", weight), _BETA.check("beta", beta)
        self.stand_out()

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the input."""
        return True

    @property
    def chance_open(self) -> Tensor:
        """The probability of each gate that it is not 0."""
        open_: Tensor = chance_open(widen(self.log_alpha), torch, self.beta)
        return open_

    @property
    def settled(self) -> Tensor:
        """The gates of evaluation; those that are 0 can be cut out."""
        gates: Tensor = settled_gate(widen(self.log_alpha), torch)
        return gates

    @property
    def sparsity(self) -> float:
        """The share of the gates that evaluation shuts."""
        return float((self.settled == 0).float().mean())

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Multiply the input by the gates.

        Args:
            input: (N, ...), whose last axes the gates fit.
            **source: `key` and `generator` as in every layer.
        """
        check_units(input, tuple(self.log_alpha.shape), self.per)
        gate = self._drawn(input, **self.source(source)) if self.drawing else self.settled
        return torch.where(gate == 0, 0.0, widen(input) * gate).to(input.dtype)

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield the parameter of the gates: no weight decay for it."""
        yield self.log_alpha

    def penalty(self) -> Tensor:
        """Return the price of the gates that are expected to be open, to be added to the mean loss."""
        return self.weight * self.chance_open.sum()

    def extra_repr(self) -> str:
        """Show the gates and their price."""
        return f"size={tuple(self.log_alpha.shape)}, weight={self.weight}, per={self.per!r}"

    def _drawn(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        log_alpha = widen(self.log_alpha)
        shape = draw_shape(input, tuple(log_alpha.shape), self.per)
        u = draws.unit(input, shape, **source).reshape(shape).to(torch.float64)
        gate: Tensor = hard_concrete(log_alpha.to(torch.float64), u, torch, self.beta)
        return gate.to(torch.promote_types(input.dtype, log_alpha.dtype))


class L0Weights(NoisyWeights):
    """A layer each weight of which has a gate of its own (Louizos et al. 2018).

    Args:
        module: a module, e.g. an `nn.Linear`.
        p: the rate at which gates begin, in (0, 1).
        weight: the price of an open gate in the mean loss, at least 0.
        name: which parameter has the gates.

    Shapes:
        those of the module.

    Raises:
        DropkitError: a number is out of its range, or the name is unknown.

    >>> layer = L0Weights(nn.Linear(3, 2), p=0.1, weight=0.01)
    >>> layer.noise.log_alpha.shape
    torch.Size([2, 3])
    """

    def __init__(
        self, module: nn.Module, p: float = 0.5, *, weight: float = 1.0, name: str = "weight"
    ) -> None:
        parameters = dict(module.named_parameters())
        shape = tuple(parameters[name].shape) if name in parameters else (1,)
        super().__init__(module, L0Gates(shape, p, weight=weight), [name])
        self.noise.to(self.module.get_parameter(name).device)

    @property
    def sparsity(self) -> float:
        """The share of the weights that evaluation leaves out."""
        return float(self.noise.sparsity)
