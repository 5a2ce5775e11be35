"""FlexAttention loses the keys that the layer loses."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import dropkit
from dropkit import DropkitError
from dropkit.torch import DropKey, drop_key_score_mod, native

SHAPE = 2, 3, 130, 140
KEY = 7
Q, K, V = (
    torch.randn(2, 3, length, 16, generator=torch.Generator().manual_seed(i))
    for i, length in enumerate((130, 140, 140))
)


def causal(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return q >= k


def expected(rate: float, visible: Any = None, prefix: int = 0, key: Any = KEY) -> Tensor:
    scores = Q @ K.mT / 4
    if visible is not None:
        seen = visible(0, 0, torch.arange(130)[:, None], torch.arange(140)[None])
        scores = scores.masked_fill(~seen, -torch.inf)
    return torch.softmax(DropKey(rate, prefix)(scores, key=key), -1) @ V


def attended(flex: Any, rate: float, visible: Any = None, prefix: int = 0, key: Any = KEY) -> Tensor:
    mod = drop_key_score_mod(SHAPE, rate, mask_mod=visible, prefix=prefix, key=key)
    block = None if visible is None else create_block_mask(visible, None, None, 130, 140, "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not compiled
        out: Tensor = flex(Q, K, V, score_mod=mod, block_mask=block)
    return out


@pytest.mark.parametrize("prefix", [0, 2])
@pytest.mark.parametrize("visible", [None, causal])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_keys_of_the_layer_fall(rate: float, visible: Any, prefix: int) -> None:
    torch.testing.assert_close(
        attended(flex_attention, rate, visible, prefix), expected(rate, visible, prefix)
    )


def test_the_compiled_kernel_loses_them_too() -> None:
    compiled = torch.compile(flex_attention, fullgraph=True)
    torch.testing.assert_close(attended(compiled, 0.3, causal), expected(0.3, causal))
    # Nothing is compiled anew for another key.
    with torch.compiler.set_stance("fail_on_recompile"):
        for key in (8, dropkit.Key(2**64 - 1, 3, 4)):
            torch.testing.assert_close(
                attended(compiled, 0.3, causal, key=key), expected(0.3, causal, key=key)
            )


def test_the_twin_makes_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    first = attended(flex_attention, 1.0, causal)
    monkeypatch.setattr(native, "AVAILABLE", False)
    assert torch.equal(attended(flex_attention, 1.0, causal), first)


def test_seeding_repeats_the_draws() -> None:
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        mod = drop_key_score_mod((1, 1, 1, 64), 0.5)
        place = torch.zeros((), dtype=torch.int64)
        masks.append(torch.stack([mod(torch.zeros(()), place, place, place, k) for k in torch.arange(64)]))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: drop_key_score_mod((1, 2, 3), 0.5), "shape"),  # type: ignore[arg-type]  # that is the point
        (lambda: drop_key_score_mod((1, 2, 3, 0), 0.5), "keys"),
        (lambda: drop_key_score_mod(SHAPE, 1.5), "p must"),
        (lambda: drop_key_score_mod(SHAPE, 0.5, prefix=-1), "prefix"),
        (lambda: drop_key_score_mod(SHAPE, 0.5, mask_mod=3), "mask_mod"),  # type: ignore[arg-type]  # that is the point
        (lambda: drop_key_score_mod(SHAPE, 0.5, key=0.5), "key"),  # type: ignore[arg-type]  # that is the point
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(DropkitError, match=words):
        call()
