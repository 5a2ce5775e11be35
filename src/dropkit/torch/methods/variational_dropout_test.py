import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import ndtr
from torch import Tensor, nn

import dropkit
from dropkit import Drop, DropkitError
from dropkit.core.reference import apply, normal
from dropkit.methods import get
from dropkit.methods import variational_dropout as law
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import VariationalDropout, VariationalLinear, parameter_groups, penalty, under_key

MAKE: dict[str, Callable[[], Any]] = {
    "units": lambda: VariationalDropout(4, 10),
    "units of a layer": lambda: VariationalDropout(4, 10, per="layer"),
    "weights": lambda: VariationalLinear(nn.Linear(4, 3), 10),
    "weights of units": lambda: VariationalLinear(nn.Linear(4, 3), 10, per="unit"),
    "weights of a layer": lambda: VariationalLinear(nn.Linear(4, 3), 10, per="layer"),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def declare(rate: float, shape: tuple[int, ...]) -> Declared:
    """The rate is no more than a name here: it is the variance."""

    def below(m: np.ndarray) -> np.ndarray:
        return np.asarray(ndtr((m - 1) / math.sqrt(rate)))

    return Declared(rate, shape, (1,) * len(shape[:-1]) + (1 + 0 * shape[-1],), law=below)


def of_variance(rate: float) -> Any:
    alpha = min(max(rate, 1e-6), 1 - 1e-6)
    layer = VariationalDropout(1, 1, per="layer").double().requires_grad_(False)
    layer.logit.fill_(math.log(alpha / (1 - alpha)))
    return layer


def call(layer: VariationalDropout, x: Tensor, *, key: Any) -> Tensor:
    layer.features = x.shape[-1]
    y: Tensor = layer(x, key=key)
    return y


SUBJECTS = [
    layer_subject(
        of_variance,
        "a variance that is given",
        call,
        Shapes((23, 23), ((66, 4), (4, 66))),
        declare,
        waived=dict(get("variational_dropout").waived),
    )
]


@pytest.mark.parametrize("per", ["unit", "layer"])
def test_type_a_is_gaussian_dropout_of_numpy_under_the_same_key(per: Any) -> None:
    layer, x = VariationalDropout(6, 10, 0.3, per=per).double(), torch.randn(5, 6).double()
    layer.logit.data.fill_(math.log(0.3 / 0.4))
    expected = apply(x.numpy(), Drop(0.3, noise="gaussian"), key=4)
    assert np.allclose(layer(x, key=4).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_each_unit_of_an_axis_has_the_noise_of_its_own_variance() -> None:
    layer, x = VariationalDropout(3, 10, axis=1).double(), torch.ones(2, 3, 4, 5).double()
    layer.logit.data = torch.tensor([-2.0, 0.0, 2.0]).double()
    alpha = layer.alpha.detach().numpy().reshape(3, 1, 1)
    expected = law.factor(alpha, normal(7, (2, 3, 4, 5)))
    assert np.allclose(layer(x, key=7).detach().numpy(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("per", ["weight", "unit", "layer"])
def test_type_b_samples_each_output_from_its_law(per: Any) -> None:
    layer, x = VariationalLinear(nn.Linear(4, 3), 10, 0.3, per=per).double(), torch.randn(5, 4).double()
    layer.logit.data.normal_()
    weight, bias = (part.detach().numpy() for part in (layer.layer.weight, layer.layer.bias))
    alpha = np.broadcast_to(layer.alpha.detach().numpy(), weight.shape)
    mean = x.numpy() @ weight.T + bias
    variance = np.einsum("bi,ji,ji->bj", x.numpy() ** 2, alpha, weight**2)
    expected = mean + np.sqrt(variance) * normal(8, (5, 3))
    assert np.allclose(layer(x, key=8).detach().numpy(), expected, rtol=1e-12, atol=1e-14)


def test_evaluation_is_the_input_itself_or_the_wrapped_layer() -> None:
    x = torch.randn(2, 4)
    assert VariationalDropout(4, 10).eval()(x) is x
    layer = VariationalLinear(nn.Linear(4, 3), 10).eval()
    assert torch.equal(layer(x), layer.layer(x))


@every
def test_the_penalty_counts_everything_that_has_noise(make: Callable[[], Any]) -> None:
    layer = make()
    layer.logit.data.fill_(0.0)
    count = 12 if isinstance(layer, VariationalLinear) else 4
    assert float(layer.penalty().detach()) == pytest.approx(
        count / 10 * law.divergence(np, np.array(0.5)), rel=1e-5
    )


@every
def test_mode_mc_draws_in_evaluation_and_a_key_of_the_model_repeats_its_draws(
    make: Callable[[], Any],
) -> None:
    model, x = nn.Sequential(make()).eval(), torch.ones(2, 4)
    assert torch.equal(model(x), model(x))
    with dropkit.mode(model, "mc"):
        assert not torch.equal(model(x), model(x))
    with under_key(model.train(), 3):
        assert torch.equal(model(x), model(x))


@every
def test_the_gradient_of_the_variance_is_that_of_the_law(make: Callable[[], Any]) -> None:
    layer, x = make().double(), torch.ones(8, 4).double()
    (slope,) = torch.autograd.grad(layer(x, key=3).square().sum(), layer.logit)

    def loss(step: float) -> float:
        moved = copy.deepcopy(layer)
        moved.logit.data += step
        return float(moved(x, key=3).detach().square().sum())

    assert float(slope.sum()) == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-6)


def error(layer: Any, x: Tensor, target: float) -> Callable[[], Tensor]:
    def mean() -> Tensor:
        return (layer(x, key=6) - target).square().mean()  # type: ignore[no-any-return]  # a module's call is untyped

    return mean


def minimised(layer: Any, loss: Callable[[], Tensor]) -> float:
    optimizer = torch.optim.LBFGS(
        layer.rates(),
        max_iter=200,
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        found = loss() + penalty(layer)
        found.backward()  # type: ignore[no-untyped-call]  # it is untyped
        return found

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # it is untyped
    return float(layer.alpha.detach())


def best(error: Callable[[float], float], count: float) -> float:
    def loss(alpha: float) -> float:
        return error(alpha) + count * float(law.divergence(np, np.array(alpha)))

    return float(minimize_scalar(loss, bounds=(1e-6, 1), method="bounded", options={"xatol": 1e-10}).x)


def test_the_variance_of_units_falls_to_the_best_one_as_data_grows() -> None:
    x, z, found = torch.ones(1000, 1).double(), normal(6, (1000, 1)), []
    for rows in (2, 20, 200):
        layer = VariationalDropout(1, rows, per="layer").double()
        found.append(minimised(layer, error(layer, x, 1.0)))
        wanted = best(lambda alpha: float(((law.factor(alpha, z) - 1) ** 2).mean()), 1 / rows)
        assert found[-1] == pytest.approx(wanted, rel=1e-4)
    assert found[0] > found[1] > found[2]


def test_the_variance_of_weights_falls_to_the_best_one_as_data_grows() -> None:
    x, z, found = torch.ones(1000, 1).double(), normal(6, (1000, 1)), []
    for rows in (2, 20, 200):
        layer = VariationalLinear(nn.Linear(1, 1, bias=False), rows, per="layer").double()
        nn.init.constant_(layer.layer.weight, 2.0).requires_grad_(False)
        found.append(minimised(layer, error(layer, x, 2.0)))
        wanted = best(lambda alpha: float((4 * alpha * z**2).mean()), 1 / rows)
        assert found[-1] == pytest.approx(wanted, rel=1e-4)
    assert found[0] > found[1] > found[2]


def test_where_the_noise_does_no_harm_it_grows_to_its_limit() -> None:
    layer = VariationalDropout(1, 1, per="layer").double()
    assert minimised(layer, lambda: torch.zeros(())) > 0.999


@every
def test_it_survives_copies_pickles_and_state_dicts(make: Callable[[], Any]) -> None:
    layer, other, x = make(), make(), torch.randn(5, 4)
    layer.logit.data.fill_(1.0)
    other.load_state_dict(layer.state_dict())
    for same in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), other):
        assert torch.equal(same(x, key=1), layer(x, key=1))
    assert parameter_groups(layer)[1]["params"] == [layer.logit]


@every
def test_half_precision_and_autocast_reach_the_variance(make: Callable[[], Any]) -> None:
    layer = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(torch.ones(2, 4).bfloat16() if isinstance(layer, VariationalDropout) else torch.ones(2, 4))
    assert y.dtype == torch.bfloat16
    (y.float().sum() + layer.penalty()).backward()
    assert torch.isfinite(layer.logit.grad).all()


@every
def test_a_variance_that_fell_to_nothing_has_finite_gradients(make: Callable[[], Any]) -> None:
    layer = make()
    layer.logit.data.fill_(-200.0)
    assert not layer.alpha.detach().any()
    layer(torch.ones(2, 4)).sum().backward()
    assert torch.isfinite(layer.logit.grad).all()


@every
def test_an_input_of_zeros_has_finite_gradients(make: Callable[[], Any]) -> None:
    layer = make()
    layer(torch.zeros(2, 4)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


def test_a_graph_draws_as_eager_mode_does() -> None:
    model, x = (
        nn.Sequential(VariationalDropout(4, 10), VariationalLinear(nn.Linear(4, 3), 10)),
        torch.ones(2, 4),
    )

    def run(x: Tensor) -> Any:
        return model[1](model[0](x, key=5), key=6)

    compiled: Any = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(x), run(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VariationalDropout(0, 10), "features must be a whole number of at least 1, got 0"),
        (lambda: VariationalDropout(4, 0), "rows must be a whole number of at least 1, got 0"),
        (lambda: VariationalDropout(4, 10, 0.5), r"p must be a number in \(0, 0.5\), got 0.5"),
        (lambda: VariationalDropout(4, 10, per="weight"), "per must be one of 'unit', 'layer', got 'weight'"),  # type: ignore[arg-type]  # that is the test
        (lambda: VariationalLinear(nn.ReLU(), 10), "layer must be a Linear"),  # type: ignore[arg-type]  # that is the test
        (
            lambda: VariationalDropout(4, 10)(torch.ones(4, 3)),
            r"input has 4 entries along axis -1, got \(4, 3\)",
        ),
        (lambda: VariationalDropout(4, 10, axis=2)(torch.ones(4, 4)), "input has 4 entries along axis 2"),
    ],
)
def test_what_is_wrong_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
