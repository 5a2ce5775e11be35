import copy
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.choose import kept_places
from dropkit.core.reference import draws
from dropkit.torch import PatchDropout

X = torch.arange(3 * 11 * 2, dtype=torch.float64).reshape(3, 11, 2)
FREE = np.broadcast_to(np.arange(11) > 0, (3, 11))
KEY = 5


@pytest.mark.parametrize(("p", "count"), [(0.0, 11), (0.25, 9), (0.5, 6), (0.9, 2), (1.0, 2)])
def test_torch_keeps_what_the_law_keeps(p: float, count: int) -> None:
    kept = kept_places(draws(5, (3, 11)).u, FREE, 11 - count, np)
    y = PatchDropout(p)(X, key=5)
    assert y.shape == (3, count, 2)
    assert np.array_equal(y.numpy(), np.take_along_axis(X.numpy(), kept[..., None], 1))


def test_the_number_kept_is_rounded() -> None:
    for tokens in range(2, 40):
        y = PatchDropout(0.3, prefix=0)(torch.ones(1, tokens, 1))
        assert y.shape[1] == max(1, round(0.7 * tokens))


def test_the_places_are_those_of_the_output() -> None:
    layer = PatchDropout(0.5, prefix=2)
    places = layer.places(X, key=1)
    assert places is not None
    assert torch.equal(layer(X, key=1)[..., 0], X[..., 0].gather(1, places))
    assert torch.equal(places[:, :2], torch.tensor([[0, 1]]).expand(3, 2))


def test_protected_tokens_stay_whatever_the_rate() -> None:
    protected = torch.zeros(3, 11, dtype=torch.bool)
    protected[0, [3, 9]] = protected[2, 5:9] = True
    y = PatchDropout(1.0, prefix=1)(X, protected=protected, key=2)
    # The last sample has six tokens that may go, of which one stays.
    assert y.shape[1] == 11 - 5
    for row, marks, left in zip(X, protected, y, strict=True):
        assert set(row[marks][:, 0].tolist()) <= set(left[:, 0].tolist())


def test_a_sequence_of_protected_tokens_passes_as_it_is() -> None:
    assert PatchDropout(0.9)(X, protected=torch.ones(3, 11, dtype=torch.bool)) is X
    assert PatchDropout(0.9, prefix=20)(X) is X


def test_evaluation_returns_the_input_and_mc_removes() -> None:
    layer = PatchDropout(0.5).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=3), PatchDropout(0.5)(X, key=3))


def test_gradient_is_1_where_a_token_stays() -> None:
    x = X.clone().requires_grad_()
    layer = PatchDropout(0.5)
    layer(x, key=4).sum().backward()
    places = layer.places(X, key=4)
    assert x.grad is not None
    assert places is not None
    assert torch.equal(x.grad, torch.zeros_like(X).scatter(1, places[..., None].expand(-1, -1, 2), 1.0))


def test_a_graph_keeps_what_eager_mode_keeps() -> None:
    layer = PatchDropout(0.5)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, key=8), layer(X, key=8))


def test_copies_draw_alike() -> None:
    layer = PatchDropout(0.5)
    assert torch.equal(copy.deepcopy(layer)(X, key=1), layer(X, key=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PatchDropout(1.1), "p must be a number in"),
        (lambda: PatchDropout(0.5, prefix=-1), "prefix must be a whole number of at least 0"),
        (lambda: PatchDropout(0.5)(torch.ones(3, 4)), r"input has axes \(batch, tokens, features\)"),
        (lambda: PatchDropout(0.5)(X, protected=torch.ones(3, 11)), "protected is a bool tensor of shape"),
        (lambda: PatchDropout(0.5)(X, protected=torch.ones(3, 4) > 0), "protected is a bool tensor of shape"),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


def test_removed_patches_are_as_if_no_other_could_see_them() -> None:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True).double()
    patches = PatchDropout(0.5)
    found = []
    for removed in (True, False):
        x = torch.randn(3, 11, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        x.requires_grad_()
        places = patches.places(x, key=KEY)
        assert places is not None
        if removed:
            y = layer(patches(x, key=KEY))
        else:
            gone = torch.ones(3, 11, dtype=torch.bool).scatter(1, places, False)
            y = layer(x, src_key_padding_mask=gone)
            y = y.gather(1, places[..., None].expand(-1, -1, 8))
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    for one, other in zip(*found, strict=True):
        # Rounding of float64 in sums of a few hundred terms of order 1.
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
