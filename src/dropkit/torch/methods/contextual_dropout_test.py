import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.noise import Gaussian
from dropkit.core.reference import draws, unit
from dropkit.methods.contextual_dropout import METHOD
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import ContextualDropout, arm_backward, parameter_groups, penalty

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(5, 6, dtype=torch.float64, generator=GENERATOR)
WRONG: Any = {"noise": "uniform"}


def _entries(layer: Any, x: torch.Tensor, key: Any = None) -> torch.Tensor:
    y: torch.Tensor = layer(x.reshape(-1, 1), key=key).reshape(x.shape)
    return y


SUBJECTS = [
    layer_subject(
        lambda rate: ContextualDropout(1, rate).double().requires_grad_(False),
        "contextual_dropout at its start on torch",
        _entries,
        Shapes((23, 23), ((66, 4), (4, 66))),
        lambda rate, shape: Declared(rate, shape, (1,) * len(shape), factor=1 - rate),
        dtypes=("float64",),
        waived={
            "mean": METHOD.waived["mean"],
            "edges": METHOD.waived["edges"],
            "evaluation": "its rates of 0 and 1 are none: " + METHOD.waived["edges"],
            "untouched": "its rates of 0 and 1 are none: " + METHOD.waived["edges"],
        },
    )
]


def gate(noise: Any = "bernoulli", **arguments: Any) -> ContextualDropout:
    """A gate whose network has something to say."""
    layer = ContextualDropout(6, 0.4, noise, hidden=4, **arguments).double()
    with torch.no_grad():
        for parameter in layer.network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=GENERATOR))
    return layer


def rates(layer: ContextualDropout, x: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(torch.sigmoid(layer.network(x)).numpy())


def test_bernoulli_gates_fall_as_numpy_draws_them_at_the_rates_of_each_sample() -> None:
    layer = gate()
    rate = rates(layer, X)
    assert (rate.max(0) - rate.min(0) > 0.1).all()
    expected = np.where(draws(3, (5, 6)).below(rate), 0, X.numpy())
    assert np.array_equal(layer(X, key=3).detach().numpy(), expected)


def test_gaussian_gates_have_the_variance_of_each_sample() -> None:
    layer = gate("gaussian")
    rate, words = rates(layer, X), draws(3, (5, 6))
    z = Gaussian().standard(np, words.u, words.second)
    expected = X.numpy() * (1 + np.sqrt(rate / (1 - rate)) * z)
    assert layer(X, key=3).detach().numpy() == pytest.approx(expected, rel=1e-12)


def test_a_map_is_read_by_its_mean_and_gated_by_channel() -> None:
    layer, x = gate(), torch.randn(5, 6, 3, 4, dtype=torch.float64, generator=GENERATOR)
    gone = draws(3, (5, 6)).below(rates(layer, x.mean((2, 3))))
    expected = np.where(gone[..., None, None], 0, x.numpy())
    assert np.array_equal(layer(x, key=3).detach().numpy(), expected)


def test_evaluation_takes_the_mean_of_the_gates_and_mc_draws() -> None:
    layer = gate().eval()
    assert layer(X).detach().numpy() == pytest.approx(X.numpy() * (1 - rates(layer, X)), rel=1e-12)
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), layer.train()(X, key=1))
    assert gate("gaussian").eval()(X) is X


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_the_penalty_is_the_divergence_from_the_prior(noise: Any) -> None:
    layer = gate(noise, prior=0.2)
    assert penalty(layer) == 0
    layer(X, key=3)
    if noise == "bernoulli":
        of: Any = torch.distributions.Bernoulli
        gates, prior = of(torch.from_numpy(rates(layer, X))), of(torch.tensor(0.2, dtype=torch.float64))
    else:
        rate = torch.from_numpy(rates(layer, X))
        gates = torch.distributions.Normal(torch.ones_like(rate), (rate / (1 - rate)).sqrt())
        prior = torch.distributions.Normal(1.0, 0.5)
    expected = torch.distributions.kl_divergence(gates, prior).sum(1).mean()
    assert float(penalty(layer).detach()) == pytest.approx(float(expected), rel=1e-6)


def test_the_estimator_gives_the_gates_the_gradient_of_arm_and_all_else_its_own() -> None:
    layer = gate(prior=0.4)
    linear = nn.Linear(6, 6).double()
    model, key = nn.Sequential(linear, layer), Key(7)

    def losses() -> torch.Tensor:
        y: torch.Tensor = model(X)
        return y.sum(1) ** 2

    arm_backward(model, losses, key, weight=0.0)
    hidden = linear(X).detach()
    rate, u = rates(layer, hidden), unit(key.fold("1"), (5, 6))
    first, second = (
        np.where(draw < rate, 0, hidden.numpy()).sum(1, keepdims=True) ** 2 for draw in (u, 1 - u)
    )
    slope = torch.from_numpy((second - first) * (u - 0.5) / 5)
    expected = torch.autograd.grad(layer.network(hidden), tuple(layer.network.parameters()), slope)
    for parameter, grad in zip(layer.network.parameters(), expected, strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, grad)
    with dropkit.torch.under_key(model, key):
        (own,) = torch.autograd.grad(losses().mean(), linear.weight)
    assert linear.weight.grad is not None
    assert torch.equal(linear.weight.grad, own)


