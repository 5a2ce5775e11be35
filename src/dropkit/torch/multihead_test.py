from typing import Any

import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit import DropkitError
from dropkit.torch import MultiheadAttention

RATE = 0.4


def pair(*arguments: Any, **settings: Any) -> tuple[MultiheadAttention, nn.MultiheadAttention]:
    """Ours and torch's with the same weights."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(*arguments, **settings)
    ours = MultiheadAttention(*arguments, **settings)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch first": {"batch_first": True},
    "no bias": {"bias": False},
    "other sizes": {"kdim": 6, "vdim": 5, "batch_first": True},
    "learned key and value": {"add_bias_kv": True},
    "a zero to attend to": {"add_zero_attn": True, "add_bias_kv": True, "batch_first": True},
}
MASKS: dict[str, dict[str, Any]] = {
    "none": {},
    "padding": {"key_padding_mask": torch.arange(7) > torch.tensor([[3], [6], [5]])},
    "pairs": {"attn_mask": torch.ones(4, 7, dtype=torch.bool).triu(4)},
    "a bias a head": {"attn_mask": torch.linspace(-1, 1, 6 * 28).reshape(6, 4, 7)},
    "both": {
        "attn_mask": torch.linspace(-1, 1, 28).reshape(4, 7),
        "key_padding_mask": torch.zeros(3, 7).masked_fill(torch.arange(7) > 4, -torch.inf),
    },
}


def inputs(settings: dict[str, Any]) -> list[Tensor]:
    sizes = (4, 8), (7, settings.get("kdim", 8)), (7, settings.get("vdim", 8))
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(3, *size, generator=generator) for size in sizes]
    return made if settings.get("batch_first") else [x.transpose(0, 1) for x in made]


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", SETTINGS)
def test_at_a_rate_that_drops_nothing_it_is_torchs(name: str, masks: str) -> None:
    settings = SETTINGS[name]
    ours, theirs = pair(8, 2, dropout=1e-12, **settings)
    given = inputs(settings)
    for weights in (False, True):
        mine = ours(*given, need_weights=weights, **MASKS[masks])
        own = theirs.eval()(*given, need_weights=weights, **MASKS[masks])
        torch.testing.assert_close(mine, own, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("average", [False, True])
def test_weights_are_returned_as_they_were_dropped(average: bool) -> None:
    ours, _ = pair(8, 2, dropout=RATE, batch_first=True)
    given = inputs({"batch_first": True})
    out, weights = ours(*given, average_attn_weights=average, source={"key": 5})
    blind, nothing = ours(*given, need_weights=False, source={"key": 5})
    assert nothing is None
    torch.testing.assert_close(out, blind, rtol=1e-4, atol=1e-6)
    assert weights.shape == ((3, 4, 7) if average else (3, 2, 4, 7))
    mask = torch.from_numpy(dropkit.mask(5, (3, 2, 4, 7), dropkit.Drop(RATE)))
    if not average:
        assert torch.equal(weights == 0, mask == 0)


def test_a_sample_alone_has_no_batch_axis() -> None:
    ours, theirs = pair(8, 2, dropout=1e-12)
    q, k, v = (x[:, 0] for x in inputs({}))
    padding = torch.arange(7) > 4
    mine, own = (m(q, k, v, key_padding_mask=padding) for m in (ours, theirs.eval()))
    torch.testing.assert_close(mine, own, rtol=1e-4, atol=1e-6)


def test_eval_is_torchs_bit_for_bit_and_mode_draws() -> None:
    ours, theirs = pair(8, 2, dropout=RATE, batch_first=True)
    x = torch.randn(3, 4, 8)
    ours.eval(), theirs.eval()
    assert torch.equal(ours(x, x, x)[0], theirs(x, x, x)[0])
    with dropkit.mode(ours, "mc"):
        assert not torch.equal(ours(x, x, x)[0], ours(x, x, x)[0])
    with dropkit.mode(ours.train(), "eval"):
        assert torch.equal(ours(x, x, x)[0], theirs(x, x, x)[0])
    assert ours.training


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_layer_takes_it(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=norm_first)
    x = torch.randn(3, 4, 8)
    with torch.no_grad():
        before = layer.eval()(x)
        ours, _ = pair(8, 2, dropout=RATE, batch_first=True)
        ours.load_state_dict(layer.self_attn.state_dict())
        layer.self_attn = ours.eval()
        quiet = layer(x)
        with dropkit.mode(layer, "mc"):
            first, second = layer(x), layer(x)
        again = layer(x)
    assert torch.equal(quiet, before)
    assert not torch.equal(first, second)
    assert torch.equal(again, quiet)


def test_gradients_reach_every_weight() -> None:
    ours, _ = pair(8, 2, dropout=RATE, add_bias_kv=True)
    ours(*inputs({}), need_weights=False)[0].sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0
        for name, p in ours.named_parameters()
        if name != "bias_k"
    )


@pytest.mark.parametrize("sizes", [(5, 2), (0, 1), (4, 0)])
def test_features_that_do_not_part_into_heads_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(DropkitError, match="embed_dim is a multiple of num_heads, both above 0"):
        MultiheadAttention(*sizes)


SQUARE = torch.randn(2, 5, 8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"is_causal": True}, "is_causal says what attn_mask is"),
        ({"key_padding_mask": torch.zeros(2, 5, dtype=torch.int64)}, "key_padding_mask is bool, or a float"),
        ({"attn_mask": torch.zeros(5, 5, dtype=torch.int64)}, "attn_mask is bool, or a float"),
        ({"key_padding_mask": torch.zeros(5, 2)}, r"key_padding_mask has the shape \(2, 5\)"),
        ({"attn_mask": torch.zeros(2, 5, 5)}, r"attn_mask has the shape \(5, 5\) or \(4, 5, 5\)"),
        ({"query": torch.randn(2, 5, 8), "key": torch.randn(1, 5, 8)}, "fit one another"),
        ({"value": torch.randn(2, 4, 8)}, "fit one another"),
    ],
)
@pytest.mark.parametrize("need_weights", [False, True])
def test_what_torch_refuses_is_refused_in_training(
    call: dict[str, Any], words: str, need_weights: bool
) -> None:
    ours, theirs = pair(8, 2, dropout=RATE, batch_first=True)
    arguments: dict[str, Any] = {"query": SQUARE, "key": SQUARE, "value": SQUARE, **call}
    with pytest.raises((RuntimeError, AssertionError)):
        theirs(**arguments, need_weights=need_weights)
    with pytest.raises(DropkitError, match=words):
        ours(**arguments, need_weights=need_weights)


def test_a_rate_out_of_range_is_refused_at_construction() -> None:
    with pytest.raises(DropkitError, match="p must"):
        MultiheadAttention(8, 2, dropout=2.0)
