import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor, nn

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import draws
from dropkit.methods import get
from dropkit.methods import standout as law
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import Standout, under_key


def declare(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(rate, shape, (1,) * len(shape), factor=1 - rate)


def make(rate: float) -> Standout:
    ends = {0.0: math.inf, 1.0: -math.inf}
    beta = ends[rate] if rate in ends else math.log((1 - rate) / rate)
    return Standout(nn.Identity(), nn.Identity(), alpha=0.0, beta=beta)


def gate(layer: Standout, x: Tensor, *, key: Any) -> Tensor:
    return layer.gate(x, torch.zeros_like(x), key=key)


SUBJECTS = [
    layer_subject(
        make,
        "one score for all",
        gate,
        Shapes((23, 23), ((66, 4), (4, 66))),
        declare,
        waived=dict(get("standout").waived),
    )
]


def dense(alpha: float = 1.0, beta: float = 0.0) -> Any:
    torch.manual_seed(0)
    return Standout(nn.Linear(4, 6), nn.ReLU(), alpha, beta)


def test_torch_decides_as_numpy_does_under_the_same_key() -> None:
    layer, x = dense(2.0, -0.5).double(), torch.randn(50, 4).double()
    with torch.no_grad():
        score = layer.layer(x)
        gone = draws(3, (50, 6)).below(law.rate(np, score.numpy(), 2.0, -0.5))
        assert np.array_equal(layer(x, key=3).numpy(), np.where(gone, 0, score.relu().numpy()))


def test_evaluation_multiplies_by_the_probability_of_keeping() -> None:
    layer, x = dense(2.0, -0.5).eval(), torch.randn(5, 4)
    score = layer.layer(x)
    assert torch.allclose(layer(x), score.relu() * (2 * score - 0.5).sigmoid())


def test_the_mean_over_all_masks_is_the_output_of_evaluation() -> None:
    """Two units have four masks: nothing is sampled."""
    layer, score = dense(1.5, 0.2), torch.tensor([0.7, -0.4]).double()
    keep = 1 - law.rate(np, score.numpy(), 1.5, 0.2)
    masks = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    chances = np.where(masks, keep, 1 - keep).prod(axis=1)
    expected = chances @ (masks * np.array([3.0, 5.0]))
    assert layer.eval().gate(torch.tensor([3.0, 5.0]).double(), score).numpy() == pytest.approx(expected)


def test_mode_mc_draws_in_evaluation_and_a_key_of_the_model_repeats_its_draws() -> None:
    model, x = nn.Sequential(dense()).eval(), torch.randn(20, 4)
    assert torch.equal(model(x), model(x))
    with dropkit.mode(model, "mc"):
        assert not torch.equal(model(x), model(x))
    with under_key(model.train(), 3):
        assert torch.equal(model(x), model(x))


def test_the_gradient_of_training_passes_through_the_kept_units_alone() -> None:
    layer, x = dense(), torch.randn(30, 4)
    y = layer(x, key=2)
    (slope,) = torch.autograd.grad(y.sum(), layer.layer.bias)
    score = layer.layer(x)
    assert torch.equal(slope, ((y > 0) & (score > 0)).sum(0).float())


def test_the_gate_opens_as_far_as_the_target_needs_and_no_further() -> None:
    """Evaluation has a gradient through the gate; y = sigmoid(s - 3) s has one solution s above 0."""
    layer = Standout(nn.Linear(1, 1, bias=False).double(), nn.Identity(), alpha=1.0, beta=-3.0).eval()
    nn.init.ones_(layer.layer.weight)  # type: ignore[arg-type]  # it is a parameter
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")
    x = torch.ones(1, 1).double()

    def closure() -> Any:
        optimizer.zero_grad()
        loss: Any = (layer(x) - 2).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # it is untyped
    score = brentq(lambda s: s / (1 + math.exp(3 - s)) - 2, 0, 10)
    kept = 1 - law.rate(np, float(layer.layer(x).detach()), 1.0, -3.0)
    assert kept == pytest.approx(1 / (1 + math.exp(3 - score)), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_type_keeps_its_masks(dtype: torch.dtype) -> None:
    layer, score = dense(), torch.tensor([-1.0, 0.5, 2.0] * 10)
    wide, narrow = (
        layer.gate(torch.ones(30).to(kind), score.to(kind), key=4) for kind in (torch.float32, dtype)
    )
    assert narrow.dtype == dtype
    assert torch.equal(wide, narrow.float())


def test_what_is_dropped_is_zero_also_if_it_was_infinite() -> None:
    out, score = torch.tensor([math.inf, math.nan]), torch.zeros(2)
    layer = Standout(nn.Identity(), nn.Identity(), 1.0, -math.inf)
    assert layer.gate(out, score).tolist() == layer.eval().gate(out, score).tolist() == [0, 0]


def test_it_survives_copies_pickles_and_state_dicts() -> None:
    layer, other, x = dense(), dense(), torch.randn(20, 4)
    nn.init.normal_(layer.layer.weight)
    other.load_state_dict(layer.state_dict())
    assert set(layer.state_dict()) == {"layer.weight", "layer.bias"}
    for same in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), other):
        assert torch.equal(same(x, key=1), layer(x, key=1))


def test_a_graph_draws_as_eager_mode_does() -> None:
    layer, x = dense(), torch.randn(20, 4)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x, key=5), layer(x, key=5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Standout(nn.Linear(2, 2), "relu"), "activation must be a Module"),  # type: ignore[arg-type]  # that is the test
        (lambda: dense(alpha=math.inf), r"alpha must be a number in \(-inf, inf\)"),
        (lambda: dense(beta=math.nan), r"beta must be a number in \[-inf, inf\]"),
    ],
)
def test_what_is_wrong_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
