"""The operators: one draws a key, one applies a dropout under it, one applies the gradient's map.

Each forward takes one number from torch's generator, and that number is the whole key: seeding, forking and
checkpointing with preserved state work as they do for torch's own dropout. Nothing but the key is kept for backward.
"""

from __future__ import annotations

import functools
import json
from typing import Any, NamedTuple, NoReturn

import torch
from torch.library import Library, register_fake, register_vmap

from dropkit.core import reference
from dropkit.core.address import Words
from dropkit.core.bind import Window
from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.groups import Draws
from dropkit.core.key import Key
from dropkit.core.rate import ONE
from dropkit.core.reference import Arrays
from dropkit.torch.native import NativeDraws, plan

__all__ = ["AnyKey", "Call", "describe", "draw_key", "key_tensor", "law_of", "perform", "plain"]

Tensor = torch.Tensor
AnyKey = int | Key | Tensor


class Call(NamedTuple):
    """What is asked: a law (see `law_of`), its rate if that is one number, its threshold if a schedule moves it."""

    law: str
    rate: float | None = None
    threshold: Tensor | None = None


_MASK = 2**64 - 1
_WHOLE_ARRAY = Window()


def law_of(drop: Drop, window: Window = _WHOLE_ARRAY) -> str:
    """Return all of a description but a plain rate, as the text that an operator can carry through a graph."""
    data = json.loads(drop.to_json())
    if isinstance(drop.rate, float):
        data["rate"] = 0.0
    if window != _WHOLE_ARRAY:
        data["window"] = [window.start, window.whole]
    return json.dumps(data)


@functools.lru_cache(maxsize=4096)
def describe(law: str) -> tuple[Drop, Window]:
    """Return what `law_of` wrote down."""
    start, whole = json.loads(law).get("window", [(), None])
    return Drop.from_json(law), Window(tuple(start), None if whole is None else tuple(whole))


def draw_key(x: Tensor, generator: torch.Generator | None = None) -> int | Tensor:
    """Take one key from torch's generator: an int, or a tensor where the key must stay on its device or in a graph."""
    if plain(x):
        if torch.jit.is_tracing():
            _refuse("traced", "a trace would freeze one mask for ever")
        return int(_draw(x, generator).item()) & _MASK
    if generator is None:
        return torch.ops.dropkit.draw(x)  # type: ignore[no-any-return]  # operators are untyped
    if torch.compiler.is_compiling():
        _refuse("compiled together with generator=", "a generator has no place in a graph")
    return _draw(x, generator)


def key_tensor(key: int | Key | Tensor, x: Tensor) -> Tensor:
    """Return a key as the tensor that an operator takes: one number, or word, call and stream."""
    if isinstance(key, torch.Tensor):
        return key
    words = [_signed(word) for word in Key.of(key).words]
    return torch.tensor(words, dtype=torch.int64, device=x.device)


def plain(x: Tensor) -> bool:
    """Whether nothing stands between us and the memory of this tensor: no graph, no transform, no fake, no device."""
    return (
        not torch.compiler.is_compiling()
        and type(x) in (torch.Tensor, torch.nn.Parameter)
        and x.is_cpu
        and not torch._C._are_functorch_transforms_active()
    )


def _refuse(how: str, why: str) -> NoReturn:
    mend = "call model.eval() first, or use torch.compile or torch.export without a generator"
    raise DropkitError("dropout", f"cannot draw while it is {how}: {why}", "a training-mode call", mend)


