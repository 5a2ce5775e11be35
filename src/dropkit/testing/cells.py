"""What PyTorch does with layers: copies, types, transforms, compilers; once for each path of the engine."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit.core import reference
from dropkit.core.noise import TwoPoint
from dropkit.testing.contract import Finding, Report
from dropkit.torch.layer import Layer

__all__ = ["examine_layer"]

Tensor = torch.Tensor
Make = Callable[[], Layer]

_KEY = 5


def examine_layer(
    make: Make, shape: tuple[int, ...], backends: tuple[str, ...] = ("aot_eager", "inductor")
) -> Report:
    """Examine how a layer goes through PyTorch's machinery.

    Args:
        make: makes a layer in training mode, with a rate strictly between 0 and 1.
        shape: an input with so many groups that two right masks are not equal by chance.
        backends: compilers to try: "inductor" takes some 10 seconds.

    Returns:
        One finding for each part of the machinery, under the trait that it could break.

    >>> from dropkit.torch import DropPath
    >>> examine_layer(lambda: DropPath(0.5), (64, 3), backends=()).passed
    True
    """
    findings = [_find(trait, cell, make, shape) for trait, cell in CELLS]
    findings += [_find("gradient", functools.partial(compiled, backend), make, shape) for backend in backends]
    return Report(repr(make()), tuple(findings))


def half_types(make: Make, x: Tensor) -> str:
    """Half types draw the mask of float32 and come back as they are."""
    exact = make()(x, key=_KEY)
    for dtype in (torch.bfloat16, torch.float16):
        y = make()(x.to(dtype), key=_KEY)
        if y.dtype != dtype or bool(((y.float() - exact).abs() > _roundings(dtype, exact)).any()):
            return f"{dtype} differs from float32"
    return ""


def autocast(make: Make, x: Tensor) -> str:
    """Autocast changes the type of what comes in, and no mask."""
    with torch.autocast("cpu", torch.bfloat16):
        y = make()(x.to(torch.bfloat16), key=_KEY)
    return "" if torch.equal(y, make()(x.to(torch.bfloat16), key=_KEY)) else "autocast changes the mask"


def copies(make: Make, x: Tensor) -> str:
    """Deep copies and pickles are the same layer."""
    layer = make()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        if repr(other) != repr(layer) or not torch.equal(other(x, key=_KEY), layer(x, key=_KEY)):
            return "a copy differs"
        if not torch.equal(_seeded(other, x), _seeded(layer, x)):
            return "a copy draws otherwise from the same seed"
    return ""


def state_dict(make: Make, x: Tensor) -> str:
    """A state_dict carries the address version in its metadata, and fits a fresh layer."""
    saved, fresh = make().state_dict(), make()
    fresh.load_state_dict(saved)
    if saved._metadata[""]["version"] != dropkit.ADDRESS_VERSION:  # type: ignore[attr-defined]  # torch adds it
        return "the address version is missing"
    return "" if torch.equal(fresh(x, key=_KEY), make()(x, key=_KEY)) else "a loaded layer differs"


def seeds(make: Make, x: Tensor) -> str:
    """torch.manual_seed decides the mask, the next call has another one, eval leaves the generator alone."""
    layer = make()
    first, second = _seeded(layer, x), layer(x)
    if not torch.equal(first, _seeded(layer, x)):
        return "the same seed gives another mask"
    before = torch.get_rng_state()
    layer.eval()(x)
    if not torch.equal(before, torch.get_rng_state()):
        return "eval moved the generator"
    return "the mask is frozen" if torch.equal(first, second) else ""


def vmapped(make: Make, x: Tensor) -> str:
    """Under vmap, randomness "same" gives one mask and "different" one a sample."""
    layer, batch = make(), torch.stack([x, x])
    same = torch.func.vmap(layer, randomness="same")(batch)
    different = torch.func.vmap(layer, randomness="different")(batch)
    if not torch.equal(same[0], same[1]):
        return "randomness 'same' gives two masks"
    return "randomness 'different' gives one mask" if torch.equal(different[0], different[1]) else ""


def checkpointed(make: Make, x: Tensor) -> str:
    """Recomputation draws the mask of the forward pass again, reentrant or not."""
    for reentrant in (False, True):
        layer = make()
        if not _one_mask(layer, functools.partial(checkpoint, layer, use_reentrant=reentrant), x):
            return f"use_reentrant={reentrant} gives the gradient of another mask"
    return ""


def compiled(backend: str, make: Make, x: Tensor) -> str:
    """One graph without a break, the eager mask under a key, one mask forward and backward."""
    torch.compiler.reset()
    layer = make()
    run: Any = torch.compile(layer, fullgraph=True, backend=backend)
    if not _close(run(x, key=_KEY), layer(x, key=_KEY)):
        return f"{backend} draws another mask"
    return "" if _one_mask(layer, run, x) else f"{backend} gives the gradient of another mask"


CELLS: tuple[tuple[str, Callable[[Make, Tensor], str]], ...] = (
    ("key", half_types),
    ("key", autocast),
    ("key", copies),
    ("key", state_dict),
    ("key", seeds),
    ("key", vmapped),
    ("gradient", checkpointed),
)
"""What is examined, with the trait that it could break."""


def _find(trait: str, cell: Callable[[Make, Tensor], str], make: Make, shape: tuple[int, ...]) -> Finding:
    function = cell.func if isinstance(cell, functools.partial) else cell
    with torch.random.fork_rng():
        try:
            wrong = cell(make, torch.ones(shape))
        except Exception as error:  # whatever a stranger's layer raises is a finding about it
            wrong = f"raised {type(error).__name__}: {error}"
    sentence = wrong or (function.__doc__ or "").strip()
    return Finding(trait, function.__name__, "failed" if wrong else "passed", int(bool(wrong)), 0, sentence)


def _seeded(layer: Layer, x: Tensor) -> Tensor:
    torch.manual_seed(11)
    y: Tensor = layer(x)
    return y


def _roundings(dtype: torch.dtype, exact: Tensor) -> Tensor:
    """One rounding of m or of each of a x and b, one of their sum, one of the result."""
    return 3 * torch.finfo(dtype).eps * (1 + exact.abs())


def _close(y: Tensor, exact: Tensor) -> bool:
    return not bool(((y - exact).abs() > _roundings(exact.dtype, exact)).any())


def _one_mask(layer: Layer, run: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether the output is the one that belongs to the gradient: m + shift where m is kept, else `fill`."""
    x = x.clone().requires_grad_()
    y = run(x)
    torch.autograd.backward(y, torch.ones_like(y))
    assert x.grad is not None
    description = layer.description
    if not isinstance(description.noise, TwoPoint):
        return _close(y.detach(), x.grad)
    rate = reference.entry_rate(description, tuple(x.shape))
    _, shift, fill = map(torch.as_tensor, description.noise.affine(rate, description.scale))
    return _close(y.detach(), torch.where(x.grad == 0, fill, x.grad + shift))
