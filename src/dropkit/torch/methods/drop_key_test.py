import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import draws
from dropkit.methods.drop_key import hidden
from dropkit.torch import DropKey

SHAPE = (2, 3, 4, 5)
SCORES = torch.linspace(-2, 2, 120, dtype=torch.float64).reshape(SHAPE)
QUERY, KEY, VALUE = torch.linspace(-1, 1, 3 * 2 * 3 * 5 * 4, dtype=torch.float64).cos().reshape(3, 2, 3, 5, 4)


@pytest.mark.parametrize("p", [0.0, 0.001, 0.5, 1.0])
def test_torch_hides_what_the_law_hides(p: float) -> None:
    gone = hidden(draws(9, SHAPE).u, p, np) & (p > 0)
    hid = DropKey(p)(SCORES, key=9)
    assert np.array_equal(hid.numpy() == -np.inf, gone)
    assert torch.equal(hid[hid != -torch.inf], SCORES[hid != -torch.inf])


def test_no_row_is_lost_and_no_masked_key_is_the_last() -> None:
    causal = torch.where(torch.ones(5, 5).tril() == 1, 0.0, -torch.inf).expand(7, 5, 5)
    hid = DropKey(1.0)(causal, key=1)
    assert torch.equal((hid == 0).sum(-1), torch.ones(7, 5, dtype=torch.int64))
    finite = torch.where(causal == 0, 0.0, -1e9)
    hid = DropKey(1.0)(finite, visible=causal == 0, key=1)
    assert torch.equal(((hid != -torch.inf) & (causal == 0)).sum(-1), torch.ones(7, 5, dtype=torch.int64))


def test_evaluation_returns_the_scores_and_mc_draws() -> None:
    layer = DropKey(0.5).eval()
    assert layer(SCORES) is SCORES
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(SCORES, key=3), DropKey(0.5)(SCORES, key=3))
        assert not torch.equal(layer(SCORES), SCORES)


def test_gradient_goes_through_what_stays() -> None:
    scores = SCORES.clone().requires_grad_()
    DropKey(0.5)(scores, key=2).exp().sum().backward()
    assert scores.grad is not None
    kept = DropKey(0.5)(SCORES, key=2) != -torch.inf
    assert torch.equal(scores.grad != 0, kept)
    assert torch.allclose(scores.grad[kept], SCORES[kept].exp())


def test_infinite_and_nan_scores_can_be_hidden() -> None:
    bad = torch.full((64, 4), torch.nan)
    hid = DropKey(0.9)(bad, key=4)
    assert (hid == -torch.inf).any()


def test_fused_attention_takes_it_as_a_mask() -> None:
    layer = DropKey(0.4)
    scores = QUERY @ KEY.mT / 2
    plain = torch.softmax(layer(scores, key=6), -1) @ VALUE
    mask = layer(torch.zeros_like(scores), key=6)
    assert torch.allclose(F.scaled_dot_product_attention(QUERY, KEY, VALUE, attn_mask=mask), plain)


def test_multihead_attention_takes_it_as_a_mask() -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(12, 3, batch_first=True)
    x = torch.randn(2, 5, 12)
    mask = DropKey(0.4)(torch.zeros(2, 3, 5, 5), key=6)
    _, weights = attention(x, x, x, attn_mask=mask.flatten(0, 1), average_attn_weights=False)
    assert torch.equal(weights == 0, mask == -torch.inf)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_hide_the_same_keys(dtype: torch.dtype) -> None:
    hid = DropKey(0.5)(SCORES.to(dtype), key=9)
    assert hid.dtype == dtype
    assert torch.equal(hid == -torch.inf, DropKey(0.5)(SCORES, key=9) == -torch.inf)


def test_a_graph_hides_what_eager_mode_hides() -> None:
    layer = DropKey(0.5)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(SCORES, key=8), layer(SCORES, key=8))


def test_copies_draw_alike_and_the_state_is_empty() -> None:
    layer = DropKey(0.5)
    assert layer.state_dict() == {}
    assert torch.equal(copy.deepcopy(layer)(SCORES, key=1), layer(SCORES, key=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DropKey(1.5), "p must be a number in"),
        (lambda: DropKey()(torch.ones(3)), r"scores has axes \(..., queries, keys\)"),
        (lambda: DropKey()(torch.ones(2, 2, dtype=torch.int64)), "scores has a real floating type"),
        (lambda: DropKey()(SCORES, visible=torch.ones(5)), "visible is a bool tensor"),
        (
            lambda: DropKey()(SCORES, visible=torch.ones(7, dtype=torch.bool)),
            "visible broadcasts to the shape",
        ),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


def test_protected_keys_stay_and_do_not_move_the_mask_of_the_others() -> None:
    marks = torch.zeros(2, 1, 1, 5, dtype=torch.bool)
    marks[1, ..., 3] = True
    plain = DropKey(0.8)(SCORES, key=6)
    hid = DropKey(0.8, prefix=1)(SCORES, protected=marks, key=6)
    spared = (marks | (torch.arange(5) == 0)).expand(SHAPE)
    assert torch.equal(hid, torch.where(spared, SCORES, plain))
    assert (plain[spared] == -torch.inf).any()
    assert torch.equal(DropKey(1.0, prefix=5)(SCORES), SCORES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DropKey(0.5, prefix=-1), "prefix"),
        (lambda: DropKey(0.5)(SCORES, protected=torch.ones(5)), "protected is a bool tensor"),
        (lambda: DropKey(0.5)(SCORES, protected=torch.ones(3, dtype=torch.bool)), "protected broadcasts"),
    ],
)
def test_wrong_protection_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


def test_the_order_in_memory_is_kept() -> None:
    x = torch.rand(2, 3, 8, 9)
    plain = DropKey(0.5)(x, key=1)
    x = x.to(memory_format=torch.channels_last)
    y = DropKey(0.5)(x, key=1)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, plain)
