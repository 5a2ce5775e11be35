"""What dropout keeps for backward, and how far memory rises above what was there, in bytes an entry.

python -m benchmarks memory
"""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.cell import Case
from benchmarks.turns import Work
from dropkit.torch import functional, scaled_dot_product_attention

__all__ = ["cases", "kept", "peak"]

Tensor = torch.Tensor
ENTRIES = 16_777_216
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def kept(function: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Return the bytes that a forward pass keeps for backward, the input and the output left out."""
    held: dict[int, int] = {}

    def pack(saved: Tensor) -> Tensor:
        held[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        y = function(x)
    for tensor in (x, y):
        held.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(held.values())


def peak(work: Work) -> int:
    """Return how far the process's memory rose above what it held before, in bytes (Linux)."""
    work()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back, or the next call would take it unseen
    CLEAR.write_text("5")  # the kernel takes the present memory as the highest so far
    before = _status("VmRSS")
    result = work()
    rise = _status("VmHWM") - before
    del result
    return rise


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name + ":"))
    return 1024 * int(line.split()[1])


def elementwise(entries: int = ENTRIES) -> dict[str, float]:
    """Compare what is kept for the backward pass."""
    x = torch.randn(entries, requires_grad=True)
    return {name: round(kept(function, x) / entries, 3) for name, function in _FUNCTIONS.items()}


def risen(entries: int = ENTRIES) -> dict[str, float]:
    """Compare the highest memory of forward and backward, output and gradient included."""
    x = torch.randn(entries, requires_grad=True)
    gradient = torch.ones_like(x)

    def step(function: Callable[[Tensor], Tensor]) -> Work:
        return lambda: torch.autograd.grad(function(x), x, gradient)

    return {name: round(peak(step(function)) / entries, 1) for name, function in _FUNCTIONS.items()}


def attention(length: int) -> dict[str, float]:
    """Compare the highest memory of attention with dropout, forward and backward, an entry of q."""
    q, k, v = (torch.randn(1, 8, length, 64, requires_grad=True) for _ in range(3))
    gradient = torch.ones_like(q)

    def step(function: Callable[..., Tensor]) -> Work:
        return lambda: torch.autograd.grad(function(q, k, v, dropout_p=0.1), (q, k, v), gradient)

    peers = {"dropkit": scaled_dot_product_attention, "PyTorch": F.scaled_dot_product_attention}
    return {name: round(peak(step(function)) / q.numel(), 1) for name, function in peers.items()}


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "dropkit": lambda x: functional.dropout(x, 0.5),
    "F.dropout": lambda x: F.dropout(x, 0.5),
    "F.relu": F.relu,
}


def cases() -> list[Case]:
    """Return every line."""
    risky = [
        Case("forward + backward, highest", f"{ENTRIES:,} float32", risen),
        *(
            Case("attention, highest", f"1x8x{n}x64", functools.partial(attention, n))
            for n in (1024, 2048, 4096)
        ),
    ]
    whole = Case("kept for backward", f"{ENTRIES:,} float32", elementwise)
    return [whole, *(risky if CLEAR.exists() else [])]
