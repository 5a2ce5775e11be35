"""The parts of the table: what is measured, and what a figure in them says."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks import attention, forward, memory, skip, steps
from benchmarks.cell import Case

__all__ = ["PARTS", "Part"]


class Part(NamedTuple):
    """A table: its title, what its figures say, its lines."""

    title: str
    says: str
    cases: Callable[[], list[Case]]


FASTER = "time of the peer / time of dropkit: above 1 dropkit is faster"
PARTS = {
    "elementwise": Part("Dropout, entry by entry, rate 0.5", FASTER, forward.cases),
    "memory": Part("Memory", "bytes an entry", memory.cases),
    "attention": Part(
        "Attention with dropout, rate 0.1",
        "time of PyTorch's call / time of dropkit's with dropout: above 1 dropkit is faster",
        attention.cases,
    ),
    "steps": Part(
        "Training steps",
        "time of the step / time of the step without dropout: 1 is dropout for nothing",
        steps.cases,
    ),
    "skip": Part(
        "Steps that leave out what is dropped",
        "time of the step / time of the step without dropout: below 1 dropping makes it faster",
        skip.cases,
    ),
}