def perform(
    x: Tensor,
    key: AnyKey,
    call: Call,
    *,
    fill: Tensor | None = None,
    linear: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Return m x + b (m x alone where `linear`) under a key; no gradient is recorded."""
    if plain(x):
        return _run(x, key_words(key), call, fill, linear, x if inplace else None)
    tensor = key_tensor(key, x)
    y = (
        torch.ops.dropkit.scale(x, tensor, *call)
        if linear
        else torch.ops.dropkit.drop(x, tensor, *call, fill)
    )
    return x.copy_(y) if inplace else y  # type: ignore[no-any-return]  # operators are untyped


def key_words(key: int | Key | Tensor) -> Words[Any]:
    """Return the numbers of a key; those of a tensor stay on its device unless that is the CPU."""
    if isinstance(key, int):
        return Words(key, 0, 0)
    if isinstance(key, Key):
        return key.words
    if key.is_cpu:
        word, call, stream = key.tolist() if key.ndim else (key.item(), 0, 0)
        return Words(word & _MASK, call, stream)
    return Words(*key.unbind()) if key.ndim else Words(key, 0, 0)


def _run(
    x: Tensor, words: Words[Any], call: Call, fill: Tensor | None, linear: bool, out: Tensor | None = None
) -> Tensor:
    """Work on real memory, in the order in which the result lies there: the group index is logical all the same."""
    drop, window = describe(call.law)
    if out is None:
        out = torch.empty_like(x)
    rate = rate_of(drop, x, call)
    if x.is_cpu and fill is None and isinstance(rate, float):
        loop = plan(drop, window, rate, x.dtype, x.shape, out.stride(), linear)
        if loop is not None:
            return loop(x if x.stride() == out.stride() else out.copy_(x), out, words)
    arrays = Arrays(torch, x.device, NativeDraws if x.is_cpu else Draws)
    wide, wide_fill = _widen(x), None if fill is None else _widen(fill)
    y = reference.transform(
        wide, drop, words, rate, window=window, fill=wide_fill, linear=linear, arrays=arrays
    )
    return out.copy_(y)


def rate_of(drop: Drop, x: Tensor, call: Call) -> Any:
    """Return the rate of a call: a number, or an array on the device of x."""
    if call.threshold is not None:
        # Waiting for the number would stop a CUDA stream; on the CPU it is there already.
        word = call.threshold
        return word.item() / ONE if word.is_cpu else word.to(torch.float64) / ONE
    if call.rate is not None:
        return call.rate
    return reference.entry_rate(drop, tuple(x.shape), Arrays(torch, x.device))


def _widen(x: Tensor) -> Tensor:
    """Arithmetic happens in float32 at least: a factor of 1 / 0.9 would be 1.109 in bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


_LIBRARY = Library("dropkit", "DEF")
_LIBRARY.define("draw(Tensor x) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_LIBRARY.define("drop(Tensor x, Tensor key, str law, float? rate, Tensor? threshold, Tensor? fill) -> Tensor")
_LIBRARY.define("scale(Tensor x, Tensor key, str law, float? rate, Tensor? threshold) -> Tensor")


def _draw(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    return torch.empty((), dtype=torch.int64, device=x.device).random_(-(2**63), None, generator=generator)


def _drop(
    x: Tensor, key: Tensor, law: str, rate: float | None, threshold: Tensor | None, fill: Tensor | None
) -> Tensor:
    return _run(x, key_words(key), Call(law, rate, threshold), fill, linear=False)


def _scale(x: Tensor, key: Tensor, law: str, rate: float | None, threshold: Tensor | None) -> Tensor:
    return _run(x, key_words(key), Call(law, rate, threshold), None, linear=True)


for _name, _function in (("draw", _draw), ("drop", _drop), ("scale", _scale)):
    _LIBRARY.impl(_name, _function, "CompositeExplicitAutograd")


@register_fake("dropkit::draw", lib=_LIBRARY)
def _fake_draw(x: Tensor) -> Tensor:
    return torch.empty((), dtype=torch.int64, device=x.device)


@register_fake("dropkit::drop", lib=_LIBRARY)
def _fake_drop(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


@register_fake("dropkit::scale", lib=_LIBRARY)
def _fake_scale(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


@register_vmap("dropkit::draw", lib=_LIBRARY)
def _vmap_draw(info: Any, in_dims: Any, x: Tensor) -> tuple[Tensor, int | None]:
    if info.randomness == "error":
        raise RuntimeError(
            "vmap: called dropout while in randomness error mode. Pass randomness='same' for one mask, or "
            "randomness='different' for one a sample, to vmap"
        )
    if info.randomness == "same":
        return torch.ops.dropkit.draw(x), None
    return torch.stack([torch.ops.dropkit.draw(x) for _ in range(info.batch_size)]), 0


def _vmap(op: Any, info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
    """Every sample in its own call: its mask is that of the same sample alone under the same key."""
    samples = (
        op(*(a if d is None else a.select(d, i) for a, d in zip(arguments, in_dims, strict=True)))
        for i in range(info.batch_size)
    )
    return torch.stack(list(samples)), 0


@register_vmap("dropkit::drop", lib=_LIBRARY)
def _vmap_drop(info: Any, in_dims: Any, *arguments: Any) -> tuple[Tensor, int]:
    return _vmap(torch.ops.dropkit.drop, info, in_dims, *arguments)


@register_vmap("dropkit::scale", lib=_LIBRARY)
def _vmap_scale(info: Any, in_dims: Any, *arguments: Any) -> tuple[Tensor, int]:
    return _vmap(torch.ops.dropkit.scale, info, in_dims, *arguments)
