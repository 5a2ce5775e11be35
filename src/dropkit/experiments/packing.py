"""Nested state, such as an optimizer's, as JSON types and tensors, so that no file need be unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["pack", "unpack"]


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A nested value as JSON types; its tensors are put, dense, into `tensors` under a number each.

    Args:
        value: of dicts, tuples, lists, numbers, texts, None and tensors.
        tensors: is added to.

    Raises:
        TypeError: it holds something else.

    >>> tensors: dict[str, Tensor] = {}
    >>> packed = pack({0: (0.9, torch.ones(2))}, tensors)
    >>> unpack(packed, tensors)
    {0: (0.9, tensor([1., 1.]))}
    """
    match value:
        case Tensor():
            return _pack_tensor(value.detach(), tensors)
        case Mapping():
            return {"dict": [[pack(name, tensors), pack(each, tensors)] for name, each in value.items()]}
        case tuple():
            return {"tuple": [pack(each, tensors) for each in value]}
        case list():
            return [pack(each, tensors) for each in value]
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"{type(value).__name__} cannot be kept without pickling")


def _pack_tensor(value: Tensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    name = str(len(tensors))
    tensors[name] = value.to_dense()
    layout = str(value.layout).removeprefix("torch.")
    # Kernels that step through two tensors at once want both in one order, such as channels_last.
    turned = value.layout is torch.strided and not value.is_contiguous() and 0 not in value.stride()
    return {"tensor": name, "layout": layout, "stride": list(value.stride()) if turned else None}


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value that `pack` made this of."""
    match packed:
        case {"tensor": name}:
            return _unpack_tensor(tensors[name], packed["layout"], packed["stride"])
        case {"dict": items}:
            return {unpack(name, tensors): unpack(each, tensors) for name, each in items}
        case {"tuple": items}:
            return tuple(unpack(each, tensors) for each in items)
        case list():
            return [unpack(each, tensors) for each in packed]
    return packed


def _unpack_tensor(dense: Tensor, layout: str, stride: list[int] | None) -> Tensor:
    if stride is not None:
        return torch.empty_strided(dense.shape, stride, dtype=dense.dtype).copy_(dense)
    return dense if layout == "strided" else dense.to_sparse(layout=getattr(torch, layout))
