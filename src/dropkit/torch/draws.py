"""Draws for methods that decide by themselves: at the same addresses as every other dropout.

A `Drop` at a rate that is one number never comes here: `Layer` carries it, and keeps no mask. What is drawn
here is an ordinary tensor, which a method compares, multiplies and differentiates as its paper says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Unpack

import torch

from dropkit.core import noise as noises
from dropkit.core.address import Words
from dropkit.core.bind import Window
from dropkit.core.check import DropkitError
from dropkit.core.choose import fallen
from dropkit.core.groups import Groups, Pattern
from dropkit.core.key import Key
from dropkit.core.rate import threshold
from dropkit.torch.autograd import eager
from dropkit.torch.check import check_source
from dropkit.torch.functional import Source
from dropkit.torch.keys import AnyKey, draw_tensor, draw_words, key_tensor, key_words, refuse_trace
from dropkit.torch.native import NativeDraws
from dropkit.torch.run import constant

__all__ = ["below", "below_but_one", "fold", "normal", "numbers", "picked", "unit", "words"]

Tensor = torch.Tensor
_WORD = 2.0**32
_ALL = Pattern("n -> n")


def words(
    like: Tensor,
    shape: Sequence[int] | None = None,
    groups: str | Groups = "...",
    *,
    second: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Return u of every group: a whole number below 2**32, as int64.

    Args:
        like: a tensor on the device where the draws are wanted.
        shape: of the array whose entries are grouped; by default that of `like`.
        groups: which entries share a draw: a pattern, `Blocks` or `KofN`.
        second: draw the second uniform of each group, as methods do that need a pair.
        **source: `key` and `generator`; see `dropkit.torch.functional.Source`. Two calls that shall draw
            apart under one key fold it first.

    Returns:
        int64, of a shape that broadcasts to `shape`: 1 along axes that share their draws.

    >>> words(torch.ones(2, 3), groups="b t -> b", key=42).tolist()
    [[3248152260], [3631874400]]
    """
    check_source(**source)
    shape = tuple(like.shape) if shape is None else tuple(shape)
    if _plain(like):
        found = _drawn(like, shape, groups, source)
        return found.second() if second else found.u  # type: ignore[no-any-return]  # they are tensors
    key = source.get("key")
    tensor = draw_tensor(like, source.get("generator")) if key is None else key_tensor(key, like)
    target = like.new_empty(()).expand(shape)
    u: Tensor = torch.ops.dropkit.words(target, tensor, _text(groups), second)
    return u


def below(like: Tensor, rate: Any, groups: str | Groups = "...", **source: Unpack[Source]) -> Tensor:
    """Return which entries fall at these rates: one number, or a tensor that broadcasts to `like`.

    The comparison is that of every dropout: u < round(rate * 2**32), exact to 2**-33.

    >>> below(torch.ones(4), torch.tensor([0.0, 1.0, 0.0, 1.0]), key=1)
    tensor([False,  True, False,  True])
    """
    if _plain(like) and isinstance(rate, float | int) and like.numel():
        check_source(**source)
        return _drawn(like, tuple(like.shape), groups, source).below(rate)  # type: ignore[no-any-return]  # a tensor
    u = words(like, None, groups, **source)
    rate = rate.detach().to(torch.float64) if isinstance(rate, Tensor) else float(rate)
    gone: Tensor = u < threshold(rate, torch)
    return gone


