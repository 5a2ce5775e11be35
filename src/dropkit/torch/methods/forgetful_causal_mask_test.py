import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.reference import draws, unit
from dropkit.methods.forgetful_causal_mask import forgotten, visible
from dropkit.torch import ForgetfulCausalMask

IDS = torch.zeros(3, 9, dtype=torch.int64)


def law(p: float, key: int, free: np.ndarray) -> np.ndarray:
    fraction = unit(Key(key).fold("rate"), (3, 1))
    gone = forgotten(draws(Key(key).fold("tokens"), (3, 9)).u, fraction, p, np)
    return np.asarray(visible(gone & free, np))


@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_torch_hides_what_the_law_hides(p: float) -> None:
    free = np.broadcast_to(np.arange(9) > 0, (3, 9))
    mask = ForgetfulCausalMask(p)(IDS, key=5)
    assert np.array_equal(mask.numpy(), law(p, 5, free))
    embedded = ForgetfulCausalMask(p)(torch.randn(3, 9, 4), key=5)
    assert torch.equal(mask, embedded)


def test_protected_tokens_are_seen_by_all_later_ones() -> None:
    protected = torch.zeros(3, 9, dtype=torch.bool)
    protected[:, 4] = protected[2, 5:] = True
    mask = ForgetfulCausalMask(1.0, prefix=2)(IDS, protected=protected, key=3)
    stays = protected.numpy() | (np.arange(9) < 2)
    assert np.array_equal(mask.numpy(), law(1.0, 3, ~stays))
    assert mask[:, 0, 5:, 4].all()


def test_evaluation_makes_the_causal_mask_and_mc_forgets() -> None:
    layer = ForgetfulCausalMask(0.9).eval()
    assert torch.equal(layer(IDS), torch.ones(3, 1, 9, 9).tril() == 1)
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(IDS, key=3), ForgetfulCausalMask(0.9)(IDS, key=3))
        assert not torch.equal(layer(IDS, key=3), torch.ones(3, 1, 9, 9).tril() == 1)


def test_fused_attention_takes_the_mask_and_no_gradient_reaches_what_is_hidden() -> None:
    layer = ForgetfulCausalMask(1.0)
    mask = layer(IDS, key=6)
    query, key, value = torch.linspace(-1, 1, 3 * 3 * 2 * 9 * 4).cos().reshape(3, 3, 2, 9, 4)
    value.requires_grad_()
    y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    weights = torch.softmax(torch.where(mask, query @ key.mT / 2, -torch.inf), -1)
    assert torch.allclose(y, weights @ value, atol=1e-6)
    (grad,) = torch.autograd.grad(y[:, :, -1].sum(), value)
    assert torch.equal((grad != 0).all(-1), mask[:, :, -1].expand(3, 2, 9))


def test_multihead_attention_takes_the_opposite() -> None:
    torch.manual_seed(0)
    attention, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(3, 9, 8)
    mask = ForgetfulCausalMask(1.0)(IDS, key=6)
    _, weights = attention(
        x, x, x, attn_mask=(~mask).expand(-1, 2, -1, -1).flatten(0, 1), average_attn_weights=False
    )
    assert torch.equal(weights > 0, mask.expand(3, 2, 9, 9))


def test_without_a_key_rate_and_tokens_are_drawn_apart() -> None:
    torch.manual_seed(1)
    first, second = ForgetfulCausalMask(1.0)(IDS), ForgetfulCausalMask(1.0)(IDS)
    torch.manual_seed(1)
    assert torch.equal(ForgetfulCausalMask(1.0)(IDS), first)
    assert not torch.equal(first, second)


def test_a_graph_forgets_what_eager_mode_forgets() -> None:
    layer = ForgetfulCausalMask(0.8)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(IDS, key=8), layer(IDS, key=8))


def test_copies_forget_alike() -> None:
    layer = ForgetfulCausalMask(0.8)
    assert torch.equal(copy.deepcopy(layer)(IDS, key=1), layer(IDS, key=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ForgetfulCausalMask(1.1), "p must be a number in"),
        (lambda: ForgetfulCausalMask(0.1, prefix=-1), "prefix must be a whole number"),
        (lambda: ForgetfulCausalMask(0.1)(torch.ones(3)), "input has axes"),
        (lambda: ForgetfulCausalMask(0.1)([1, 2]), "input is a torch tensor"),
        (lambda: ForgetfulCausalMask(0.1)(IDS, protected=IDS), "protected is a bool tensor"),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


def test_what_is_split_into_heads_is_refused() -> None:
    with pytest.raises(DropkitError, match=r"input has axes \(batch, tokens\) or"):
        ForgetfulCausalMask()(torch.ones(2, 1, 5, 5))
