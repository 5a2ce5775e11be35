import copy
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import dropkit
from dropkit import Drop, DropkitError
from dropkit.core.reference import mask as mask_of
from dropkit.torch import Attention, native

RATE, KEY = 0.3, 5
attention: Any = dropkit.torch.scaled_dot_product_attention


def tensors(
    *shape: int, keys: int = 0, heads: int = 0, values: int = 0, dtype: Any = torch.float32
) -> list[Tensor]:
    """Query, key and value, and a gradient of the output."""
    batch, own, queries, depth = shape
    generator = torch.Generator().manual_seed(1)
    shared = batch, heads or own, keys or queries
    sizes = [shape, (*shared, depth), (*shared, values or depth), (batch, own, queries, values or depth)]
    return [torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes]


def by_definition(inputs: Iterable[Tensor], bias: Tensor | None = None, rate: float = RATE) -> Tensor:
    """The formula, in the type of its inputs, with the mask of the reference."""
    q, k, v = inputs
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    logits = q @ k.mT / math.sqrt(q.shape[-1]) + (0 if bias is None else bias)
    alone = (logits == -math.inf).all(-1, keepdim=True)
    p = torch.softmax(logits.masked_fill(alone, 0), -1).masked_fill(alone, 0)
    m = torch.from_numpy(mask_of(KEY, tuple(p.shape), Drop(rate))).to(p.dtype)
    return (p * m) @ v


def gradients(function: Any, inputs: list[Tensor], grad: Tensor) -> list[Tensor]:
    own = [x.clone().requires_grad_() for x in inputs]
    out = function(*own)
    return [out.detach(), *torch.autograd.grad(out, own, grad)]