def below_but_one(like: Tensor, rate: float, able: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
    """Return which entries fall at a rate, but for the largest draw of each row: see `core.choose.fallen`.

    Args:
        like: the tensor whose entries fall; a row is its last axis.
        rate: one number.
        able: which entries count as one that stays; a row without any loses nothing. All, if left out.
        **source: as in `words`.

    >>> below_but_one(torch.ones(2, 3), 1.0, key=1).sum(-1)
    tensor([2, 2])
    """
    if not _plain(like):
        return fallen(words(like, **source), threshold(rate, torch), torch, able)  # type: ignore[no-any-return]  # a tensor
    check_source(**source)
    own: Source = {"key": Key(*_word(like, source))}
    gone = below(like, rate, **own)
    # The largest draw of a row is asked for in the few rows that would lose all.
    lost = ~(~gone if able is None else able & ~gone).any(-1)
    if able is not None and lost.any():
        helpless = lost & ~able.any(-1)
        gone[helpless], lost = False, lost & ~helpless
    if lost.any():
        u = words(like, **own)[lost]
        gone[lost] = fallen(u, threshold(rate, torch), torch, None if able is None else able[lost])
    return gone


def picked(like: Tensor, marks: Tensor, noise: str = "normal", **source: Unpack[Source]) -> Tensor:
    """Return what `normal` or `unit` draws for the marked entries alone, in their order.

    On the CPU only what lies between the first and the last mark of a part is drawn, where a part is one of
    the first two axes, e.g. a channel of an image.

    Args:
        like: of three axes or more.
        marks: bool, of its shape.
        noise: `"normal"`, or `"uniform"` for `unit`.
        **source: as in `words`.

    >>> marks = torch.tensor([[[True, False, True]]])
    >>> torch.equal(picked(marks.float(), marks, key=1), normal(marks.float(), key=1)[marks])
    True
    """
    if not _plain(like):
        return (normal if noise == "normal" else unit)(like, **source)[marks]
    check_source(**source)
    word = _word(like, source)
    first = _between(marks, word, False)
    if noise == "uniform":
        return (first.to(torch.float64) + 0.5) / _WORD
    z: Tensor = noises.Gaussian().standard(torch, first, lambda: _between(marks, word, True))
    return z


def _between(marks: Tensor, word: Words[int], second: bool) -> Tensor:
    """Draw a run for each part from its first to its last mark, and return the words of the marked."""
    parts, total = marks.flatten(0, 1).flatten(1), marks.numel()
    size = parts.shape[1]
    begins = parts.to(torch.int8).argmax(1).tolist()
    ends = (size - parts.flip(1).to(torch.int8).argmax(1)).tolist()
    found = [torch.empty(0, dtype=torch.int64)]
    for i in parts.any(1).nonzero().flatten().tolist():
        run = slice(begins[i], ends[i])
        layout = _ALL.layout((run.stop - run.start,), Window((i * size + run.start,), (total,)))
        draws = NativeDraws(torch, layout, word, "cpu")
        found.append((draws.second() if second else draws.u)[parts[i, run]])
    return torch.cat(found)


def unit(
    like: Tensor, shape: Sequence[int] | None = None, groups: str | Groups = "...", **source: Unpack[Source]
) -> Tensor:
    """Return uniform draws in (0, 1), in float64: (u + 1/2) / 2**32, so that no logarithm is infinite."""
    return (words(like, shape, groups, **source).to(torch.float64) + 0.5) / _WORD


def numbers(drawn: Tensor) -> list[Any]:
    """Return draws as numbers, for decisions that Python takes: a layer runs or not, this wide or that.

    Raises:
        DropkitError: each sample of `vmap` drew its own, and all go one way in Python.

    >>> numbers(words(torch.ones(1), key=42))
    [3248152260]
    """
    inner = drawn
    while torch._C._are_functorch_transforms_active() and _wrapped(inner):
        if torch._C._functorch.is_batchedtensor(inner):
            rule = "has randomness='same' where a draw decides what is computed"
            raise DropkitError("vmap", rule, "different", "pass randomness='same', or loop over the samples")
        inner = torch._C._functorch.get_unwrapped(inner)
    listed: list[Any] = drawn.tolist()
    return listed


def normal(
    like: Tensor, shape: Sequence[int] | None = None, groups: str | Groups = "...", **source: Unpack[Source]
) -> Tensor:
    """Return standard normal draws in float64, those of `dropkit.core.noise.Gaussian`.

    >>> normal(torch.ones(2), key=3).dtype
    torch.float64
    """
    check_source(**source)
    key = source.get("key")
    if key is None:
        key = draw_tensor(like, source.get("generator"))
    first = words(like, shape, groups, key=key)
    z: Tensor = noises.Gaussian().standard(
        torch, first, lambda: words(like, shape, groups, second=True, key=key)
    )
    return z


def fold(name: str, source: Source, i: int = 0) -> Source:
    """Return a source of its own for one of several draws of a call: a given key is folded by a name.

    Without a key nothing changes: each draw takes a number of its own from the generator.

    >>> fold("gate", {"key": 1})["key"]
    Key(word=1, call=0, stream=4064905952)
    """
    key = source.get("key")
    if key is None:
        return source
    if torch.compiler.is_compiling():
        return {"key": torch.ops.dropkit.fold(_graph_key(key), name, i)}
    return {"key": (_key(key) if isinstance(key, Tensor) else Key.of(key)).fold(name, i)}


def _graph_key(key: AnyKey) -> Tensor:
    """Return a key as a tensor on the CPU: a graph may get another one at each call, and traces no digest."""
    if isinstance(key, Tensor) and not key.is_cpu:
        mend = "give an int or a dropkit.Key, or no key at all"
        rule = "lies on the CPU where a call draws several times"
        raise DropkitError("key", rule, str(key.device), mend)
    return key_tensor(key, torch.empty((), device="cpu"))


def _word(like: Tensor, source: Source) -> Words[int]:
    """Return the key of a call on the CPU as numbers: that which is given, or one of the generator."""
    refuse_trace()
    key = source.get("key")
    return draw_words(like, source.get("generator")) if key is None else key_words(key)


def _drawn(like: Tensor, shape: tuple[int, ...], groups: str | Groups, source: Source) -> NativeDraws:
    return NativeDraws(torch, _rule(groups).layout(shape), _word(like, source), "cpu")


def _wrapped(x: Tensor) -> bool:
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(x))


def _rule(groups: str | Groups) -> Groups:
    return groups if isinstance(groups, Groups) else Pattern(groups)


# A rule cannot be read inside a graph, but its text is a constant there.
@constant
def _text(groups: str | Groups) -> str:
    return json.dumps(_rule(groups).to_json())


def _key(key: Tensor) -> Key:
    if not _plain(key):
        mend = "give an int or a dropkit.Key, or no key at all"
        raise DropkitError(
            "key", "is no tensor of a graph where a call draws several times", "a tensor", mend
        )
    return Key(*key_words(key))


def _plain(x: Tensor) -> bool:
    return x.is_cpu and eager(x)
