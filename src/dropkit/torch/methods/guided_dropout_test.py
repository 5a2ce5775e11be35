import copy
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.reference import draws
from dropkit.methods.guided_dropout import BINS, inactive, strongest
from dropkit.torch import GuidedDropout

UNITS = 40
WRONG: Any = {"by": "tops"}
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(5, UNITS, dtype=torch.float64, generator=GENERATOR)
STRENGTH = torch.randn(UNITS, dtype=torch.float64, generator=GENERATOR)


def guided(p: float = 0.5, by: Any = "active") -> GuidedDropout:
    layer = GuidedDropout(UNITS, p, by).double()
    with torch.no_grad():
        layer.strength.copy_(STRENGTH)
    return layer


def test_strong_units_fall_as_numpy_draws_them() -> None:
    size = STRENGTH.abs().numpy()
    crowd = inactive(size, size.max(), np.arange(BINS + 1))
    gone = draws(3, (UNITS,)).below(0.5 * ~crowd)
    assert gone.any()
    assert not gone.all()
    expected = np.where(gone, 0, X.numpy() * STRENGTH.numpy())
    assert np.array_equal(guided()(X, key=3).detach().numpy(), expected)


def test_the_strongest_fall_whatever_the_key() -> None:
    size = STRENGTH.abs().numpy()
    gone = strongest(size, np.sort(size), 0.3)
    expected = np.where(gone, 0, X.numpy() * STRENGTH.numpy())
    for key in (1, 2):
        assert np.array_equal(guided(0.3, "top")(X, key=key).detach().numpy(), expected)


def test_dropped_units_get_no_gradient_and_kept_ones_theirs() -> None:
    layer, x = guided(), X.clone().requires_grad_()
    y = layer(x, key=3)
    grad_x, grad_t = torch.autograd.grad(y.sum(), (x, layer.strength))
    kept = (y != 0).all(0)
    assert torch.equal(grad_x, torch.where(kept, STRENGTH, 0.0).expand_as(X))
    assert torch.equal(grad_t != 0, kept)


@pytest.mark.parametrize("by", ["active", "top"])
def test_a_fresh_layer_drops_some_units_and_trains_the_others(by: Any) -> None:
    torch.manual_seed(0)
    layer = GuidedDropout(UNITS, 0.5, by).double()
    (grad,) = torch.autograd.grad(layer(X, key=1).sum(), layer.strength)
    assert int((grad == 0).sum()) == UNITS // 2 if by == "top" else 0 < int((grad == 0).sum()) < UNITS


def test_units_of_one_strength_do_not_all_fall() -> None:
    layer = guided(0.3, "top")
    with torch.no_grad():
        layer.strength.fill_(1.0)
    assert int((layer(X) == 0).all(0).sum()) == 12


def test_channels_are_units() -> None:
    x = X[..., None, None].expand(5, UNITS, 3, 4)
    expected = guided()(X, key=3)[..., None, None].expand_as(x)
    assert torch.equal(guided()(x, key=3), expected)


def test_a_dropped_infinity_is_gone() -> None:
    x = torch.full((1, UNITS), float("inf"), dtype=torch.float64)
    assert int((guided(1.0, "top")(x) == 0).sum()) == UNITS


def test_evaluation_multiplies_and_mc_draws() -> None:
    layer = guided().eval()
    assert torch.equal(layer(X), X * STRENGTH)
    assert torch.equal(guided(0.0)(X), X * STRENGTH)
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), guided()(X, key=1))


def test_strengths_come_to_say_which_units_matter_and_guide_the_drops() -> None:
    """y = x0: unit 0 becomes strong and the noise of unit 1 weak; then the strong one is what falls."""
    layer = GuidedDropout(2, 0.0, "top").double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for step in range(300):
        x = torch.randn(16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (layer(x).sum(1) - x[:, 0]).square().mean().backward()
        optimizer.step()
    assert layer.strength.tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    layer.p = 0.5
    assert torch.equal(layer(x)[:, 0], torch.zeros(16, dtype=torch.float64))
    assert torch.equal(layer(x)[:, 1], layer.eval()(x)[:, 1])


def test_copies_and_saved_states_keep_the_strengths() -> None:
    layer = guided()
    fresh = GuidedDropout(UNITS, 0.5).double()
    fresh.load_state_dict(layer.state_dict())
    for copied in (copy.deepcopy(layer), fresh):
        assert torch.equal(copied(X, key=2), layer(X, key=2))


def test_half_precision_is_computed_in_float32() -> None:
    y = guided().float().eval()(X.half())
    assert y.dtype == torch.float16
    assert torch.equal(y, (X.half().float() * STRENGTH.float()).half())


@pytest.mark.parametrize("by", ["active", "top"])
def test_it_compiles_whole(by: Any) -> None:
    layer = guided(0.4, by)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, key=4), layer(X, key=4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GuidedDropout(0), r"units must be a whole number of at least 1, got 0; give"),
        (lambda: GuidedDropout(3, 1.5), r"p must be a number in \[0, 1\], got 1.5; write"),
        (lambda: GuidedDropout(3, 0.5, **WRONG), r"by must be one of 'active', 'top', got 'tops'; did you"),
        (lambda: GuidedDropout(3)(X), r"input has 3 units along axis 1, got \(5, 40\); give"),
        (lambda: GuidedDropout(3)(torch.ones(3)), r"input has 3 units along axis 1, got \(3,\); give"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


def test_each_key_draws_other_units() -> None:
    drawn = {tuple((guided()(X, key=Key(0).fold("step", i)) == 0)[0].tolist()) for i in range(10)}
    assert len(drawn) > 5
