"""An LSTM whose dropped units are not computed: one mask for the batch and for all time, smaller products."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from dropkit.core.check import RATE, DropkitError
from dropkit.core.schedule import Schedule
from dropkit.torch.check import TensorError, check_source, check_tensor
from dropkit.torch.draws import fold
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.skip import kept_units, pick, uncompiled

__all__ = ["ThinLSTM"]

Tensor = torch.Tensor
State = tuple[Tensor, Tensor]
_GATES = 4


class ThinLSTM(Rated, nn.LSTM):
    """`torch.nn.LSTM` that loses whole units for a sequence, in every layer and direction, and computes thin.

    One coin m a unit, 0 or 1 / (1 - p), for the batch and all steps: what a unit shows, to the next step (the
    first state too) and to what follows, is m h. Gal and Ghahramani (2016, arXiv 1512.05287) keep a mask over
    time, one a sample; shared by the batch (Graham et al. 2015, arXiv 1502.02478) the unit can be left out:
    of the products of a layer a share 1 - p is left, of those with the state (1 - p)^2, forward and backward.
    With the same key it equals the LSTM in which they are multiplied by m.

    Args:
        input_size: the features of a step.
        hidden_size: the units of a layer and direction.
        num_layers: how many layers stand on one another.
        p: the probability that a unit is dropped, in [0, 1], or a schedule.
        **settings: `bias`, `batch_first`, `bidirectional`, `device` and `dtype` as in torch, whose parameters
            these are. There is no `dropout` between layers: their units are dropped already.

    Shapes:
        As torch's. In the states that it returns, dropped units are 0 and the others not scaled.

    Raises:
        DropkitError: p lies outside [0, 1], or `dropout` or `proj_size` is given; in a call that draws, if
            the input is packed or has other axes.

    >>> out, (h, c) = ThinLSTM(4, 8, p=0.5)(torch.ones(6, 3, 4), key=1)
    >>> out.shape, int((h != 0).sum())
    (torch.Size([6, 3, 8]), 12)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        p: float | Schedule = 0.5,
        **settings: Any,
    ) -> None:
        for name in ("dropout", "proj_size"):
            if settings.get(name):
                mend = "leave it out" if name == "dropout" else "use dropkit.torch.DropLSTM, which masks"
                raise DropkitError(name, "has no place in a thin LSTM", settings[name], mend)
        if not isinstance(p, Schedule):
            RATE.check("p", p)
        nn.LSTM.__init__(self, input_size, hidden_size, num_layers, **settings)
        self.adopt()
        self.take_rate(p)

    def forward(  # type: ignore[override]  # nothing packed, and a source
        self,
        input: Any,
        hx: State | None = None,
        **source: Unpack[Source],
    ) -> tuple[Tensor, State]:
        """Return the outputs and the last states.

        Args:
            input: (steps, batch, features), or (steps, features); with `batch_first` the batch leads.
            hx: the states to begin with; 0, if left out.
            **source: `key` and `generator` as in every layer.
        """
        if not (self.drawing and self.can_draw):
            return nn.LSTM.forward(self, input, hx)
        if isinstance(input, PackedSequence):
            mend = "pad it, or use dropkit.torch.DropLSTM, which masks"
            raise DropkitError("input", "is a tensor where units are left out", "a packed sequence", mend)
        check_tensor(input)
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size:
            rule = f"has axes (steps, batch, {self.input_size}) or (steps, {self.input_size})"
            raise TensorError("input", rule, tuple(input.shape), "the last axis holds the features of a step")
        check_source(**source)
        own = self.source(source)
        # How many units stay is luck, for which no graph has a place.
        return uncompiled(self._drawn, input, hx, own)  # type: ignore[no-any-return]  # as the call

    def _drawn(self, input: Tensor, hx: State | None, source: Source) -> tuple[Tensor, State]:
        alone = input.dim() == 2
        axis = 1 if alone or not self.batch_first else 0
        x = input.unsqueeze(1) if alone else input.transpose(0, 1) if axis == 0 else input
        before = self._states(x, hx, alone)
        taken: Tensor | None = None  # which inputs of a layer are there
        ends: list[State] = []
        for layer in range(self.num_layers):
            runs = [self._run(layer, d, x, taken, before, source) for d in range(1 + self.bidirectional)]
            ends += [end for _, _, end in runs]
            x = torch.cat([y for y, _, _ in runs], -1)
            taken = torch.cat([kept + i * self.hidden_size for i, (_, kept, _) in enumerate(runs)])
        assert taken is not None
        out = x.new_zeros(*x.shape[:-1], (1 + self.bidirectional) * self.hidden_size)
        out = out.index_copy(-1, taken, x)
        h, c = (torch.stack(parts) for parts in zip(*ends, strict=True))
        if alone:
            return out.squeeze(1), (h.squeeze(1), c.squeeze(1))
        return out.transpose(0, 1) if axis == 0 else out, (h, c)

    def _states(self, x: Tensor, hx: State | None, alone: bool) -> State:
        count = self.num_layers * (1 + self.bidirectional)
        shape = count, x.shape[1], self.hidden_size
        if hx is None:
            zeros = x.new_zeros(shape)
            return zeros, zeros
        h, c = (part.unsqueeze(1) if alone else part for part in hx)
        if tuple(h.shape) != shape or tuple(c.shape) != shape:
            rule, found = f"holds two states of shape {shape}", (tuple(h.shape), tuple(c.shape))
            raise DropkitError("hx", rule, found, "give what the last call returned")
        return h, c

    def _run(
        self, layer: int, direction: int, x: Tensor, taken: Tensor | None, before: State, source: Source
    ) -> tuple[Tensor, Tensor, State]:
        """Return what the kept units of one direction show, which they are, and their states among zeros."""
        place = layer * (1 + self.bidirectional) + direction
        size, scale = self.hidden_size, 1 / (1 - self.p) if self.p < 1 else 0.0
        kept = kept_units(x, size, self.p, fold("unit", source, place))
        rows = torch.cat([kept + gate * size for gate in range(_GATES)])
        first, recurrent, *biases = self.all_weights[place]
        entering = pick(first, rows, 0) if taken is None else pick(pick(first, rows, 0), taken, 1)
        weights = [entering, scale * pick(pick(recurrent, rows, 0), kept, 1), *(b[rows] for b in biases)]
        start = tuple(part[place].index_select(-1, kept).unsqueeze(0) for part in before)
        if len(kept) == 0:
            empty = F.linear(x, entering)  # of no units, but their gradients are 0
            end = tuple(x.new_zeros(x.shape[1], size) for _ in range(2))
            return empty, kept, end  # type: ignore[return-value]  # a pair
        along = x.flip(0) if direction else x
        y, h, c = torch.lstm(along, start, weights, self.bias, 1, 0.0, self.training, False, False)
        y = y.flip(0) if direction else y
        end = tuple(x.new_zeros(x.shape[1], size).index_copy(-1, kept, part.squeeze(0)) for part in (h, c))
        return y * scale, kept, end  # type: ignore[return-value]  # a pair

    def extra_repr(self) -> str:
        """Show the sizes and the rate."""
        return f"{nn.LSTM.extra_repr(self)}, p={self.p}"
