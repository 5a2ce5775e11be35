"""Where a key comes from: each forward takes one number from torch's generator, and that is the whole key.

So seeding, forking and checkpointing with preserved state work as they do for torch's own dropout.
"""

from __future__ import annotations

import threading
from typing import Any, NoReturn

import torch

from dropkit.core.address import Words
from dropkit.core.check import DropkitError
from dropkit.core.key import Key

__all__ = [
    "AnyKey",
    "check_key",
    "draw",
    "draw_tensor",
    "draw_words",
    "key_tensor",
    "key_words",
    "refuse_trace",
]

Tensor = torch.Tensor
AnyKey = int | Key | Tensor
_MASK = 2**64 - 1


_LOCAL = threading.local()


def _box() -> Tensor:
    """One number a thread to draw into: a fresh tensor for each call would cost more than the draw."""
    try:
        word: Tensor = _LOCAL.word
    except AttributeError:
        with torch.inference_mode(False):
            word = _LOCAL.word = torch.empty((), dtype=torch.int64, device="cpu")
    return word


def draw(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Take one number from the generator in use, as a tensor on the device of x."""
    return torch.empty((), dtype=torch.int64, device=x.device).random_(-(2**63), None, generator=generator)


def draw_words(x: Tensor, generator: torch.Generator | None = None) -> Words[Any]:
    """Take one key: a number for a tensor on the CPU, a tensor of one where it must stay on its device."""
    if not x.is_cpu:
        return Words(draw(x, generator), 0, 0)
    return Words(int(_box().random_(-(2**63), None, generator=generator).item()) & _MASK, 0, 0)


def draw_tensor(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Take one key that stays on its device, or in its graph."""
    if generator is None:
        return torch.ops.dropkit.draw(_asked_by(x))  # type: ignore[no-any-return]  # operators are untyped
    if torch.compiler.is_compiling():
        torch._dynamo.graph_break(msg="generator= goes with eager mode: no generator has a place in a graph")
    return draw(x, generator)


def _asked_by(x: Tensor) -> Tensor:
    """Return the tensor that a key is drawn for, so that each call gets a number of its own.

    Under `vmap` it has samples where the mode of randomness says so: a weight that all samples share has
    none, and the rule of the operator would not be asked. torch's own random functions follow the mode in
    every case; an empty one takes nothing from the generator. In a graph it is new at each call: a compiler
    takes two draws for the same tensor as one.
    """
    if torch._C._are_functorch_transforms_active():
        return torch.rand((0,), device=x.device).sum()
    return torch.empty((), device=x.device) if torch.compiler.is_compiling() else x


def check_key(key: AnyKey) -> None:
    """Refuse what is no key."""
    if isinstance(key, torch.Tensor):
        _check_tensor(key)
    else:
        Key.of(key)


def key_words(key: AnyKey) -> Words[Any]:
    """Return the numbers of a key; those of a tensor stay on its device unless that is the CPU."""
    if not isinstance(key, torch.Tensor):
        return Key.of(key).words
    if not _check_tensor(key).is_cpu:
        return Words(*key.unbind()) if key.ndim else Words(key, 0, 0)
    word, call, stream = key.tolist() if key.ndim else (key.item(), 0, 0)
    return Words(int(word) & _MASK, call, stream)


def key_tensor(key: AnyKey, x: Tensor) -> Tensor:
    """Return a key as the tensor that an operator takes: one number, or word, call and stream."""
    if isinstance(key, torch.Tensor):
        return _check_tensor(key)
    word, call, stream = Key.of(key).words
    signed = word - 2**64 if word >= 2**63 else word
    return torch.tensor([signed, call, stream], dtype=torch.int64, device=x.device)


def refuse_trace() -> None:
    """Refuse `torch.jit.trace`, which cannot see the loop and would freeze one mask for ever."""
    if torch._C._get_tracing_state() is not None:
        _refuse("traced", "a trace would freeze one mask for ever")


def _check_tensor(key: Tensor) -> Tensor:
    if key.dtype != torch.int64 or tuple(key.shape) not in ((), (3,)):
        rule = "is one int64 number, or three: word, call and stream"
        raise DropkitError("key", rule, (key.dtype, tuple(key.shape)), "write e.g. torch.tensor(42)")
    return key


def _refuse(how: str, why: str) -> NoReturn:
    mend = "call model.eval() first, or use torch.compile or torch.export without a generator"
    raise DropkitError("dropout", f"cannot draw while it is {how}: {why}", "a training-mode call", mend)
