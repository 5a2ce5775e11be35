"""The native loops. Each has a plain twin with the same decision bits in dropkit.core."""

from collections.abc import Sequence
from typing import Any

from numpy import bool_, int64, uint32
from numpy.typing import NDArray

class Layout:
    """The group of the entry at index (i_0, i_1, ...) is base + sum of i_k * strides[k]; once a shape.

    The entry lies at the sum of i_k * x[k] in the input, of i_k * out[k] in the result; by default densely.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        strides: Sequence[int],
        base: int = 0,
        x: Sequence[int] | None = None,
        out: Sequence[int] | None = None,
    ) -> None: ...
    @property
    def entries(self) -> int: ...

def two_point(
    x: NDArray[Any],
    out: NDArray[Any],
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    threshold: int,
    scale: float,
    shift: float,
    fill: float,
    threads: int = 1,
) -> None:
    """Write out = fill where dropped, else x * scale + shift; both dense float32 or float64, in place too."""

def _two_point_float32_at(
    x: int,
    out: int,
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    threshold: int,
    scale: float,
    shift: float,
    fill: float,
    threads: int,
) -> None: ...
def _continuous_float32_at(
    x: int,
    out: int,
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    kind: int,
    mean: float,
    deviation: float,
    threads: int,
) -> None: ...
def _two_point_float64_at(
    x: int,
    out: int,
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    threshold: int,
    scale: float,
    shift: float,
    fill: float,
    threads: int,
) -> None: ...
def _continuous_float64_at(
    x: int,
    out: int,
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    kind: int,
    mean: float,
    deviation: float,
    threads: int,
) -> None: ...
def _two_point_float16_at(
    x: int,
    out: int,
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    threshold: int,
    scale: float,
    shift: float,
    fill: float,
    threads: int,
) -> None: ...
def _continuous_float16_at(
    x: int,
    out: int,
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    kind: int,
    mean: float,
    deviation: float,
    threads: int,
) -> None: ...
def _two_point_bfloat16_at(
    x: int,
    out: int,
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    threshold: int,
    scale: float,
    shift: float,
    fill: float,
    threads: int,
) -> None: ...
def _continuous_bfloat16_at(
    x: int,
    out: int,
    layout: Layout,
    key: int,
    call: int,
    stream: int,
    kind: int,
    mean: float,
    deviation: float,
    threads: int,
) -> None: ...
def dropped(
    out: NDArray[bool_], layout: Layout, key: int, call: int, stream: int, threshold: int, threads: int = 1
) -> None:
    """Write the decisions: out = whether u < threshold."""

def draw(out: NDArray[int64], start: int, key: int, call: int, stream: int, second: bool) -> None:
    """Write u, or the second uniform, of the groups that follow `start`."""

def philox4x32(blocks: NDArray[uint32], key: int, rounds: int) -> None:
    """Turn counters, four words a row, into random words in place."""

def shares_threads() -> bool:
    """Whether the loops run on PyTorch's own threads; where it has no OpenMP, each call starts its own."""

def instruction_sets() -> list[str]:
    """The sets that this machine can run, the fastest first."""

def use_instructions(name: str) -> None:
    """Run the loops of another set, for tests and measurements; the numbers are the same."""

def _attention(
    sizes: Sequence[int],
    strides: Sequence[int],
    inputs: Sequence[int],
    mask: int,
    scale: float,
    causal: bool,
    key: int,
    call: int,
    stream: int,
    threshold: int,
    kept_scale: float,
    out: int,
    log_sums: int,
    threads: int,
) -> None: ...
def _attention_backward(
    sizes: Sequence[int],
    strides: Sequence[int],
    inputs: Sequence[int],
    mask: int,
    scale: float,
    causal: bool,
    key: int,
    call: int,
    stream: int,
    threshold: int,
    kept_scale: float,
    grad_strides: Sequence[int],
    grad: int,
    out: int,
    log_sums: int,
    gradients: Sequence[int],
    threads: int,
) -> None: ...
def attention_sets() -> list[str]:
    """The sets of attention that this machine can run, the fastest first."""

def use_attention(name: str) -> None:
    """Attend by another set, for tests and measurements; the masks are the same."""

def fused_sets() -> list[str]:
    """The sets of the fused forms that this machine can run, the fastest first."""

def use_fused(name: str) -> None:
    """Run the fused forms of another set, for tests and measurements; the masks are the same."""
