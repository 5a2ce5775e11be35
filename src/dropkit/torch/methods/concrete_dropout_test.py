import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import unit
from dropkit.methods import concrete_dropout as law
from dropkit.methods import get
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import ConcreteDropout, parameter_groups, penalty, under_key

WAIVED = dict(get("concrete_dropout").waived)
CHANNELS = nn.Conv2d(3, 2, 1)
WEIGHT = 0.1


def cdf(rate: float) -> Any:
    """P(m <= v) at temperature 1: sigmoid(logit p + logit s) with s = v (1 - p), solved by hand."""

    def below(m: np.ndarray) -> np.ndarray:
        s = np.clip(m * (1 - rate), 0, 1)
        return np.asarray(rate * s / (rate * s + (1 - rate) * (1 - s)))

    return below


def declare(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(rate, shape, (1,) * len(shape), law=cdf(rate))


def declare_channels(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(rate, shape, (shape[3] * 0 + 1, 1, 0, 0), law=cdf(rate))


def make(layer: nn.Module) -> Any:
    def at(rate: float) -> ConcreteDropout:
        inside = min(max(rate, 1e-6), 1 - 1e-6)
        return ConcreteDropout(copy.deepcopy(layer), 1, inside, temperature=1.0).requires_grad_(False)

    return at


def perturb(layer: ConcreteDropout, x: torch.Tensor, *, key: Any) -> torch.Tensor:
    return layer.perturb(x, key=key)


SUBJECTS = [
    layer_subject(
        make(nn.Linear(1, 1)),
        "inputs",
        perturb,
        Shapes((23, 23), ((66, 4), (4, 66))),
        declare,
        waived=WAIVED,
    ),
    layer_subject(
        make(CHANNELS),
        "channels",
        perturb,
        Shapes((23, 23, 2, 2), ((66, 4, 2, 2), (4, 66, 2, 2))),
        declare_channels,
        waived=WAIVED,
    ),
]


def test_torch_equals_numpy_under_the_same_key() -> None:
    layer, x = ConcreteDropout(nn.Linear(6, 2).double(), 10, 0.3), torch.randn(5, 6).double()
    logit = layer.logit.detach().double().numpy()
    expected = x.numpy() * law.factor(np, unit(9, (5, 6)), logit, 0.1)
    assert np.allclose(layer.perturb(x, key=9).detach().numpy(), expected, rtol=1e-12, atol=0)
    assert torch.equal(layer(x, key=9), layer.layer(layer.perturb(x, key=9)))


def test_the_wrapped_layer_sees_the_callers_tensor_which_is_never_changed() -> None:
    layer, x = ConcreteDropout(nn.Linear(6, 2), 10, 0.9), torch.ones(5, 6)
    layer(x)
    assert torch.equal(x, torch.ones(5, 6))
    assert layer.eval().perturb(x) is x
    assert torch.equal(layer(x), layer.layer(x))


@pytest.mark.parametrize(("shape", "groups"), [((4, 3, 5, 5), (4, 3)), ((3, 5, 5), (3,))])
def test_a_convolution_drops_whole_channels_with_and_without_a_batch(
    shape: tuple[int, ...], groups: tuple[int, ...]
) -> None:
    m = ConcreteDropout(CHANNELS, 10, 0.4, temperature=1.0).perturb(torch.ones(shape), key=2)
    flat = m.detach().reshape(*groups, -1)
    assert torch.equal(flat, flat[..., :1].expand_as(flat))
    assert len(set(flat[..., 0].flatten().tolist())) == math.prod(groups)


def test_mode_mc_draws_in_evaluation_and_a_key_of_the_model_repeats_its_draws() -> None:
    model = nn.Sequential(ConcreteDropout(nn.Linear(6, 2), 10, 0.5)).eval()
    x = torch.ones(2, 6)
    assert torch.equal(model(x), model(x))
    with dropkit.mode(model, "mc"):
        assert not torch.equal(model(x), model(x))
    with under_key(model.train(), 3):
        assert torch.equal(model(x), model(x))


def test_the_gradient_of_the_rate_is_that_of_the_law() -> None:
    layer, x = (
        ConcreteDropout(nn.Linear(4, 1, bias=False).double(), 10, 0.3).double(),
        torch.ones(8, 4).double(),
    )
    nn.init.ones_(layer.layer.weight)
    (slope,) = torch.autograd.grad(layer(x, key=3).sum(), layer.logit)
    u, at, step = unit(3, (8, 4)), float(layer.logit.detach()), 1e-6
    high, low = (law.factor(np, u, np.array(at + h), 0.1).sum() for h in (step, -step))
    assert float(slope) == pytest.approx((high - low) / (2 * step), rel=1e-6)


def test_the_penalty_is_numpys_and_leaves_the_bias_out() -> None:
    for wrapped, inputs in ((nn.Linear(6, 2), 6), (nn.Conv2d(4, 8, 3, groups=2), 4)):
        nn.init.constant_(wrapped.bias, 100.0)  # type: ignore[arg-type]  # it is not None
        layer = ConcreteDropout(wrapped, 50, 0.2, length_scale=0.3, precision=4.0)
        squares = float(wrapped.weight.detach().square().sum())
        expected = law.penalty(np, np.array(math.log(0.25)), squares, inputs, 50, 0.3, 4.0)
        assert float(layer.penalty().detach()) == pytest.approx(expected, rel=1e-5)


def best(rows: int, u: np.ndarray) -> float:
    """The rate that has the least loss under these very draws, found without torch and without a gradient."""

    def loss(p: float) -> float:
        logit = np.array(math.log(p / (1 - p)))
        error = (WEIGHT * (law.factor(np, u, logit, 0.1) - 1)) ** 2
        return float(error.mean() + law.penalty(np, logit, WEIGHT**2, 1, rows, 1e-4, 1.0))

    return float(minimize_scalar(loss, bounds=(1e-3, 0.6), method="bounded", options={"xatol": 1e-9}).x)


def test_the_rate_falls_to_the_best_one_as_data_grows() -> None:
    found, x = [], torch.ones(2000, 1, dtype=torch.float64)
    for rows in (10, 100, 400):
        layer = ConcreteDropout(nn.Linear(1, 1, bias=False), rows, 0.3, precision=1.0).double()
        nn.init.constant_(layer.layer.weight, WEIGHT).requires_grad_(False)
        optimizer = torch.optim.LBFGS(
            layer.rates(),
            max_iter=200,
            tolerance_grad=1e-10,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )

        def closure(layer: Any = layer, optimizer: Any = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            loss = (layer(x, key=6) - WEIGHT).square().mean() + penalty(layer)
            loss.backward()
            return loss  # type: ignore[no-any-return]  # a module's call is untyped

        optimizer.step(closure)  # type: ignore[no-untyped-call]  # it is untyped
        found.append(layer.p)
        assert found[-1] == pytest.approx(best(rows, unit(6, (2000, 1))), rel=1e-4)
    assert found[0] > found[1] > 2 * found[2]


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_a_rate_at_an_end_has_finite_gradients(logit: float) -> None:
    layer = ConcreteDropout(nn.Linear(3, 2), 10)
    layer.logit.data.fill_(logit)
    layer(torch.ones(4, 3)).sum().backward()
    assert layer.logit.grad is not None
    assert torch.isfinite(layer.logit.grad)


def test_a_rate_has_a_group_of_its_own_without_weight_decay() -> None:
    layer = ConcreteDropout(nn.Linear(2, 2), 10)
    groups = parameter_groups(layer, lr=0.1, weight_decay=0.01)
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    assert groups[1]["params"] == [layer.logit]


def test_it_survives_copies_pickles_and_state_dicts() -> None:
    layer = ConcreteDropout(nn.Linear(3, 2), 10, 0.7)
    assert set(layer.state_dict()) == {"logit", "layer.weight", "layer.bias"}
    other, x = ConcreteDropout(nn.Linear(3, 2), 10, 0.2), torch.randn(4, 3)
    other.load_state_dict(layer.state_dict())
    for same in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), other):
        assert torch.equal(same(x, key=1), layer(x, key=1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_keep_their_types_and_the_gradient_of_the_rate(
    dtype: torch.dtype,
) -> None:
    layer, x = ConcreteDropout(nn.Linear(4, 2), 10), torch.ones(3, 4)
    assert layer.perturb(x.to(dtype), key=1).dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    (y.float().sum() + layer.penalty()).backward()
    assert layer.logit.grad is not None
    assert torch.isfinite(layer.logit.grad)


def test_a_graph_draws_as_eager_mode_does() -> None:
    layer, x = ConcreteDropout(nn.Linear(4, 2), 10, 0.5), torch.ones(3, 4)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(x, key=5), layer(x, key=5))
    assert not torch.equal(compiled(x), compiled(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": nn.ReLU()}, "layer is an nn.Linear or an nn.Conv1d, 2d or 3d, got 'ReLU'"),
        ({"rows": 0}, "rows must be a whole number of at least 1, got 0"),
        ({"p": 0.0}, r"p must be a number in \(0, 1\), got 0.0"),
        ({"p": 1.0}, r"p must be a number in \(0, 1\), got 1.0"),
        ({"length_scale": 0.0}, "length_scale must be a number in"),
        ({"precision": -1.0}, "precision must be a number in"),
        ({"temperature": 0.0}, "temperature must be a number in"),
    ],
)
def test_what_is_out_of_range_is_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        ConcreteDropout(**{"layer": nn.Linear(2, 2), "rows": 10, **arguments})


def test_whole_numbers_are_no_input() -> None:
    with pytest.raises(DropkitError, match="input has a real floating type"):
        ConcreteDropout(nn.Linear(2, 2), 10)(torch.ones(2, 2, dtype=torch.int64))
