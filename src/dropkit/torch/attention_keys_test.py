"""Attention that drops keys makes the decisions of the layer `DropKey`, on every road."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import dropkit
from dropkit import DropkitError
from dropkit.torch import Attention
from dropkit.torch.attention_test import CASES, KEY, RATE, attention, gradients, no_worse_than_plain, tensors

KEYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "few keys": ({"shape": (2, 3, 40, 16), "keys": 3}, {}),
    "longer than a block": ({"shape": (1, 2, 70, 8), "keys": 600}, {}),
    "shared heads": ({"shape": (2, 4, 30, 8), "keys": 33, "heads": 2}, {}),
    "causal": ({"shape": (2, 2, 110, 8)}, {"is_causal": True}),
    "padding": ({"shape": (2, 2, 20, 8), "keys": 70}, {"attn_mask": CASES["padding"][1]}),
    "bias with infinities": (
        {"shape": (1, 2, 20, 8), "keys": 30},
        {"attn_mask": CASES["bias with infinities"][1]},
    ),
}


@pytest.mark.parametrize("rate", [RATE, 0.9, 1.0])
@pytest.mark.parametrize("case", KEYS)
def test_keys_fall_as_in_the_layer(case: str, rate: float, road: str) -> None:
    sizes, settings = KEYS[case]
    shape = sizes["shape"]
    rest = {name: size for name, size in sizes.items() if name != "shape"}
    *numbers, grad = tensors(*shape, **rest)
    *exact, exact_grad = tensors(*shape, **rest, dtype=torch.float64)

    def layer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
        scores, mask = q @ k.mT / math.sqrt(q.shape[-1]), settings.get("attn_mask")
        if settings.get("is_causal"):
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        hidden = dropkit.torch.DropKey(rate)(scores, key=KEY)
        alone = (hidden == -math.inf).all(-1, keepdim=True)
        return torch.softmax(hidden.masked_fill(alone, 0), -1).masked_fill(alone, 0) @ v

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        given = {"dropout_p": rate, "enable_gqa": True, "drop_key": True, "source": {"key": KEY}}
        out: Tensor = attention(q, k, v, **settings, **given)
        return out

    mine, theirs = gradients(ours, numbers, grad), gradients(layer, numbers, grad)
    no_worse_than_plain(mine, theirs, gradients(layer, exact, exact_grad), [*numbers, grad])


def test_the_layer_of_attention_may_drop_keys() -> None:
    q, k, v, _ = tensors(1, 2, 30, 8)
    layer = Attention(RATE, drop_key=True)
    found = layer(q, k, v, source={"key": KEY})
    assert torch.equal(found, attention(q, k, v, dropout_p=RATE, drop_key=True, source={"key": KEY}))
    assert not torch.equal(found, attention(q, k, v, dropout_p=RATE, source={"key": KEY}))
    assert repr(layer) == "Attention(p=0.3, is_causal=False, drop_key=True)"
    with pytest.raises(DropkitError, match="drop_key"):
        Attention(RATE, drop_key=1)  # type: ignore[arg-type]  # that is the point