def no_worse_than_plain(
    ours: list[Tensor], plain: list[Tensor], exact: list[Tensor], inputs: list[Tensor]
) -> None:
    """Errors at most twice those of plain code in the same type, and the rounding of the sums that cancel.

    They cancel in the gradients of the logits, exactly so where a query sees one key.
    """
    q, k, v, grad = (x.abs() for x in inputs)
    cancelling = (grad @ v.repeat_interleave(q.shape[1] // v.shape[1], 1).mT).max() / (1 - RATE)
    rounding = 2.0**-23 * float(cancelling) * max(float(q.max()), float(k.max()), 1.0)
    for mine, theirs, true in zip(ours, plain, exact, strict=True):
        bound = 2 * (theirs.double() - true).abs().max() + 2 * rounding
        assert (mine.double() - true).abs().max() <= bound


WAVES = torch.sin(torch.arange(2400.0))  # no row is another and a constant, which a softmax would not see
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "square": ({"shape": (2, 3, 60, 16)}, None),
    "one query": ({"shape": (2, 2, 1, 8), "keys": 300}, None),
    "one key": ({"shape": (1, 2, 5, 8), "keys": 1}, None),
    "odd sizes": ({"shape": (1, 4, 50, 7), "keys": 259, "heads": 2, "values": 5}, None),
    "longer than a block": ({"shape": (1, 1, 100, 32), "keys": 600}, None),
    "deep": ({"shape": (1, 1, 9, 256), "keys": 40}, None),
    "deeper than the kernel's buffer": ({"shape": (1, 1, 9, 257), "keys": 40}, None),
    "all share one key head": ({"shape": (2, 4, 30, 8), "keys": 33, "heads": 1}, None),
    "causal": ({"shape": (2, 2, 110, 8)}, "causal"),
    "causal, more keys": ({"shape": (1, 1, 40, 8), "keys": 400}, "causal"),
    "causal, fewer keys": ({"shape": (1, 2, 90, 8), "keys": 40}, "causal"),
    "padding": ({"shape": (2, 2, 20, 8), "keys": 70}, torch.arange(70) < torch.tensor([[[[40]]], [[[0]]]])),
    "pairs": ({"shape": (2, 2, 20, 8), "keys": 30}, torch.arange(600).reshape(20, 30) % 7 > 2),
    "bias": ({"shape": (2, 2, 20, 8), "keys": 30}, WAVES[:600].reshape(20, 30)),
    "a bias for each head": ({"shape": (2, 4, 20, 8), "keys": 30, "heads": 2}, WAVES.reshape(1, 4, 20, 30)),
    "pairs for each head, blocks of keys": (
        {"shape": (1, 2, 4, 8), "keys": 300},
        WAVES.reshape(1, 2, 4, 300) > -0.3,
    ),
    "bias with infinities": (
        {"shape": (1, 2, 20, 8), "keys": 30},
        torch.where(torch.arange(600).reshape(1, 20, 30) % 3 > 0, 0.5, -math.inf),
    ),
    "transposed bias": ({"shape": (1, 2, 20, 8)}, WAVES[:400].reshape(20, 20).mT),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_formula_forward_and_backward(case: str, road: str) -> None:
    sizes, given = CASES[case]
    shape = sizes["shape"]
    rest = {name: size for name, size in sizes.items() if name != "shape"}
    inputs, exact = tensors(*shape, **rest), tensors(*shape, **rest, dtype=torch.float64)
    causal = isinstance(given, str)
    bias = given
    if causal:
        bias = torch.ones(shape[2], rest.get("keys", shape[2]), dtype=torch.bool).tril()
    if bias is not None and bias.dtype == torch.bool:
        bias = torch.zeros(bias.shape).masked_fill(~bias, -math.inf)

    def ours(*x: Tensor) -> Tensor:
        mask = None if causal else given
        out: Tensor = attention(*x, mask, RATE, causal, enable_gqa=True, source={"key": KEY})
        return out

    def plain(*x: Tensor) -> Tensor:
        return by_definition(x, None if bias is None else bias.to(x[0].dtype))

    *numbers, grad = inputs
    mine, theirs = gradients(ours, numbers, grad), gradients(plain, numbers, grad)
    no_worse_than_plain(mine, theirs, gradients(plain, exact[:3], exact[3]), inputs)


@pytest.mark.parametrize("rate", [2.0**-33, 1 / 65_536, 0.5, 1 - 2.0**-20, 1.0])
def test_the_rate_is_exact_and_rate_1_gives_zeros(rate: float, road: str) -> None:
    q, k, v, _ = tensors(1, 2, 30, 8)
    out = attention(q, k, v, dropout_p=rate, source={"key": KEY})
    expected = by_definition((x.double() for x in (q, k, v)), None, rate)
    assert torch.isfinite(out).all()
    assert (out.double() - expected).abs().max() <= 1e-5 * max(float(expected.abs().max()), 1e-30)


def test_nothing_depends_on_threads_or_on_strides(road: str) -> None:
    # Numbers of this road's own, and results all kept: memory used again would hold the right ones.
    dtype = torch.float64 if road == "twin" else torch.float32
    offset = ["twin", *native.attention_sets()].index(road)
    x = [each + offset for each in tensors(2, 3, 130, 16, dtype=dtype)]
    ways = {
        "in order": x,
        "heads inside": [each.transpose(1, 2).contiguous().transpose(1, 2) for each in x],
        "gaps": [torch.cat([each, each], -1)[..., :16] for each in x],
    }

    def ours(*inputs: Tensor) -> Tensor:
        out: Tensor = attention(*inputs, dropout_p=RATE, source={"key": KEY})
        return out

    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found += [gradients(ours, inputs, grad) for *inputs, grad in ways.values()]
    finally:
        torch.set_num_threads(before)
    # The twin's products are PyTorch's, which may add up to 130 numbers below 1e4 in any order.
    bound = 130 * 1e4 * torch.finfo(dtype).eps if road == "twin" else 0.0
    for each in found[1:]:
        for one, other in zip(each, found[0], strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("added", [False, True])
def test_half_types_are_rounded_once(dtype: torch.dtype, added: bool) -> None:
    if not native.AVAILABLE:
        pytest.skip("the twin rounds at each step")
    *numbers, grad = tensors(1, 2, 130, 8, dtype=dtype)
    bias = torch.linspace(-2, 2, 130 * 130).reshape(130, 130).to(dtype) if added else None
    found = gradients(lambda *x: attention(*x, bias, dropout_p=RATE, source={"key": KEY}), numbers, grad)
    wide = None if bias is None else bias.double()
    exact = gradients(lambda *x: by_definition(x, wide), [x.double() for x in numbers], grad.double())
    for one, true in zip(found, exact, strict=True):
        assert one.dtype == dtype
        # Half a unit of the type, and what float32 sums lose before.
        bound = torch.finfo(dtype).eps / 2 * true.abs() + 1e-5 * true.abs().max()
        assert ((one.double() - true).abs() <= bound + torch.finfo(dtype).smallest_normal).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_types_are_served_too(dtype: torch.dtype) -> None:
    q, k, v, _ = tensors(1, 2, 12, 8, dtype=dtype)
    out = attention(q, k, v, dropout_p=RATE, source={"key": KEY})
    assert out.dtype == dtype
    exact = by_definition(x.double() for x in (q, k, v))
    assert (out.double() - exact).abs().max() <= 4 * torch.finfo(dtype).eps * exact.abs().max() + 1e-12


def test_second_derivatives_are_those_of_the_formula(road: str) -> None:
    inputs = tensors(1, 2, 7, 8)[:3]

    def penalty(function: Any, x: list[Tensor]) -> list[Tensor]:
        own = [each.clone().requires_grad_() for each in x]
        first = torch.autograd.grad(function(own).square().sum(), own, create_graph=True)
        return list(torch.autograd.grad(torch.stack([each.square().sum() for each in first]).sum(), own))

    ours = penalty(lambda x: attention(*x, dropout_p=RATE, source={"key": KEY}), inputs)
    for mine, true in zip(ours, penalty(by_definition, [x.double() for x in inputs]), strict=True):
        torch.testing.assert_close(mine.double(), true, rtol=1e-4, atol=1e-4 * float(true.abs().max()))


def test_a_tensor_that_does_not_lie_in_rows_is_read_right(road: str) -> None:
    q, k, v, grad = tensors(1, 2, 30, 8)
    turned = [x.mT.contiguous().mT for x in (q, k, v)]

    def ours(*x: Tensor) -> Tensor:
        out: Tensor = attention(*x, dropout_p=RATE, source={"key": KEY})
        return out

    # The libraries behind plain products may add up the 30 terms of a sum in another order.
    off = 32 * 2.0**-24 if road == "twin" else 0.0
    for one, other in zip(gradients(ours, [q, k, v], grad), gradients(ours, turned, grad), strict=True):
        assert (one - other).abs().max() <= off * one.abs().max()


def test_a_gradient_reaches_a_bias() -> None:
    q, k, v, grad = tensors(1, 2, 12, 8)
    bias = torch.zeros(12, 12, requires_grad=True)
    (through,) = torch.autograd.grad(attention(q, k, v, bias, RATE, source={"key": KEY}), bias, grad)
    assert through.abs().sum() > 0


def test_what_is_infinite_or_nan_comes_out_as_nan(road: str) -> None:
    q, k, v, _ = tensors(1, 1, 4, 8)
    q[0, 0, 1, 0] = math.nan
    out = attention(q, k, v, dropout_p=RATE, source={"key": KEY})
    assert out[0, 0, 1].isnan().any()
    assert torch.isfinite(out[0, 0, 0]).all()


def test_memory_between_forward_and_backward_grows_with_the_length_alone() -> None:
    if not native.AVAILABLE:
        pytest.skip("the twin has all probabilities in memory")
    kept: dict[int, int] = {}
    for length in (256, 1024):
        q, k, v, _ = (x.requires_grad_() for x in tensors(1, 1, length, 8))
        saved: list[Tensor] = []

        def keep(x: Tensor, saved: list[Tensor] = saved) -> Tensor:
            saved.append(x)
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            attention(q, k, v, dropout_p=RATE)
        kept[length] = sum(x.numel() for x in saved)
    assert kept[1024] == 4 * kept[256]


def test_without_a_key_each_call_takes_one_number_of_the_generator(road: str) -> None:
    q, k, v, _ = tensors(1, 1, 9, 8)
    torch.manual_seed(3)
    first, second = (attention(q, k, v, dropout_p=RATE) for _ in range(2))
    torch.manual_seed(3)
    assert torch.equal(attention(q, k, v, dropout_p=RATE), first)
    assert not torch.equal(first, second)
    own = torch.Generator().manual_seed(3)
    assert torch.equal(attention(q, k, v, dropout_p=RATE, source={"generator": own}), first)


class TestLayer:
    def test_it_follows_train_eval_and_mode(self) -> None:
        q, k, v, _ = tensors(1, 2, 9, 8)
        layer = Attention(RATE)
        assert not torch.equal(layer(q, k, v), layer(q, k, v))
        own = F.scaled_dot_product_attention(q, k, v)
        assert torch.equal(layer.eval()(q, k, v), own)
        with dropkit.mode(layer, "mc"):
            assert not torch.equal(layer(q, k, v), own)
        assert torch.equal(layer(q, k, v), own)

    def test_a_key_and_a_stream_are_followed(self) -> None:
        q, k, v, _ = tensors(1, 2, 9, 8)
        layer = Attention(RATE, is_causal=True)
        given = layer(q, k, v, source={"key": KEY})
        assert torch.equal(given, attention(q, k, v, None, RATE, True, source={"key": KEY}))
        with dropkit.torch.under_key(layer, 3):
            assert torch.equal(layer(q, k, v), layer(q, k, v))
        assert copy.deepcopy(layer).p == RATE

    def test_it_compiles_without_a_graph_break(self) -> None:
        q, k, v, _ = tensors(1, 2, 9, 8)
        layer = Attention(RATE)
        compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
        torch.manual_seed(0)
        first = compiled(q, k, v)
        assert not torch.equal(first, compiled(q, k, v))
        torch.manual_seed(0)
        assert torch.allclose(compiled(q, k, v), first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dropout_p": 1.5}, r"dropout_p must be a number in \[0, 1\]"),
        ({"attn_mask": torch.ones(9, 9).bool(), "is_causal": True}, "attn_mask is left out"),
        ({"attn_mask": torch.ones(7, 9).bool()}, "attn_mask broadcasts to"),
        ({"attn_mask": torch.ones(9, 9).long()}, "attn_mask is bool or has a real floating type"),
        ({"key": torch.ones(1, 2, 9, 7)}, "query, key and value fit one another"),
        ({"key": torch.ones(1, 3, 9, 8), "value": torch.ones(1, 3, 9, 8)}, "fit one another"),
        ({"query": torch.ones(8)}, "query has at least three axes"),
        ({"query": torch.ones(1, 2, 9, 8).long()}, "query has a real floating type"),
        ({"source": {"key": 1, "generator": torch.Generator()}}, "generator is left out"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str, road: str) -> None:
    q, k, v, _ = tensors(1, 2, 9, 8)
    given: dict[str, Any] = {"query": q, "key": k, "value": v, "dropout_p": RATE} | change
    with pytest.raises(DropkitError, match=message):
        attention(**given)


@pytest.mark.parametrize("shape", [(0, 2, 3, 8), (1, 2, 0, 8)])
def test_nothing_comes_of_nothing(shape: tuple[int, ...], road: str) -> None:
    q, k, v, grad = tensors(*shape, keys=4)
    out, *through = gradients(lambda *x: attention(*x, dropout_p=RATE, source={"key": 1}), [q, k, v], grad)
    assert out.shape == shape
    assert all((x == 0).all() for x in through)


def test_no_keys_give_zeros(road: str) -> None:
    q, k, v = torch.randn(1, 2, 3, 8), torch.randn(1, 2, 0, 8), torch.randn(1, 2, 0, 8)
    assert np.array_equal(attention(q, k, v, dropout_p=RATE).numpy(), np.zeros((1, 2, 3, 8)))


def test_ties_of_the_high_halves_are_decided_by_the_low_ones(road: str) -> None:
    """Equal weights on rows of the identity show each decision; of four million some 45 tie."""
    queries, keys = 2048, 256
    q, k = torch.zeros(1, 8, queries, 8), torch.zeros(1, 8, keys, 8)
    v = torch.eye(keys).expand(1, 8, keys, keys)
    found = attention(q, k, v, dropout_p=0.3, source={"key": 5}) != 0
    assert torch.equal(
        found, dropkit.torch.functional.dropout(torch.ones(1, 8, queries, keys), 0.3, key=5) != 0
    )


def test_types_that_differ_are_refused() -> None:
    q, k, v, _ = tensors(1, 2, 5, 8)
    with pytest.raises(DropkitError, match=r"key has the type of query, torch\.float32"):
        attention(q, k.half(), v, dropout_p=RATE)


@pytest.mark.parametrize("mixed", [False, True])
def test_autocast_lowers_as_torch_does(mixed: bool) -> None:
    q, k, v, _ = tensors(1, 2, 130, 8)
    k = k.bfloat16() if mixed else k
    bias = torch.linspace(-1, 1, 130).expand(130, 130)
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(q, k, v, bias, RATE, source={"key": KEY})
        theirs = attention(q, k, v, bias, RATE, training=False)
    assert found.dtype == theirs.dtype == torch.bfloat16
    low = [x.bfloat16() for x in (q, k, v)]
    expected = attention(*low, bias.bfloat16(), RATE, source={"key": KEY})
    assert torch.equal(found, expected)


@pytest.mark.parametrize("training", [False, True])
def test_keys_without_values_are_refused_before_torch_reads_past_them(training: bool) -> None:
    q, k, v, _ = tensors(1, 2, 9, 8)
    with pytest.raises(DropkitError, match="value has a row for each of key's, 9"):
        attention(q, k, v[:, :, :5], dropout_p=RATE, training=training)


@pytest.mark.parametrize(
    ("k", "v"),
    [
        ((1, 2, 7, 8), (1, 2, 7, 8)),
        ((2, 2, 7, 8), (2, 3, 7, 8)),
        ((1, 3, 7, 8), (2, 1, 7, 4)),
        ((2, 7, 8), (2, 7, 8)),
    ],
)
def test_shared_heads_broadcast_and_may_differ_as_in_torch(k: tuple[int, ...], v: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(size, generator=generator) for size in ((2, 6, 5, 8), k, v))
    theirs = F.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    mine = attention(query, key, value, dropout_p=1e-12, enable_gqa=True)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_heads_that_cannot_be_shared_out_are_refused() -> None:
    query, key, value = torch.randn(2, 6, 5, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 4, 7, 8)
    with pytest.raises(DropkitError, match="fit one another"):
        attention(query, key, value, dropout_p=0.5, enable_gqa=True)
