"""Attention in compiled graphs: the same kernel and mask, and memory that grows with the length alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.library import opcheck
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit.torch import Attention, attention_kernel, native, scaled_dot_product_attention

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason="needs the native kernel")
KEY = 5
attention: Any = scaled_dot_product_attention
MASK = torch.rand(7, 9, generator=torch.Generator().manual_seed(3)) < 0.7
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"is_causal": True},
    "bool mask": {"attn_mask": MASK},
    "added mask": {"attn_mask": MASK.float()},
    "scale": {"scale": 0.3},
    "keys": {"drop_key": True},
    "keys, causal": {"drop_key": True, "is_causal": True},
}


def inputs(queries: int = 7, keys: int = 9, heads: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = (2, 4, queries, 8), (2, heads, keys, 8), (2, heads, keys, 5)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def passes(function: Any, leaves: list[Tensor]) -> list[Tensor]:
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad(out.square().sum(), leaves)]


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("case", CASES)
def test_a_compiled_graph_takes_the_kernel_and_the_same_mask(
    case: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, dropout_p=0.3, source={"key": KEY}, **CASES[case])

    expected = passes(call, inputs())
    monkeypatch.setattr(attention_kernel, "plain", None)  # the plain road would fail
    torch._dynamo.reset()
    found = passes(torch.compile(call, fullgraph=True, backend=backend), inputs())
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_take_the_kernel_in_a_graph_too(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    bias = torch.linspace(-1, 1, 9).to(dtype)

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, bias, 0.3, source={"key": KEY})

    leaves = [leaf.detach().to(dtype).requires_grad_() for leaf in inputs()]
    expected = passes(call, leaves)
    monkeypatch.setattr(attention_kernel, "plain", None)  # the plain road would fail
    torch._dynamo.reset()
    for one, other in zip(
        passes(torch.compile(call, fullgraph=True, backend="aot_eager"), leaves), expected, strict=True
    ):
        assert one.dtype == dtype
        assert torch.equal(one, other)


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_the_default_type_and_device_change_nothing(default: torch.dtype, keys: bool) -> None:
    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        source: Any = {"key": KEY}
        return scaled_dot_product_attention(q, k, v, MASK, 0.3, drop_key=keys, source=source)

    leaves = inputs()
    expected = passes(call, leaves)
    torch.set_default_dtype(default)
    try:
        with torch.device("meta"):
            found = passes(call, leaves)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_seeding_gives_compiled_and_eager_the_same_masks() -> None:
    layer = Attention(0.3, enable_gqa=True)
    leaves = inputs(heads=2)
    torch.manual_seed(3)
    expected = passes(layer, leaves)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        torch.manual_seed(3)
        for one, other in zip(passes(compiled, leaves), expected, strict=True):
            assert torch.equal(one, other)
    assert not torch.equal(compiled(*leaves), compiled(*leaves))


def test_a_compiled_checkpoint_draws_the_same_mask_again() -> None:
    def call(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return checkpoint(lambda *x: attention(*x, dropout_p=0.3), q, k, v, use_reentrant=False)

    torch.manual_seed(3)
    expected = passes(call, inputs())
    torch._dynamo.reset()
    torch.manual_seed(3)
    found = passes(torch.compile(call, fullgraph=True, backend="aot_eager"), inputs())
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_lengths_may_change_between_calls_of_one_graph() -> None:
    compiled = torch.compile(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, dropout_p=0.3, source={"key": KEY}),
        fullgraph=True,
        backend="aot_eager",
        dynamic=True,
    )
    for length in (5, 6, 11):
        leaves = inputs(length, length + 1)
        expected = attention(*leaves, dropout_p=0.3, source={"key": KEY})
        assert torch.equal(compiled(*leaves), expected)


@pytest.mark.parametrize("mask", [None, MASK, MASK.float()])
def test_the_operators_keep_torchs_rules(mask: Tensor | None) -> None:
    mask = None if mask is None else mask.expand(2, 4, 7, 9)
    asked = torch.tensor(KEY), 0.3, False, 0.5, False
    opcheck(torch.ops.dropkit.attention.default, (*inputs(), mask, *asked))
    leaves = [leaf.detach() for leaf in inputs()]
    out, *kept = torch.ops.dropkit.attention(*leaves, mask, *asked)
    arguments = (torch.randn(out.shape), *leaves, mask, out, *kept, *asked)
    opcheck(torch.ops.dropkit.attention_backward.default, arguments)


def test_function_transforms_take_plain_operations() -> None:
    q, k, v = (leaf.detach() for leaf in inputs())

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, dropout_p=0.3, source={"key": KEY})

    one = torch.stack([call(*sample) for sample in zip(q, k, v, strict=True)])
    torch.testing.assert_close(torch.vmap(call)(q, k, v), one)
    tangent: Tensor = torch.func.jvp(call, (q, k, v), (q, torch.zeros_like(k), torch.zeros_like(v)))[1]
    assert tangent.isfinite().all()


@pytest.mark.parametrize("kernel", [False, True])
@pytest.mark.parametrize("drop_key", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_mask_may_be_in_float32_as_torchs_may(
    dtype: torch.dtype, drop_key: bool, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice rounded logits of up to 6 move a weight and the sum by 12 units each, weight and output by 2."""
    monkeypatch.setattr(native, "AVAILABLE", kernel)
    q, k, v = (leaf.detach().to(dtype) for leaf in inputs())
    mask = torch.randn(7, 9).to(torch.bfloat16).to(torch.float16)  # each of the types holds it exactly
    found, same = (
        scaled_dot_product_attention(q, k, v, m, 0.3, drop_key=drop_key, source={"key": KEY})
        for m in (mask.float(), mask.to(dtype))
    )
    assert found.dtype == dtype
    rounding = 26 * float(v.abs().max()) / 0.7 * torch.finfo(dtype).eps / 2
    torch.testing.assert_close(found, same, rtol=0, atol=rounding)


