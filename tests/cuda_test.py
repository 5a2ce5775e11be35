"""On a CUDA card the same key gives the same mask as on the CPU, and all that holds there holds here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.contract_test import METHODS, subjects
from tests.parity_test import CONTINUOUS, DECIDING, DTYPES, LAYOUTS, some
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit import Drop, Window
from dropkit.core.reference import apply
from dropkit.methods import catalogue
from dropkit.testing import examine, of
from dropkit.torch import Drop as DropLayer
from dropkit.torch import (
    Dropout,
    DropPath,
    EmbeddingDropout,
    GaussianDropout,
    Stepper,
    functional,
    scaled_dot_product_attention,
    triton_loop,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
Tensor = torch.Tensor


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("drop", DECIDING, ids=str)
def test_decisions_are_those_of_the_reference(drop: Drop, dtype: torch.dtype, layout: str) -> None:
    x = LAYOUTS[layout](torch.from_numpy(some(DTYPES[dtype])).cuda())
    y = functional.drop(x, drop, key=7)
    assert (y.dtype, y.shape, y.device.type) == (dtype, x.shape, "cuda")
    np.testing.assert_array_almost_equal_nulp(y.cpu().numpy(), apply(x.cpu().numpy(), drop, 7), nulp=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("drop", CONTINUOUS, ids=str)
def test_continuous_draws_are_those_of_the_reference(drop: Drop, dtype: torch.dtype) -> None:
    x = torch.from_numpy(some(DTYPES[dtype])).cuda()
    found, expected = functional.drop(x, drop, key=7).cpu(), torch.from_numpy(apply(x.cpu().numpy(), drop, 7))
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(found, expected, rtol=8 * eps, atol=8 * torch.finfo(torch.float32).eps)


def test_bfloat16_is_rounded_as_on_the_cpu() -> None:
    x = torch.randn(4099).bfloat16()
    assert torch.equal(functional.dropout(x.cuda(), 0.3, key=7).cpu(), functional.dropout(x, 0.3, key=7))


# The contract asks for a table without rows too: there torch's own backward of an embedding reads address 0.
@pytest.mark.parametrize("name", [name for name in METHODS if name != "embedding_dropout"])
def test_the_methods_keep_the_contract(name: str) -> None:
    with torch.device("cuda"):
        examine(of(catalogue()[name], "torch")).check()


@pytest.mark.parametrize("name", subjects())
def test_the_methods_of_torch_alone_keep_the_contract(name: str) -> None:
    subject = subjects()[name]
    with torch.device("cuda"):
        examine(subject).check()


@pytest.mark.parametrize("layer", [Dropout(0.3), DropPath(0.3), GaussianDropout(0.3)], ids=repr)
def test_the_gradient_is_the_factor(layer: torch.nn.Module) -> None:
    x = torch.randn(16, 4099, device="cuda", requires_grad=True)
    y = layer(x)
    (through,) = torch.autograd.grad(y, x, torch.ones_like(y))
    torch.testing.assert_close(through * x.detach(), y.detach())


def test_nothing_is_kept_for_backward() -> None:
    x = torch.randn(2**22, device="cuda", requires_grad=True)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    y = functional.dropout(x, 0.3)
    assert torch.cuda.memory_allocated() - before < y.untyped_storage().nbytes() + 10_000


def test_embedding_dropout_drops_the_rows_of_the_cpu() -> None:
    torch.manual_seed(0)
    layer, ids = EmbeddingDropout(torch.nn.Embedding(50, 8), 0.5), torch.arange(50)
    expected = layer(ids, key=3)
    torch.testing.assert_close(layer.cuda()(ids.cuda(), key=3).cpu(), expected)


def test_in_place_writes_over_the_input() -> None:
    x = torch.randn(5000, device="cuda")
    expected = functional.dropout(x, 0.3, key=1)
    functional.dropout(x, 0.3, key=1, inplace=True)
    assert torch.equal(x, expected)


def test_seeding_repeats_a_mask() -> None:
    x, masks = torch.ones(5000, device="cuda"), []
    for _ in range(2):
        torch.manual_seed(3)
        masks += [functional.dropout(x, 0.5), functional.dropout(x, 0.5)]
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])


def test_a_generator_of_the_card_serves() -> None:
    x = torch.ones(5000, device="cuda")
    one, two = (
        functional.dropout(x, 0.5, generator=torch.Generator("cuda").manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(one, two)


def test_a_captured_graph_draws_anew_at_each_replay() -> None:
    x = torch.ones(5000, device="cuda")
    layer = Dropout(0.5)
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # of torch
    with torch.cuda.stream(stream):
        layer(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = layer(x)
    replays = []
    for _ in range(3):
        graph.replay()
        replays.append(y.clone())
    assert not torch.equal(replays[0], replays[1])
    assert not torch.equal(replays[1], replays[2])
    assert 0.4 < (replays[0] == 0).float().mean().item() < 0.6


def test_a_captured_graph_follows_the_key_that_is_written_into_it() -> None:
    x, key = torch.ones(5000, device="cuda"), torch.tensor(1, device="cuda")
    functional.dropout(x, 0.5, key=key)  # compiles the kernel before the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = functional.dropout(x, 0.5, key=key)
    for word in (5, 6):
        key.fill_(word)
        graph.replay()
        assert torch.equal(y, functional.dropout(x, 0.5, key=word))


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_compiled_model_draws_the_masks_of_the_key(mode: str) -> None:
    def step(x: Tensor, key: Tensor) -> Tensor:
        return functional.dropout(x * 2, 0.3, key=key).relu()

    x, key = torch.randn(64, 1000, device="cuda"), torch.tensor(9, device="cuda")
    compiled = torch.compile(step, fullgraph=True, mode=mode)
    for word in (9, 10, 11):
        key.fill_(word)
        torch.testing.assert_close(compiled(x, key), step(x, key))


def test_a_compiled_layer_trains() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), Dropout(0.5), torch.nn.Linear(64, 1)).cuda()
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(16, 32, device="cuda")
    outputs = [compiled(x).detach() for _ in range(2)]
    assert not torch.equal(*outputs)
    compiled(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_draws_the_same_mask_again(reentrant: bool) -> None:
    layer = Dropout(0.5)
    x = torch.randn(5000, device="cuda", requires_grad=True)
    y = checkpoint(lambda x: layer(x) * x, x, use_reentrant=reentrant)
    y.backward(torch.ones_like(y))
    assert x.grad is not None
    assert torch.equal(x.grad == 0, y == 0)


def test_autocast_keeps_the_type_that_comes_in() -> None:
    x = torch.randn(64, 64, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        y = Dropout(0.5)(x @ x)
    assert y.dtype == torch.bfloat16


def test_vmap_gives_each_sample_a_mask() -> None:
    x = torch.ones(4, 1000, device="cuda")
    y = torch.func.vmap(Dropout(0.5), randomness="different")(x)
    assert len({tuple(row) for row in (y == 0).tolist()}) == 4


@pytest.mark.parametrize("noise", ["bernoulli", "alpha", "gaussian"])
def test_a_schedule_moves_on_the_card(noise: str) -> None:
    layer = DropLayer(Drop(dropkit.linear_schedule(0.0, 1.0, 2), noise=noise)).cuda()
    stepper, x = Stepper(layer), torch.ones(5000, device="cuda")
    for rate in (0.0, 0.5, 1.0):
        expected = functional.drop(x.cpu(), Drop(rate, noise=noise), key=3)
        torch.testing.assert_close(layer(x, key=3).cpu(), expected)
        stepper.step()


def test_monte_carlo_draws_in_eval() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 1000), Dropout(0.5)).cuda().eval()
    x = torch.randn(1, 8, device="cuda")
    with dropkit.mode(model, "mc"):
        assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_the_cpu(causal: bool) -> None:
    q, k, v = (torch.randn(2, 3, 65, 32) for _ in range(3))

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(
            q, k, v, dropout_p=0.3, is_causal=causal, source={"key": 5, "generator": None}
        )

    found = attend(q.cuda(), k.cuda(), v.cuda()).cpu()
    torch.testing.assert_close(found, attend(q, k, v), rtol=1e-4, atol=1e-5)


def test_more_than_two_to_the_31_entries_have_their_own_draws() -> None:
    n = 2**31 + 70_000
    if torch.cuda.mem_get_info()[0] < 5 * n:
        pytest.skip("the card is too small")
    x = torch.ones(n, dtype=torch.bfloat16, device="cuda")
    tail = functional.dropout(x, 0.3, key=7, inplace=True)[-70_000:].float().cpu()
    expected = functional.drop(torch.ones(70_000), Drop(0.3), key=7, window=Window((2**31,)))
    assert torch.equal(tail == 0, expected == 0)
    del x
    rows = torch.ones(2**16 + 3, 2**15, dtype=torch.bfloat16, device="cuda")
    by_row = functional.drop(rows, Drop(0.5, "b t -> b"), key=7)[-3:, 0].float().cpu()
    wanted = functional.drop(torch.ones(2**16 + 3, 1), Drop(0.5, "b t -> b"), key=7)[-3:, 0]
    assert torch.equal(by_row == 0, wanted == 0)


def test_the_kernels_of_triton_were_used(monkeypatch: pytest.MonkeyPatch) -> None:
    if not triton_loop.AVAILABLE:
        pytest.skip("Triton is not installed")
    calls: list[Any] = []
    run: Callable[..., Tensor] = triton_loop.run

    def counted(*arguments: Any) -> Tensor:
        calls.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(triton_loop, "run", counted)
    x = torch.randn(500, device="cuda", requires_grad=True)
    torch.autograd.grad(functional.dropout(x, 0.5), x, x)
    assert len(calls) == 2
