import copy
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError, mask
from dropkit.methods.drop_attention import coins, renormalized
from dropkit.torch import DropAttention, DropKey

SHAPE = (2, 3, 4, 6)
SCORES = torch.linspace(-2, 2, 144, dtype=torch.float64).cos().reshape(SHAPE)
WEIGHTS = torch.softmax(SCORES, -1)


def law(p: float, unit: str, window: int, key: int) -> np.ndarray:
    kept = mask(key, SHAPE, coins(p, unit, window)) != 0
    return np.asarray(renormalized(WEIGHTS.numpy(), kept, np))


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize(("unit", "window"), [("column", 1), ("element", 1), ("column", 3), ("element", 2)])
def test_torch_does_what_the_law_does(p: float, unit: Any, window: int) -> None:
    y = DropAttention(p, unit, window)(WEIGHTS, key=5)
    assert y.numpy() == pytest.approx(law(p, unit, window, 5), rel=1e-14)
    assert y.sum(-1).numpy() == pytest.approx(np.ones(SHAPE[:-1]))


def test_single_weights_fall_as_keys_do_before_the_softmax() -> None:
    hid = torch.softmax(DropKey(0.3)(SCORES, key=5), -1)
    y = DropAttention(0.3, "element")(WEIGHTS, key=5)
    assert torch.equal(hid == 0, y == 0)
    assert torch.allclose(hid, y)


def test_evaluation_returns_the_weights_and_mc_draws() -> None:
    layer = DropAttention(0.5).eval()
    assert layer(WEIGHTS) is WEIGHTS
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(WEIGHTS, key=3), DropAttention(0.5)(WEIGHTS, key=3))
        assert not torch.equal(layer(WEIGHTS, key=3), WEIGHTS)


def test_gradient_is_that_of_the_quotient_and_finite_where_a_row_is_lost() -> None:
    x = WEIGHTS[:1, :1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: DropAttention(0.5, "element")(x, key=2), (x,))
    (grad,) = torch.autograd.grad(DropAttention(1.0)(x).sum(), x)
    assert torch.equal(grad, torch.ones_like(x))


def test_a_dropped_weight_is_zero_whatever_it_was() -> None:
    bad = WEIGHTS.clone()
    bad[..., 0] = torch.nan
    kept = torch.from_numpy(mask(4, SHAPE, coins(0.6)) != 0)
    y = DropAttention(0.6)(bad, key=4)
    assert not y[~kept[..., :1].expand(SHAPE)].isnan().any()
    assert (~kept[..., 0]).any()


def test_half_types_are_computed_in_float32() -> None:
    y = DropAttention(0.3)(WEIGHTS.half(), key=5)
    assert y.dtype == torch.float16
    assert torch.equal(y, DropAttention(0.3)(WEIGHTS.half().float(), key=5).half())


def test_a_graph_drops_what_eager_mode_drops() -> None:
    layer = DropAttention(0.5, window=2)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(WEIGHTS, key=8), layer(WEIGHTS, key=8))


def test_copies_draw_alike() -> None:
    layer = DropAttention(0.5)
    assert torch.equal(copy.deepcopy(layer)(WEIGHTS, key=1), layer(WEIGHTS, key=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DropAttention(2), "p must be a number in"),
        (lambda: DropAttention(0.1, "row"), "unit must be one of 'column', 'element', got 'row'"),  # type: ignore[arg-type]  # that is the point
        (lambda: DropAttention(0.1, window=0), "window must be a whole number of at least 1"),
        (lambda: DropAttention(0.1)(torch.ones(2, 3)), r"weights has axes \(batch, heads, queries, keys\)"),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


@pytest.mark.parametrize(("unit", "window"), [("column", 1), ("element", 1), ("column", 3)])
def test_protected_keys_stay_and_do_not_move_the_mask_of_the_others(unit: Any, window: int) -> None:
    marks = torch.zeros(2, 1, 1, 6, dtype=torch.bool)
    marks[1, ..., 3] = True
    spared = (marks | (torch.arange(6) < 2)).expand(SHAPE).numpy()
    fallen = mask(6, SHAPE, coins(0.8, unit, window)) == 0
    y = DropAttention(0.8, unit, window, prefix=2)(WEIGHTS, protected=marks, key=6)
    assert y.numpy() == pytest.approx(renormalized(WEIGHTS.numpy(), ~fallen | spared, np), rel=1e-14)
    assert (fallen & spared).any()


def test_wrong_protection_is_refused() -> None:
    with pytest.raises(DropkitError, match="protected is a bool tensor"):
        DropAttention(0.5)(WEIGHTS, protected=torch.ones(6))  # numbers are the point
    with pytest.raises(DropkitError, match="prefix"):
        DropAttention(0.5, prefix=-1)


@pytest.mark.parametrize("unit", ["column", "element"])
def test_the_order_in_memory_is_kept(unit: Any) -> None:
    x = torch.rand(2, 3, 8, 9)
    plain = DropAttention(0.5, unit)(x, key=1)
    x = x.to(memory_format=torch.channels_last)
    y = DropAttention(0.5, unit)(x, key=1)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, plain)