def test_heads_of_no_depth_weigh_all_alike() -> None:
    q, k, v = torch.ones(1, 2, 7, 0), torch.ones(1, 2, 9, 0), torch.randn(1, 2, 9, 4)
    p = dropkit.drop(torch.full((1, 2, 7, 9), 1 / 9), 0.3, key=KEY)
    torch.testing.assert_close(
        scaled_dot_product_attention(q, k, v, dropout_p=0.3, source={"key": KEY}), p @ v
    )


def test_a_shape_is_refused_with_torchs_type() -> None:
    q, k, v = (leaf.detach() for leaf in inputs())
    with pytest.raises(RuntimeError, match="fit one another"):
        scaled_dot_product_attention(q, k[..., :1], v, dropout_p=0.3)


PEAK = """
import resource, sys, torch
from dropkit.torch import scaled_dot_product_attention
torch.set_num_threads(1)
def step(n):
    q, k, v = (torch.randn(1, 1, n, 16, dtype=torch.DTYPE, requires_grad=True) for _ in range(3))
    mask = torch.zeros(1, n, dtype=torch.DTYPE)
    scaled_dot_product_attention(q, k, v, dropout_p=0.1, SETTINGS).sum().backward()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step(2048)
before = peak()
step(int(sys.argv[1]))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the highest memory is told in other units")
@pytest.mark.parametrize(
    ("settings", "dtype"),
    [
        ("is_causal=True", "float32"),
        ("attn_mask=mask, drop_key=True", "float32"),
        ("attn_mask=mask", "bfloat16"),
    ],
)
def test_memory_grows_with_the_length_alone(settings: str, dtype: str) -> None:
    """The probabilities of 8,192 tokens alone would take 256 MiB, four times those of 4,096."""
    code = PEAK.replace("SETTINGS", settings).replace("DTYPE", dtype)
    done = subprocess.run([sys.executable, "-c", code, "8192"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 32 * 1024
