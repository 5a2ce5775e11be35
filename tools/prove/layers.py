"""Promises 8, 9 and 10: eval is the identity, gradients, a stable stream."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import dropkit
from dropkit import Blocks, Drop, Key, KofN
from dropkit import torch as layers
from dropkit.torch.layer import Layer
from tools.prove.proof import Measured

__all__ = ["GOLDEN", "eval_identity", "golden", "gradients", "half_types", "metadata"]

Tensor = torch.Tensor

# What a layer takes besides its rate, and the ranks of its input. Those with an eval map of their own stand
# below.
LAYERS: dict[str, tuple[tuple[dict[str, Any], ...], tuple[int, ...]]] = {
    "Dropout": (({}, {"scale": "none"}), (0, 1, 2, 3, 4, 5)),
    "Dropout1d": (({},), (2, 3)),
    "Dropout2d": (({},), (4,)),
    "Dropout3d": (({},), (4, 5)),
    "AlphaDropout": (({},), (0, 1, 2, 3, 4)),
    "FeatureAlphaDropout": (({},), (2, 3, 4)),
    "GaussianDropout": (({},), (0, 1, 2, 3, 4)),
    "UniformDropout": (({},), (0, 1, 2, 3, 4)),
    "SpatialDropout": (({}, {"channels_last": True}), (2, 3, 4, 5)),
    "DropPath": (({}, {"per": "batch"}, {"scale_by_keep": False}), (1, 2, 3, 4)),
    "LockedDropout": (({}, {"batch_first": False}), (3,)),
    "HeadDropout": (({},), (3, 4)),
    "InputDropout": (({},), (1, 2, 3, 4)),
    "TokenDropout": (({}, {"prefix": 1}), (3,)),
    "DropBlock2d": (({"block_size": 2}, {"block_size": (3, 2), "couple_channels": True}), (4,)),
}
TYPES = torch.float64, torch.float32, torch.bfloat16, torch.float16
SCALED = ("Dropout", "SpatialDropout", "LockedDropout", "DropBlock2d")  # these take scale="eval" too

GOLDEN: dict[str, tuple[Drop, tuple[int, ...], str]] = {
    "entry": (Drop(0.5), (64, 65), "c15e213597297c41"),
    "low rate": (Drop(0.1), (4097,), "0a0d3604dca68c72"),
    "channels": (Drop(0.3, "b c h w -> b c"), (33, 31, 2, 2), "0693ba8b1e8e5ebf"),
    "inner axes first": (Drop(0.3, "b t d -> d b"), (17, 2, 29), "21ff8cde5c7eb5b6"),
    "blocks": (Drop(0.2, Blocks((2, 3), over="h w")), (3, 5, 17, 19), "7ac8ddc823da103f"),
    "k of n": (Drop(None, KofN(5, over="t")), (40, 16), "4df998bd51d1b607"),
}
"""Masks of address version 1 under Key(42).fold("golden", 7): sha256 of the packed decisions, its start."""


def named_layers(rate: float) -> Iterator[tuple[Layer, int]]:
    """Yield every layer whose eval map is the identity, with each set of arguments and each rank of input."""
    for name, (arguments, ranks) in LAYERS.items():
        for more, rank in itertools.product(arguments, ranks):
            yield getattr(layers, name)(rate, **more), rank


def eval_identity(repeats: int = 60) -> Measured:
    """Call every layer in eval on generated inputs: it must return the very object."""
    random = np.random.default_rng(8)
    count = copies = 0
    for _, rate in itertools.product(range(repeats), (0.0, 0.3, 1.0)):
        for layer, rank in named_layers(rate):
            x = _generated(random, rank)
            count += 1
            copies += layer.eval()(x) is not x
    return Measured(copies == 0, f"{copies} of {count:,} inputs came back as another object")


def gradients(rates: tuple[float, ...] = (0.0, 0.3, 1.0), second: bool = True) -> Measured:
    """Compare gradients with finite differences in float64 for each layer and argument, `second` ones too."""
    cases = [case for rate in rates for case in _differentiable(rate)]
    wrong = [name for name, run, inputs in cases if not _gradient_holds(run, inputs, second)]
    return Measured(not wrong, f"{len(wrong)} of {len(cases)} gradients wrong" + ": ".join(["", *wrong]))


def half_types(rates: tuple[float, ...] = (0.1, 0.5)) -> Measured:
    """Compare half types with the float32 reference, forward and backward."""
    random, worst, count = torch.Generator().manual_seed(9), 0.0, 0
    for rate, dtype in itertools.product(rates, (torch.bfloat16, torch.float16)):
        for layer, rank in named_layers(rate):
            x = torch.randn((4,) * rank, generator=random).to(dtype)
            for half, exact in zip(_both(layer, x), _both(layer, x.float()), strict=True):
                worst, count = max(worst, _ulp(half, exact)), count + 1
    return Measured(
        worst <= 2, f"half types within {worst:.2f} ulp of float32 in {count} comparisons, bound 2"
    )


def golden() -> Measured:
    """Compare masks with the values that were fixed for this address version."""
    wrong = [name for name, (drop, shape, digest) in GOLDEN.items() if digest_of(drop, shape) != digest]
    return Measured(not wrong, f"{len(GOLDEN) - len(wrong)} of {len(GOLDEN)} masks are those of version 1")


def metadata() -> Measured:
    """Look for the address version in the metadata of every layer's state_dict, and never among its keys."""
    found = [layer.state_dict() for layer, _ in named_layers(0.3)]
    right = sum(state._metadata[""]["version"] == dropkit.ADDRESS_VERSION and not state for state in found)  # type: ignore[attr-defined]  # torch adds it
    return Measured(
        right == len(found), f"{right} of {len(found)} state_dicts carry the version in metadata alone"
    )


