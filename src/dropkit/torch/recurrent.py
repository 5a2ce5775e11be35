"""LSTM, GRU and RNN with dropout at every site; in all else those of `torch.nn`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Unpack

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from dropkit.core.check import DropkitError, suggest
from dropkit.core.rate import check as check_rate
from dropkit.methods.dropout import dropout
from dropkit.torch.check import TensorError, check_source, check_tensor
from dropkit.torch.draws import fold
from dropkit.torch.functional import Source
from dropkit.torch.layer import Drop
from dropkit.torch.recurrence import STEPS, Factors, State, Weights, recur
from dropkit.torch.recurrent_sites import Sites, describe_site, is_gated
from dropkit.torch.sequences import Batch, read, write

__all__ = ["DropGRU", "DropLSTM", "DropRNN"]

Tensor = torch.Tensor
_KERNELS = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}


class _Recurrent(nn.RNNBase):
    """What the three have in common: sites, and a pass layer by layer.

    Noise between layers and at both ends leaves each layer to the fused kernel. Only noise inside the
    recurrence takes a loop over the steps, and only of the layers and modes in which it acts.
    """

    known: ClassVar[tuple[str, ...]]
    sites: nn.ModuleDict

    def take_over(self, dropout_rate: Any) -> None:
        """Become one of ours: for a network of torch whose dropout between layers passes to a site."""
        self.dropout = 0.0
        self._put(dropout_rate, {})

    def _put(self, dropout_rate: Any, sites: Mapping[str, Any]) -> None:
        given = {name: value for name, value in sites.items() if value is not None}
        for name, value in given.items():
            if name not in self.known:
                rule = f"is a site of another network than {type(self).__name__}"
                raise DropkitError(name, rule, value, suggest(name, self.known))
        if isinstance(dropout_rate, float | int) and dropout_rate == 0:
            pass
        elif "between" in given:
            raise DropkitError("dropout", "is 0 where between is given", dropout_rate, "give one of the two")
        else:
            given["between"] = dropout(check_rate(dropout_rate, "dropout"))
        if "between" in given and self.num_layers == 1:
            # Presets name the site whatever the number of layers, hence no word about theirs.
            _warn_of_one_layer(dropout_rate)
            del given["between"]
        self.sites = nn.ModuleDict({name: Drop(describe_site(name, value)) for name, value in given.items()})

    def _forward(self, input: Any, hx: Any, source: Source) -> tuple[Any, State]:
        check_source(**source)
        batch = read(input, self.input_size, self.batch_first)
        _check_type(batch.x, self._flat_weights[0])
        before = self._states(hx, batch)
        x, last = batch.x, []
        for layer in range(self.num_layers):
            name = "between" if layer else "input"
            entering = self._factor(name, layer, x, x.shape[-1], source) if self._gated(name) else None
            if entering is None:
                x = self._drop(name, layer, x, source)
            x, state = self._layer(layer, x, self._of(before, layer), entering, batch.lengths, source)
            last.append(state)
        x = self._drop("output", 0, x, source)
        after = tuple(torch.cat(parts) for parts in zip(*last, strict=True))
        return write(x, input, self.batch_first), after if batch.batched else tuple(
            s.squeeze(1) for s in after
        )

    def _layer(
        self,
        layer: int,
        x: Tensor,
        state: State,
        entering: Tensor | None,
        lengths: Tensor | None,
        source: Source,
    ) -> tuple[Tensor, State]:
        if entering is None and not any(self._acts(name) for name in Factors._fields):
            return self._fused(layer, x, state, lengths)
        ends = None if lengths is None else lengths.to(x.device)
        runs = []
        for direction in range(self._directions):
            own = tuple(part[direction] for part in state)
            factors = self._factors(f"{layer}.{direction}", x, source)
            weights = self._weights(layer * self._directions + direction)
            step, reverse = STEPS[self.mode], direction == 1
            runs.append(recur(step, x, own, entering, factors, weights, ends, reverse))
        states = zip(*(last for _, last in runs), strict=True)
        return torch.cat([y for y, _ in runs], -1), tuple(torch.stack(parts) for parts in states)

    def _fused(self, layer: int, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        kernel, count = _KERNELS[self.mode], self._directions
        groups = self.all_weights[layer * count : (layer + 1) * count]
        how = [w for group in groups for w in group], self.bias, 1, 0.0, self.training, self.bidirectional
        if lengths is None:
            y, *last = kernel(x, _told(state), *how, True)  # type: ignore[operator]  # it is untyped
            return y, tuple(last)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, sizes, order, back = packed
        assert order is not None  # it was asked to sort
        assert back is not None
        ordered = tuple(part.index_select(1, order) for part in state)
        y, *last = kernel(packed.data, sizes, _told(ordered), *how)  # type: ignore[operator]  # it is untyped
        y, _ = pad_packed_sequence(PackedSequence(y, sizes, order, back), True, total_length=x.shape[1])
        return y, tuple(part.index_select(1, back) for part in last)

    def _drop(self, name: str, layer: int, x: Tensor, source: Source) -> Tensor:
        if not self._acts(name):
            return x
        site = self._site(name)
        y: Tensor = site(x, **fold(f"{name}.{layer}", site.source({**source})))
        return y

    def _factors(self, where: str, x: Tensor, source: Source) -> Factors:
        sizes = dict.fromkeys(Factors._fields, self.hidden_size)
        sizes["state"] = sizes["zoneout"] = self._given
        return Factors(**{name: self._factor(name, where, x, size, source) for name, size in sizes.items()})

    def _factor(self, name: str, where: Any, like: Tensor, size: int, source: Source) -> Tensor | None:
        """Return the factor of a site: (batch, time, features), perhaps with an axis for the gates too."""
        if not self._acts(name):
            return None
        site = self._site(name)
        groups = site.description.groups
        steps = like.shape[1] if "t" in groups.parsed.right else 1
        gates = (len(self._weights(0).hh) // self.hidden_size,) if self._gated(name) else ()
        kind = torch.promote_types(like.dtype, torch.float32)
        ones = like.new_ones((len(like), steps, *gates, size), dtype=kind)
        m: Tensor = site(ones, **fold(f"{name}.{where}", site.source({**source})))
        return m

    def _acts(self, name: str) -> bool:
        if name not in self.sites:
            return False
        site = self._site(name)
        return site.can_draw and (site.drawing or site.acts_in_eval)

    def _gated(self, name: str) -> bool:
        """Whether each gate has masks of its own."""
        return name in self.sites and is_gated(self._site(name).description)

    def _site(self, name: str) -> Drop:
        site = self.sites[name]
        assert isinstance(site, Drop)
        return site

    def _weights(self, index: int) -> Weights:
        ih, hh, *others = self.all_weights[index]
        ih_bias, hh_bias = others[:2] if self.bias else (None, None)
        return Weights(ih, hh, ih_bias, hh_bias, others[-1] if self.proj_size else None)

    def _of(self, states: State, layer: int) -> State:
        first = layer * self._directions
        return tuple(part[first : first + self._directions] for part in states)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _given(self) -> int:
        """The size of the hidden state."""
        return self.proj_size or self.hidden_size

    def _states(self, hx: Any, batch: Batch) -> State:
        count, rows = self.num_layers * self._directions, len(batch.x)
        sizes = (self._given, self.hidden_size)[: 2 if self.mode == "LSTM" else 1]
        if hx is None:
            return tuple(batch.x.new_zeros((count, rows, size)) for size in sizes)
        states = tuple(hx) if self.mode == "LSTM" else (hx,)
        if len(states) != len(sizes):
            raise DropkitError("hx", "is a pair (h, c)", len(states), "give both states")
        for state, size in zip(states, sizes, strict=True):
            check_tensor(state, "hx")
            shape = (count, rows, size) if batch.batched else (count, size)
            if tuple(state.shape) != shape:
                mend = "give a state for each layer, direction and sequence"
                raise TensorError("hx", f"has the shape {shape}", tuple(state.shape), mend)
        return states if batch.batched else tuple(state.unsqueeze(1) for state in states)

    def flatten_parameters(self) -> None:
        """Lay the weights of each layer side by side: cuDNN is called once a layer."""
        flat, count = self._flat_weights, self._directions
        each = len(flat) // self.num_layers
        for layer in range(self.num_layers):
            own = flat[layer * each : (layer + 1) * each]
            facts = dict.fromkeys(("_flat_weights", "_flat_weights_names"), own)
            size = self._given * count if layer else self.input_size
            shared = ("mode", "bias", "hidden_size", "proj_size", "batch_first", "bidirectional")
            facts |= {name: getattr(self, name) for name in shared} | {"input_size": size, "num_layers": 1}
            nn.RNNBase.flatten_parameters(SimpleNamespace(**facts))  # type: ignore[arg-type]  # it reads these alone


class DropLSTM(_Recurrent, nn.LSTM):
    """`torch.nn.LSTM` with dropout at any site; without one, and in evaluation, it is that class.

    Arguments, outputs, states and names of weights are those of `torch.nn.LSTM`: state_dicts load both ways,
    unless a site follows a schedule, whose step is kept too. `dropout` is torch's, fresh at each step between
    layers; it becomes the site "between". Presets of papers are keyword arguments, e.g. `**gal_dropout(0.3)`.

    Noise at "input", "between" and "output" leaves each layer to torch's fused kernel; noise at the other
    sites takes a loop over the steps while it acts.

    Args:
        input_size: features a step.
        hidden_size: units a layer.
        num_layers: layers.
        bias: whether the gates have biases.
        batch_first: whether the axes are (batch, time, features) instead of (time, batch, features). Masks
            do not depend on it: descriptions always say b t d.
        dropout: the rate between layers, in [0, 1].
        bidirectional: whether a second run goes backwards in time.
        proj_size: the size of the projected hidden state, 0 for none.
        device: of the weights.
        dtype: of the weights.
        **sites: see `Sites`; the axis g, as in "b t g d -> b g d", gives each gate its own mask.

    Shape: (batch, time, input_size), or (time, batch, input_size), (time, input_size), or a `PackedSequence`;
    gives (output, (h, c)).

    Raises:
        DropkitError: a site is unknown, a rate out of range, a description for other axes; a `TensorError` if
            input or state has another shape.

    >>> from dropkit.methods.semeniuta_dropout import semeniuta_dropout
    >>> layer = DropLSTM(10, 20, batch_first=True, input=0.2, **semeniuta_dropout(0.3))
    >>> output, (h, c) = layer(torch.randn(3, 7, 10))
    >>> output.shape, h.shape
    (torch.Size([3, 7, 20]), torch.Size([1, 3, 20]))
    """

    known = tuple(Sites.__annotations__)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: Any = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **sites: Unpack[Sites],
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            0.0,
            bidirectional,
            proj_size,
            device=device,
            dtype=dtype,
        )
        self._put(dropout, sites)

    def forward(
        self, input: Any, hx: tuple[Tensor, Tensor] | None = None, **source: Unpack[Source]
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """Return (output, (h, c)).

        Args:
            input: a tensor or a `PackedSequence`.
            hx: the states before the first step, zeros by default.
            **source: `key` and `generator`, as in every layer.
        """
        output, (h, c) = self._forward(input, hx, source)
        return output, (h, c)


class DropGRU(_Recurrent, nn.GRU):
    """`torch.nn.GRU` with dropout at any site. Arguments as in `DropLSTM`; a GRU has no cell state.

    >>> output, h = DropGRU(10, 20, state=0.2, zoneout=0.1)(torch.randn(7, 3, 10))
    >>> output.shape, h.shape
    (torch.Size([7, 3, 20]), torch.Size([1, 3, 20]))
    """

    known = ("input", "between", "output", "state", "candidate", "zoneout")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: Any = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **sites: Unpack[Sites],
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            0.0,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self._put(dropout, sites)

    def forward(self, input: Any, hx: Tensor | None = None, **source: Unpack[Source]) -> tuple[Any, Tensor]:
        """Return (output, h). Arguments as in `DropLSTM`."""
        output, (h,) = self._forward(input, hx, source)
        return output, h


class DropRNN(_Recurrent, nn.RNN):
    """`torch.nn.RNN` with dropout at any site. Arguments as in `DropLSTM`; it has neither cell nor candidate.

    >>> output, h = DropRNN(10, 20, nonlinearity="relu", state=0.2)(torch.randn(7, 3, 10))
    >>> output.shape, h.shape
    (torch.Size([7, 3, 20]), torch.Size([1, 3, 20]))
    """

    known = ("input", "between", "output", "state", "zoneout")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: Any = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **sites: Unpack[Sites],
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            nonlinearity,
            bias,
            batch_first,
            0.0,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self._put(dropout, sites)

    def forward(self, input: Any, hx: Tensor | None = None, **source: Unpack[Source]) -> tuple[Any, Tensor]:
        """Return (output, h). Arguments as in `DropLSTM`."""
        output, (h,) = self._forward(input, hx, source)
        return output, h


def _check_type(x: Tensor, weight: Any) -> None:
    """Refuse another type than that of the weights, which autocast would bring together."""
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        mend = "convert it, e.g. input.to(layer.weight_ih_l0.dtype)"
        raise TensorError("input", f"has the type of the weights, {weight.dtype}", x.dtype, mend)


def _told(state: State) -> Any:
    """Return a state as torch's kernels take it."""
    return state if len(state) > 1 else state[0]


def _warn_of_one_layer(rate: Any) -> None:
    if not (isinstance(rate, float | int) and rate == 0):
        text = f"dropout={rate} acts between layers, and there is one layer alone: take input= or output="
        warnings.warn(text, stacklevel=4)
