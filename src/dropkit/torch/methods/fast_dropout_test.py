import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.local import carried, deviation
from dropkit.core.reference import normal
from dropkit.methods import fast_dropout as law
from dropkit.torch import FastDropout, relu_moments, sigmoid_moments, under_key


def dense(p: float = 0.4, inputs: int = 4, outputs: int = 3) -> Any:
    torch.manual_seed(0)
    return FastDropout(nn.Linear(inputs, outputs), p)


def test_torch_equals_numpy_under_the_same_key() -> None:
    layer, x = dense().double(), torch.randn(5, 4).double()
    weight, bias = (part.detach().numpy() for part in (layer.layer.weight, layer.layer.bias))
    variance = carried(law.dropped_variance(x.numpy(), 0.0, 0.4), weight)
    expected = x.numpy() @ weight.T + bias + deviation(variance) * normal(8, (5, 3))
    assert np.allclose(layer(x, key=8).detach().numpy(), expected, rtol=1e-12, atol=1e-14)


def test_the_activations_equal_numpys() -> None:
    mean, variance = torch.randn(6).double(), torch.rand(6).double()
    given = law.Moments(mean.numpy(), variance.numpy())
    for ours, numpys in (
        (relu_moments(mean, variance), law.relu_moments(np, given, ndtr)),
        (sigmoid_moments(mean, variance), law.sigmoid_moments(np, given)),
    ):
        assert np.allclose(np.stack(ours), np.stack(numpys), rtol=1e-10, atol=1e-14)


def test_moments_are_carried_through_two_layers() -> None:
    first, second, x = dense().double(), dense(0.2, 3, 2).double(), torch.randn(5, 4).double()
    mean, variance = second.moments(*relu_moments(*first.moments(x)))
    hidden = relu_moments(*first.moments(x))
    spread = law.dropped_variance(hidden.mean, hidden.variance, 0.2) @ (second.layer.weight**2).T
    assert torch.allclose(mean, second.layer(hidden.mean))
    assert torch.allclose(variance, spread)


def test_evaluation_is_the_wrapped_layer_and_mode_mc_draws_in_it_and_the_key_of_a_model_holds() -> None:
    model, x = nn.Sequential(dense()).eval(), torch.randn(5, 4)
    assert torch.equal(model(x), model[0].layer(x))  # type: ignore[operator]  # it is a layer
    with dropkit.mode(model, "mc"):
        assert not torch.equal(model(x), model(x))
    with under_key(model.train(), 3):
        assert torch.equal(model(x), model(x))


def test_a_rate_of_0_draws_nothing_and_a_rate_of_1_leaves_the_bias() -> None:
    x = torch.randn(5, 4)
    assert torch.equal(dense(0.0)(x), dense(0.0).layer(x))
    assert not dense(0.0).can_draw
    whole = dense(1.0)
    assert torch.equal(whole(x), whole.layer.bias.expand(5, 3))
    x.requires_grad_()
    (slope,) = torch.autograd.grad(dense(1.0)(x).sum(), x)
    assert not slope.any()


def test_the_gradient_is_that_of_finite_differences() -> None:
    layer, x = dense().double(), torch.randn(3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x, key=3), x)
    assert torch.autograd.gradcheck(lambda x: tuple(relu_moments(*layer.moments(x))), x)
    assert torch.autograd.gradcheck(lambda x: tuple(sigmoid_moments(*layer.moments(x))), x)


def test_an_input_of_zeros_has_finite_gradients() -> None:
    layer, x = dense(), torch.zeros(2, 4, requires_grad=True)
    (layer(x).sum() + sum(part.sum() for part in relu_moments(*layer.moments(x)))).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(layer.layer.weight.grad).all()


def test_autocast_keeps_the_variance_wide() -> None:
    layer, x = dense(), torch.randn(2, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        assert layer.moments(x).variance.dtype == torch.float32


def test_it_survives_copies_pickles_and_state_dicts() -> None:
    layer, other, x = dense(), dense(), torch.randn(5, 4)
    nn.init.normal_(layer.layer.weight)
    other.load_state_dict(layer.state_dict())
    assert set(layer.state_dict()) == {"layer.weight", "layer.bias"}
    for same in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), other):
        assert torch.equal(same(x, key=1), layer(x, key=1))


def test_a_graph_draws_as_eager_mode_does() -> None:
    layer, x = dense(), torch.randn(5, 4)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(x, key=5), layer(x, key=5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dense(1.5), r"p must be a number in \[0, 1\], got 1.5"),
        (lambda: FastDropout(nn.ReLU(), 0.5), "layer must be a Linear"),  # type: ignore[arg-type]  # that is the test
        (
            lambda: dense().moments(torch.ones(2, 4), torch.ones(4)),
            r"variance has the shape of mean, \(2, 4\), got \(4,\)",
        ),
    ],
)
def test_what_is_wrong_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
