"""The steps of LSTM, GRU and RNN cells, with noise inside: what no fused kernel offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional as F

from dropkit.methods.semeniuta_dropout import update
from dropkit.torch.run import widen

__all__ = ["STEPS", "Factors", "State", "Weights", "recur", "times", "zone"]

Tensor = torch.Tensor
State = tuple[Tensor, ...]
"""The hidden state h, and behind it the cell state c of an LSTM: (batch, features) each."""


class Weights(NamedTuple):
    """The parameters of one layer in one direction, as torch names them."""

    ih: Tensor
    hh: Tensor
    ih_bias: Tensor | None = None
    hh_bias: Tensor | None = None
    hr: Tensor | None = None


class Factors(NamedTuple):
    """A factor for each site inside the recurrence: (batch, time or 1, features); None where it rests."""

    state: Tensor | None = None
    candidate: Tensor | None = None
    cell: Tensor | None = None
    zoneout: Tensor | None = None
    cell_zoneout: Tensor | None = None

    def at(self, t: int) -> Factors:
        """Return the factors of a step."""
        return Factors(*(m if m is None else m[:, t if m.shape[1] > 1 else 0] for m in self))


Step = Callable[[Tensor, Tensor, State, Factors, Weights], State]


def times(x: Tensor, m: Tensor | None) -> Tensor:
    """Return x m, where a factor of 0 gives 0 whatever x is."""
    return x if m is None else torch.where(m == 0, 0.0, widen(x) * m).to(x.dtype)


def zone(new: Tensor, previous: Tensor, m: Tensor | None) -> Tensor:
    """Return m new + (1 - m) previous: zoneout in training, where m is 0 or 1, and its mean in evaluation."""
    if m is None:
        return new
    return torch.where(m == 0, previous, times(new, m) + (1 - m).to(new.dtype) * previous)


def products(x: Tensor, weight: Tensor, bias: Tensor | None, m: Tensor | None) -> Tensor:
    """Return W (x m) + b for all gates; m may have an axis for the gates before the last."""
    if m is None or m.dim() == x.dim():
        return F.linear(times(x, m), weight, bias)
    gates = weight.reshape(m.shape[-2], -1, weight.shape[1])
    y = torch.einsum("...gd,ghd->...gh", times(x.unsqueeze(-2), m), gates).flatten(-2)
    return y if bias is None else y + bias


def recur(
    step: Step,
    x: Tensor,
    state: State,
    entering: Tensor | None,
    factors: Factors,
    weights: Weights,
    lengths: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run one layer in one direction.

    Args:
        step: one of `STEPS`.
        x: (batch, time, features).
        state: before the first step.
        entering: a factor of x, with or without an axis for the gates.
        factors: those inside.
        weights: of the layer.
        lengths: of the sequences, on the device of x; None where all are full.
        reverse: whether time runs backwards.

    Returns:
        the hidden states (batch, time, features), 0 behind the end of a sequence, and the last state.
    """
    entered = products(x, weights.ih, weights.ih_bias, entering).unbind(1)
    outputs = list(entered)
    for t in reversed(range(len(entered))) if reverse else range(len(entered)):
        now = factors.at(t)
        fed_back = products(state[0], weights.hh, weights.hh_bias, now.state)
        new = step(entered[t], fed_back, state, now, weights)
        outputs[t] = new[0]
        if lengths is not None:
            alive = (t < lengths)[:, None]
            outputs[t] = torch.where(alive, new[0], 0.0)
            new = tuple(torch.where(alive, *pair) for pair in zip(new, state, strict=True))
        state = new
    return torch.stack(outputs, 1), state


def _lstm(entered: Tensor, fed_back: Tensor, state: State, m: Factors, weights: Weights) -> State:
    i, f, g, o = (entered + fed_back).chunk(4, -1)
    cell = times(update(state[1], f.sigmoid(), i.sigmoid(), times(g.tanh(), m.candidate)), m.cell)
    hidden = o.sigmoid() * cell.tanh()
    if weights.hr is not None:
        hidden = F.linear(hidden, weights.hr)
    return zone(hidden, state[0], m.zoneout), zone(cell, state[1], m.cell_zoneout)


def _gru(entered: Tensor, fed_back: Tensor, state: State, m: Factors, weights: Weights) -> State:
    (r, z, n), (r_back, z_back, n_back) = entered.chunk(3, -1), fed_back.chunk(3, -1)
    keep = (z + z_back).sigmoid()
    candidate = (n + (r + r_back).sigmoid() * n_back).tanh()
    hidden = update(state[0], keep, 1 - keep, times(candidate, m.candidate))
    return (zone(hidden, state[0], m.zoneout),)


def _tanh(entered: Tensor, fed_back: Tensor, state: State, m: Factors, weights: Weights) -> State:
    return (zone((entered + fed_back).tanh(), state[0], m.zoneout),)


def _relu(entered: Tensor, fed_back: Tensor, state: State, m: Factors, weights: Weights) -> State:
    return (zone((entered + fed_back).relu(), state[0], m.zoneout),)


STEPS: dict[str, Step] = {"LSTM": _lstm, "GRU": _gru, "RNN_TANH": _tanh, "RNN_RELU": _relu}
"""One step of each kind of cell, by the name that torch gives it: from what enters, what is fed back (both
with their biases) and the state to the next state."""
