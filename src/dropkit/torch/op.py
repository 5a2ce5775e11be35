"""The operators: one draws a key, one applies a dropout under it, one applies the gradient's map.

One more copies a threshold that will move on, one gives the bare draws to methods that decide by
themselves, and one folds a key whose numbers are known only when the graph runs.

`draw` takes a tensor and is tagged as seeded: without the tag, compiling with checkpointing gives silently
wrong gradients; without a tensor argument Inductor cannot place it.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch.library import Library, register_fake, register_vmap

from dropkit.core import groups as grouping
from dropkit.core.key import Key
from dropkit.torch.keys import draw, key_tensor, key_words
from dropkit.torch.run import Call, drawn, run

__all__: list[str] = []

Tensor = torch.Tensor

_LIBRARY: Any = Library("dropkit", "DEF")  # type: ignore[no-untyped-call]  # torch.library is untyped
_LIBRARY.define("draw(Tensor x) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_LIBRARY.define("now(Tensor x) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_LIBRARY.define("drop(Tensor x, Tensor key, str law, float? rate, Tensor? threshold, Tensor? fill) -> Tensor")
_LIBRARY.define("words(Tensor like, Tensor key, str groups, bool second) -> Tensor")
_LIBRARY.define("fold(Tensor key, str name, int i) -> Tensor")
_LIBRARY.define("scale(Tensor x, Tensor key, str law, float? rate, Tensor? threshold) -> Tensor")


def _drop(
    x: Tensor, key: Tensor, law: str, rate: float | None, threshold: Tensor | None, fill: Tensor | None
) -> Tensor:
    return run(x, key_words(key), Call(law, rate, threshold), fill=fill)


def _scale(x: Tensor, key: Tensor, law: str, rate: float | None, threshold: Tensor | None) -> Tensor:
    return run(x, key_words(key), Call(law, rate, threshold), linear=True)


def _words(like: Tensor, key: Tensor, groups: str, second: bool) -> Tensor:
    rule, shape = grouping.from_json(json.loads(groups)), tuple(like.shape)
    return drawn(rule, shape, key_words(key), second, like.device).expand(shape).contiguous()


def _fold(key: Tensor, name: str, i: int) -> Tensor:
    return key_tensor(Key(*key_words(key)).fold(name, i), key)


def _fake_fold(key: Tensor, *_: Any) -> Tensor:
    return torch.empty(3, dtype=torch.int64, device=key.device)


def _fake_words(like: Tensor, *_: Any) -> Tensor:
    return torch.empty(like.shape, dtype=torch.int64, device=like.device)


def _fake_draw(x: Tensor) -> Tensor:
    return torch.empty((), dtype=torch.int64, device=x.device)


def _fake(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


def _vmap_draw(info: Any, in_dims: Any, x: Tensor) -> tuple[Tensor, int | None]:
    if info.randomness == "error":
        raise RuntimeError(
            "vmap: called dropout while in randomness error mode. Pass randomness='same' for one mask, or "
            "randomness='different' for one a sample, to vmap"
        )
    if info.randomness == "same":
        return torch.ops.dropkit.draw(x), None
    # Each draw asks for a tensor of its own, or a compiler takes them as one.
    asked = [torch.empty((), device=x.device) for _ in range(info.batch_size)]
    return torch.stack([torch.ops.dropkit.draw(each) for each in asked]), 0


def _vmap(name: str) -> Any:
    """Every sample in its own call: its mask is that of the same sample alone under the same key."""
    op = getattr(torch.ops.dropkit, name)

    def batched(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
        pairs = list(zip(arguments, in_dims, strict=True))
        samples = [
            op(*(a if d is None else a.select(d, i) for a, d in pairs)) for i in range(info.batch_size)
        ]
        return torch.stack(samples), 0

    return batched


def _now(x: Tensor) -> Tensor:
    """Copy what will move on; the tag keeps a compiler from copying it again in backward, when it has."""
    return x.clone()


def _vmap_now(info: Any, in_dims: Any, x: Tensor) -> tuple[Tensor, int | None]:
    return torch.ops.dropkit.now(x), in_dims[0]


_OPERATORS: tuple[tuple[str, Any, Any, Any], ...] = (
    ("draw", draw, _fake_draw, _vmap_draw),
    ("now", _now, _fake, _vmap_now),
    ("drop", _drop, _fake, None),
    ("scale", _scale, _fake, None),
    ("words", _words, _fake_words, None),
    ("fold", _fold, _fake_fold, None),
)
for _name, _kernel, _shape, _batched in _OPERATORS:
    _LIBRARY.impl(_name, _kernel, "CompositeExplicitAutograd")
    register_fake(f"dropkit::{_name}", _shape, lib=_LIBRARY)
    register_vmap(f"dropkit::{_name}", _batched or _vmap(_name), lib=_LIBRARY)