def test_the_estimator_adds_the_gradient_of_the_penalty() -> None:
    layer = gate()
    losses = [arm_step(layer, lambda y: 0 * y.sum(1), weight) for weight in (0.0, 0.5)]
    layer(X, key=3)
    divergence = penalty(layer)
    parameters = tuple(layer.parameters())
    assert [float(loss) for loss in losses] == pytest.approx([0.0, 0.5 * float(divergence.detach())])
    for parameter, grad in zip(parameters, torch.autograd.grad(divergence, parameters), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, 0.5 * grad)


def test_bernoulli_gates_learn_which_samples_need_a_unit() -> None:
    """Unit 1 is wanted where unit 0 is positive, and in the way elsewhere."""
    torch.manual_seed(0)
    layer = ContextualDropout(2, 0.5, hidden=4).double()
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(16)
    x = torch.stack([sign, torch.ones_like(sign)], 1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for step in range(200):
        optimizer.zero_grad()
        arm_backward(
            layer, lambda: (layer(x)[:, 1] - (sign > 0).double()) ** 2, Key(0).fold("step", step), 0.0
        )
        optimizer.step()
    wanted, unwanted = rates(layer, x)[:2, 1]
    assert wanted < 0.05
    assert unwanted > 0.95


def test_gaussian_gates_learn_the_variance_that_balances_loss_and_prior() -> None:
    """x^2 a v + (a / b - 1 - log(a / b)) / 2 is least at a = 1 / (2 x^2 v + 1 / b), v the mean of z^2."""
    torch.manual_seed(0)
    layer = ContextualDropout(1, 0.3, "gaussian", hidden=4, prior=0.5).double()
    x = torch.tensor([1.0, 2.0], dtype=torch.float64).repeat(64)[:, None]
    words = draws(5, (128, 1))
    z = Gaussian().standard(np, words.u, words.second)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(1500):
        optimizer.zero_grad()
        ((layer(x, key=5) - x).square().mean() + penalty(layer)).backward()
        optimizer.step()
    rate = rates(layer, x)[:2, 0]
    v = np.array([np.mean(z[start::2] ** 2) for start in (0, 1)])
    assert rate / (1 - rate) == pytest.approx(1 / (2 * np.array([1.0, 4.0]) * v + 1), rel=1e-3)


def test_no_weight_decay_pulls_at_the_rates() -> None:
    layer = gate()
    _, learned = parameter_groups(layer, weight_decay=0.1)
    assert [id(rate) for rate in learned["params"]] == [id(layer.prior_logit), id(layer.network[-1].bias)]
    assert not gate(prior=0.3).prior_logit.requires_grad


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_copies_and_saved_states_gate_alike_also_after_a_pass(noise: Any) -> None:
    layer = gate(noise)
    y = layer(X, key=2)
    fresh = ContextualDropout(6, 0.9, noise, hidden=4).double()
    fresh.load_state_dict(layer.state_dict())
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), fresh):
        assert torch.equal(copied(X, key=2), y)


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_half_precision_is_gated_in_float32(noise: Any) -> None:
    layer, x = gate(noise).float(), X.half()
    y = layer(x, key=3)
    assert y.dtype == torch.float16
    assert torch.equal(y, layer(x.float(), key=3).half())


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_it_compiles_whole(noise: Any) -> None:
    layer = gate(noise)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(X, key=4), layer(X, key=4))


def _twice() -> nn.Module:
    layer = gate()
    return nn.Sequential(layer, layer)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ContextualDropout(0), r"units must be a whole number of at least 1, got 0; give"),
        (lambda: ContextualDropout(3, 0.0), r"p must be a number in \(0, 1\), got 0.0; write"),
        (lambda: ContextualDropout(3, 0.1, **WRONG), r"noise must be one of 'bernoulli', 'gaussian'"),
        (lambda: ContextualDropout(3, hidden=0), r"hidden must be a whole number of at least 1, got 0"),
        (lambda: ContextualDropout(3, prior=1.0), r"prior must be a number in \(0, 1\), got 1.0"),
        (lambda: gate()(X[:, :5]), r"input has 6 units along axis 1, got \(5, 5\); give"),
        (lambda: arm_backward(gate("gaussian"), lambda: X[:, 0], 1), r"model has Bernoulli contextual"),
        (lambda: arm_backward(gate(), lambda: X[:, 0], 1), r"is called once a pass.* got '0 calls'"),
        (lambda: arm_step(_twice()), r"is called once a pass.* got '2 calls'"),
        (lambda: arm_step(gate().eval()), r"is called once a pass.* got '0 calls'"),
        (
            lambda: arm_step(gate(), lambda y: y.mean()),
            r"losses returns one loss a sample, shape \(5,\), got",
        ),
        (lambda: arm_step(gate(), weight=-1.0), r"weight must be a number in \[0, inf\), got -1.0"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


def arm_step(model: Any, reduce: Any = lambda y: y.sum(1), weight: float = 1.0) -> torch.Tensor:
    return arm_backward(model, lambda: reduce(model(X)), 1, weight)
