import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import draws
from dropkit.methods.ordered_dropout import chosen_width, kept_units
from dropkit.torch import OrderedDropout

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WIDTHS = (0.3, 0.6, 1.0)


def network(**rest: Any) -> OrderedDropout:
    torch.manual_seed(0)
    layers = [nn.Linear(3, 10), nn.Sigmoid(), nn.Linear(10, 7, bias=False), nn.Tanh(), nn.Linear(7, 2)]
    return OrderedDropout(nn.Sequential(*layers).double(), **{"widths": WIDTHS, **rest})


def masked(model: OrderedDropout, x: torch.Tensor, width: float) -> torch.Tensor:
    """The same network at full size, with what is behind the width multiplied by zero."""
    for layer in model.layers:
        x = layer(x)
        if not isinstance(layer, nn.Linear):
            x = x * (torch.arange(x.shape[1]) < kept_units(x.shape[1], width))
    return x


def drawn_width(key: int) -> float:
    return chosen_width(int(draws(key, (1,), "... -> ").u.item()), WIDTHS)


def test_the_width_is_that_of_numpy_and_the_outputs_those_of_a_mask() -> None:
    model = network()
    widths = [drawn_width(key) for key in range(12)]
    assert set(widths) == set(WIDTHS)
    for key, width in enumerate(widths):
        assert torch.allclose(model(X, key=key), masked(model, X, width), rtol=1e-12)


@pytest.mark.parametrize("width", [0.3, 0.6])
def test_the_gradient_is_that_of_a_mask(width: float) -> None:
    model = network()
    weights = list(model.parameters())
    found = torch.autograd.grad(model(X, width=width).square().sum(), weights)
    expected = torch.autograd.grad(masked(model, X, width).square().sum(), weights)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-14)
    assert not found[0][kept_units(10, width) :].any()


def test_the_products_are_really_smaller() -> None:
    model, seen = network(), []
    model.layers[1].register_forward_hook(lambda *call: seen.append(call[2].shape[1]))
    model.layers[3].register_forward_hook(lambda *call: seen.append(call[2].shape[1]))
    model(X, width=0.3)
    assert seen == [3, 3]


def test_evaluation_is_whole_and_mc_draws() -> None:
    model = network().eval()
    assert torch.equal(model(X), model.layers(X))
    key = next(key for key in range(12) if drawn_width(key) == 0.3)
    with dropkit.mode(model, "mc"):
        assert torch.allclose(model(X, key=key), masked(model, X, 0.3))
    assert torch.allclose(model(X, width=0.3), masked(model, X, 0.3))
    assert not network(widths=(1.0,)).can_draw


def test_a_submodel_is_the_network_of_its_width_on_its_own() -> None:
    model = network()
    small = model.submodel(0.3)
    assert torch.equal(small(X), model(X, width=0.3))
    assert [tuple(p.shape) for p in small.parameters()] == [(3, 3), (3,), (3, 3), (2, 3), (2,)]
    with torch.no_grad():
        next(small.parameters()).zero_()
    assert next(model.parameters()).all()


def test_copies_and_checkpoints_keep_the_names_of_the_weights() -> None:
    model, fresh = network(), network()
    assert next(iter(model.state_dict())) == "layers.0.weight"
    with torch.no_grad():
        next(model.parameters()).add_(1)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(X, key=1), model(X, key=1))
    assert torch.equal(copy.deepcopy(model)(X, key=1), model(X, key=1))


def test_a_key_of_the_whole_model_and_the_generator_choose_the_width() -> None:
    model = nn.Sequential(network())
    with dropkit.torch.under_key(model, 7):
        assert torch.equal(model(X), model(X))
    torch.manual_seed(0)
    first = [model(X) for _ in range(8)]
    torch.manual_seed(0)
    assert all(torch.equal(y, model(X)) for y in first)
    assert len({y.detach().numpy().tobytes() for y in first}) > 1
    assert np.isfinite(first[0].detach().numpy()).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network(widths=(0.5, 0.0)), r"widths\[1\] must be a number in \(0, 1\]"),
        (lambda: network(widths=0.5), "widths must be a tuple of numbers"),
        (lambda: network(widths=()), "widths has at least one width"),
        (lambda: network()(X, width=1.5), r"width must be a number in \(0, 1\], got 1.5"),
        (lambda: network().submodel(0), r"width must be a number in \(0, 1\]"),
        (lambda: OrderedDropout(nn.Linear(2, 2)), "layers must be a Sequential"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: OrderedDropout(nn.Sequential(nn.Linear(2, 2))), "two linear layers at least, got 1"),
        (
            lambda: OrderedDropout(nn.Sequential(nn.Linear(2, 4), nn.GLU(), nn.Linear(2, 2))),
            "in_features of '2' is the number of units before it, 4, got 2",
        ),
        (
            lambda: OrderedDropout(nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 2))),
            "no parameters but those of linear layers, got '1: LayerNorm'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
