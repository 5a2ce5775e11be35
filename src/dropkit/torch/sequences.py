"""What a recurrent network is given, laid out as (batch, time, features), and given back in its own form."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from dropkit.torch.check import TensorError, check_tensor

__all__ = ["Batch", "check_sequence", "read", "write"]

Tensor = torch.Tensor


class Batch(NamedTuple):
    """An input: (batch, time, features), the lengths of its sequences, and whether it had an axis for them.

    The rows of a `PackedSequence` stand in the order in which the caller knows them.
    """

    x: Tensor
    lengths: Tensor | None
    batched: bool


def read(input: Any, features: int, batch_first: bool) -> Batch:
    """Lay an input out.

    Args:
        input: (batch, time, features) or (time, batch, features), (time, features), or a `PackedSequence`.
        features: the size of its last axis.
        batch_first: which of the two it is.

    Raises:
        TensorError: the shape is another one, or there is no step.

    >>> read(torch.ones(5, 2, 3), 3, batch_first=False).x.shape
    torch.Size([2, 5, 3])
    """
    check_sequence(input, features, batch_first)
    if isinstance(input, PackedSequence):
        return Batch(*pad_packed_sequence(input, batch_first=True), True)
    x = input[None] if input.dim() == 2 else input if batch_first else input.transpose(0, 1)
    return Batch(x, None, input.dim() == 3)


def check_sequence(input: Any, features: int, batch_first: bool) -> None:
    """Refuse what `read` cannot lay out: another shape, or no step."""
    if isinstance(input, PackedSequence):
        check_tensor(input.data)
        _check_shape(input.data, (2,), features, batch_first)
        return
    check_tensor(input)
    _check_shape(input, (2, 3), features, batch_first)
    if input.shape[1 if batch_first and input.dim() == 3 else 0] == 0:
        raise TensorError("input", "has one step at least", tuple(input.shape), "leave empty sequences out")


def write(x: Tensor, input: Any, batch_first: bool) -> Any:
    """Return an output (batch, time, features) in the form of the input.

    >>> write(torch.ones(2, 5, 4), torch.ones(5, 2, 3), batch_first=False).shape
    torch.Size([5, 2, 4])
    """
    if not isinstance(input, PackedSequence):
        return x.squeeze(0) if input.dim() == 2 else x if batch_first else x.transpose(0, 1)
    _, sizes, order, back = input
    rows = x if order is None else x.index_select(0, order)
    # How many sequences are longer than each step is what `sizes` says; these are their lengths, sorted.
    lengths = (sizes > torch.arange(int(sizes[0]), device=sizes.device)[:, None]).sum(1)
    data = pack_padded_sequence(rows, lengths, batch_first=True).data
    return PackedSequence(data, sizes, order, back)


def _check_shape(x: Tensor, ranks: tuple[int, ...], features: int, batch_first: bool) -> None:
    if x.dim() not in ranks or x.shape[-1] != features:
        order = "batch, time" if batch_first else "time, batch"
        rule = f"has the shape ({order}, {features}), or (time, {features}) without a batch"
        raise TensorError("input", rule, tuple(x.shape), "give input_size features a step")
