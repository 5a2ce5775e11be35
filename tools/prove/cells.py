"""Promises 3 and 4: one key, one mask, whatever runs; and one mask forward and backward."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit import Blocks, Drop, Window
from dropkit.torch import Drop as Layer
from tools.prove.proof import Measured, NotMeasured

__all__ = ["cells", "compiled", "cuda", "forward_backward", "one_mask"]

Tensor = torch.Tensor

KEY = 1_207_0580
RATES = 0.1, 0.5, 0.9
TYPES = torch.float64, torch.float32, torch.bfloat16, torch.float16
DROPS: dict[str, Callable[[float], Drop]] = {
    "entry": Drop,
    "alpha": lambda rate: Drop(rate, noise="alpha"),
    "sample": lambda rate: Drop(rate, "b ... -> b"),
    "last axis": lambda rate: Drop(rate, "... c -> c"),
    "blocks": lambda rate: Drop(rate, Blocks((2, 3), over="h w")),
}
# (2, 3, 3, 3) is the shape of pytorch #47176, (3, 3) that of #174078.
SHAPES = (
    (3, 3),
    (2, 3, 3, 3),
    (5, 7),
    (64, 65),
    (2, 3, 129),
    (4, 8, 5, 6),
    (1, 1),
    (1, 257, 2),
    (2, 2, 3, 4, 5),
)
LARGE = (8, 64, 4096)  # pytorch #198333


class Cell(NamedTuple):
    """One comparison with the NumPy reference."""

    drop: str
    shape: tuple[int, ...]
    rate: float
    dtype: torch.dtype
    layout: str
    how: str


def cells(every: int = 1) -> list[Cell]:
    """Return all comparisons, or one out of `every`."""
    whole = itertools.product(DROPS, SHAPES, RATES, TYPES, LAYOUTS, HOWS)
    return [Cell(*parts) for parts in whole][::every]


def one_mask(chosen: Iterable[Cell] | None = None) -> Measured:
    """Compare decisions with the NumPy reference over shape, stride, type, rate and the way of calling."""
    count = differing = 0
    for cell in cells() if chosen is None else chosen:
        x = LAYOUTS[cell.layout](torch.ones(cell.shape, dtype=cell.dtype))
        y = HOWS[cell.how](DROPS[cell.drop](cell.rate), x)
        count += 1
        differing += not np.array_equal(_gone(y), reference(cell.drop, cell.shape, cell.rate))
    return Measured(differing == 0, f"{differing} of {count:,} cells differ from the NumPy reference")


def compiled(backend: str = "inductor") -> Measured:
    """Compare compiled graphs with the reference; the transpose inside is that of #198333 and #174078."""
    count = differing = 0
    for name, shape in itertools.product(("entry", "last axis"), (*SHAPES[:3], LARGE)):
        torch.compiler.reset()
        layer = Layer(DROPS[name](0.5))
        run = torch.compile(functools.partial(_transposing, layer), fullgraph=True, backend=backend)
        y = run(torch.ones(shape).transpose(-1, -2))
        count += 1
        differing += not np.array_equal(_gone(y), reference(name, shape, 0.5))
    return Measured(differing == 0, f"{differing} of {count} graphs compiled by {backend} differ")


def cuda() -> Measured:
    """Compare masks drawn on a GPU with the reference."""
    if not torch.cuda.is_available():
        raise NotMeasured("no GPU on this machine")
    count = differing = 0
    for name, shape, rate, dtype in itertools.product(DROPS, SHAPES, RATES, TYPES):
        y = dropkit.drop(torch.ones(shape, dtype=dtype, device="cuda"), *_arguments(name, rate), key=KEY)
        count += 1
        differing += not np.array_equal(_gone(y.cpu()), reference(name, shape, rate))
    return Measured(differing == 0, f"{differing} of {count} cells on {torch.cuda.get_device_name()} differ")