def digest_of(drop: Drop, shape: tuple[int, ...]) -> str:
    """Return the digest of a mask."""
    mask = dropkit.mask(Key(42).fold("golden", 7), shape, drop)
    return hashlib.sha256(np.packbits(mask == 0).tobytes()).hexdigest()[:16]


def _generated(random: np.random.Generator, rank: int) -> Tensor:
    """A tensor of random shape, type, memory and values: empty ones, infinities and NaN among them."""
    shape = tuple(random.integers(0, 5, rank).tolist())
    values = random.standard_normal(shape) * 10.0 ** random.integers(-40, 40)
    wild = np.where(random.random(shape) < 0.1, random.choice([np.nan, np.inf, -np.inf]), values)
    x = torch.from_numpy(np.asarray(wild)).to(TYPES[random.integers(len(TYPES))])
    return x.transpose(0, -1) if rank and random.random() < 0.5 else x


def _differentiable(rate: float) -> Iterator[tuple[str, Callable[..., Tensor], tuple[Tensor, ...]]]:
    """Yield every layer with each of its arguments as a function of the tensors that it takes."""
    cases = list(named_layers(rate))
    cases += [(getattr(layers, name)(rate, scale="eval"), max(LAYERS[name][1])) for name in SCALED]
    for layer, rank in cases:
        yield f"{layer} on rank {rank}", _keyed(layer), (_normal((2, 3, 2, 3, 2)[:rank]),)
    cell = layers.Zoneout(rate)
    yield f"{cell}", _keyed(cell), (_normal((3, 4)), _normal((3, 4)))
    table = torch.nn.Embedding(5, 3).double()
    words = layers.EmbeddingDropout(table, rate)
    yield f"{words}", lambda weight: _embedded(words, weight), (_normal((5, 3)),)


def _keyed(layer: Layer) -> Callable[..., Tensor]:
    return lambda *inputs: layer.train()(*inputs, key=3)


def _embedded(layer: Layer, weight: Tensor) -> Tensor:
    given = {"embedding.weight": weight}
    ids = torch.tensor([[0, 3], [3, 4]])
    y: Tensor = torch.func.functional_call(layer.train(), given, (ids,), {"key": 3})
    return y


def _gradient_holds(run: Callable[..., Tensor], inputs: tuple[Tensor, ...], second: bool = True) -> bool:
    ours = tuple(x.requires_grad_() for x in inputs)
    first = torch.autograd.gradcheck(run, ours, raise_exception=False)
    return first and (not second or torch.autograd.gradgradcheck(run, ours, raise_exception=False))


def _normal(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def _both(layer: Layer, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    y = layer.train()(x, key=5)
    torch.autograd.backward(y, torch.full_like(y, 1.5))
    assert x.grad is not None
    return y.detach(), x.grad


def _ulp(half: Tensor, exact: Tensor) -> float:
    """Return the largest error in units of the last place of the exact value, in the half type."""
    info = torch.finfo(half.dtype)
    exponent = torch.floor(torch.log2(exact.abs().clamp_min(info.tiny)))
    return float(((half.float() - exact).abs() / (info.eps * 2.0**exponent)).max()) if exact.numel() else 0.0