def forward_backward(every: int = 1, compilers: tuple[str, ...] = ("aot_eager", "inductor")) -> Measured:
    """Compare the entries that forward dropped with the gradients that are zero, without an explicit key."""
    ways: dict[str, Callable[[Any], Callable[[Tensor], Tensor]]] = {
        "plain": lambda layer: layer,
        "checkpoint": lambda layer: functools.partial(_checkpointed, layer, False),
        "reentrant checkpoint": lambda layer: functools.partial(_checkpointed, layer, True),
    }
    count = differing = 0
    for name, shape, rate, dtype, way in list(itertools.product(DROPS, SHAPES, RATES, TYPES, ways))[::every]:
        count += 1
        differing += _masks_differ(ways[way](Layer(DROPS[name](rate))), shape, dtype)
    for name, shape, backend, saved in itertools.product(DROPS, SHAPES[1:3], compilers, (False, True)):
        if DROPS[name](0.5).groups.kind == "blocks" and len(shape) < 3:
            continue
        torch.compiler.reset()
        layer = Layer(DROPS[name](0.5))
        run = functools.partial(_checkpointed, layer, False) if saved else layer
        count += 1
        differing += _masks_differ(torch.compile(run, fullgraph=True, backend=backend), shape, torch.float32)
    return Measured(
        differing == 0, f"{differing} of {count:,} cells have two masks (plain, checkpointed, compiled)"
    )


@functools.cache
def reference(name: str, shape: tuple[int, ...], rate: float) -> np.ndarray:
    """Return what the NumPy reference drops."""
    return np.asarray(dropkit.mask(KEY, shape, DROPS[name](rate)) == 0)


def _gone(y: Tensor) -> np.ndarray:
    """A dropped 1 is 0, or under alpha noise below it; a kept one is above."""
    return np.asarray(y.detach().to(torch.float64).numpy() <= 0)


def _masks_differ(run: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    x = torch.ones(shape, dtype=dtype, requires_grad=True)
    y = run(x)
    torch.autograd.backward(y, torch.ones_like(y))
    assert x.grad is not None
    return not np.array_equal(_gone(y), x.grad.to(torch.float64).numpy() == 0)


def _transposing(layer: Any, x: Tensor) -> Tensor:
    y: Tensor = layer(x.transpose(-1, -2).contiguous(), key=KEY)
    return y


def _checkpointed(layer: Any, reentrant: bool, x: Tensor) -> Tensor:
    y: Tensor = checkpoint(lambda x: layer(x * 1.0), x, use_reentrant=reentrant)
    return y


def _arguments(name: str, rate: float) -> tuple[Any, ...]:
    drop = DROPS[name](rate)
    return drop.rate, drop.groups


# Memory


def _channels_last(x: Tensor) -> Tensor:
    """The second axis runs fastest, whatever the rank."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def _gaps(x: Tensor) -> Tensor:
    """Every second entry of a larger channels-last tensor, as in #47176."""
    return _channels_last(torch.cat([x, x], -1))[..., ::2]


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "dense": lambda x: x,
    "transposed": lambda x: x.mT.contiguous().mT,
    "channels last": _channels_last,
    "gaps": _gaps,
}


# Ways of calling


def _drop(drop: Drop, x: Tensor, window: Window = Window()) -> Tensor:  # noqa: B008 - frozen
    y: Tensor = dropkit.torch.functional.drop(x, drop, key=KEY, window=window)
    return y


def _layer(drop: Drop, x: Tensor) -> Tensor:
    y: Tensor = Layer(drop)(x, key=KEY)
    return y


def _with_gradient(drop: Drop, x: Tensor) -> Tensor:
    return _drop(drop, x.requires_grad_())


def _inplace(drop: Drop, x: Tensor) -> Tensor:
    y: Tensor = Layer(drop, inplace=True)(x.clone(memory_format=torch.preserve_format), key=KEY)
    return y


def _halves(drop: Drop, x: Tensor) -> Tensor:
    """Two ranks, each with half of the batch."""
    cut, whole = len(x) // 2, tuple(x.shape)
    return torch.cat([_drop(drop, x[:cut], Window((), whole)), _drop(drop, x[cut:], Window((cut,), whole))])


def _threads(drop: Drop, x: Tensor) -> Tensor:
    with _thread_count(5):
        return _drop(drop, x)


@contextmanager
def _thread_count(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


HOWS: dict[str, Callable[[Drop, Tensor], Tensor]] = {
    "function": _drop,
    "layer": _layer,
    "gradient": _with_gradient,
    "in place": _inplace,
    "halves": _halves,
    "five threads": _threads,
}
