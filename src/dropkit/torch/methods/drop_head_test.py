import copy
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.rate import threshold
from dropkit.core.reference import draws
from dropkit.methods.drop_head import factors
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import DropHead, Stepper

SHAPE = (5, 8, 2, 3)
X = torch.linspace(-1, 1, 240, dtype=torch.float64).reshape(SHAPE)


def declared(rate: float, shape: tuple[int, ...]) -> Declared:
    n = max(shape[1], 1)
    return Declared(rate - rate**n / n, shape, (1, max(8, n), 0))


SUBJECTS = [
    layer_subject(
        DropHead,
        "drop_head",
        shapes=Shapes((40, 8, 2), ((66, 8, 2),)),
        declare=declared,
        waived={
            "moments": "the factor heads / heads that stay is the sample's own",
            "mean": "kept values differ from sample to sample; that their mean is 1 is enumerated on NumPy",
            "edges": "at rate 1 one head stays",
        },
    )
]


def law(p: float, key: int) -> torch.Tensor:
    return torch.from_numpy(factors(draws(key, SHAPE[:2]).u, threshold(p, np), np))[..., None, None]


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9, 1.0])
def test_torch_multiplies_by_the_factors_of_the_law(p: float) -> None:
    assert torch.equal(DropHead(p)(X, key=7), X * law(p, 7))


def test_heads_side_by_side_are_those_of_an_axis() -> None:
    flat = X.transpose(1, 2).flatten(2)
    apart = DropHead(0.5)(X, key=3).transpose(1, 2).flatten(2)
    assert torch.equal(DropHead(0.5, heads=8)(flat, key=3), apart)


def test_evaluation_returns_the_input_and_mc_draws() -> None:
    layer = DropHead(0.5).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=3), X * law(0.5, 3))


def test_gradient_is_the_factor() -> None:
    x = X.clone().requires_grad_()
    DropHead(0.5)(x, key=4).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, law(0.5, 4).expand(SHAPE))


def test_a_dropped_head_is_zero_whatever_it_was() -> None:
    bad = torch.full(SHAPE, torch.inf)
    y = DropHead(0.5)(bad, key=4)
    assert torch.equal(y == 0, (law(0.5, 4) == 0).expand(SHAPE))


def test_the_paper_moves_the_rate_down_and_up() -> None:
    layer = DropHead(dropkit.valley_schedule(0.6, 0.4, turn=2, steps=4))
    stepper, rates = Stepper(layer), []
    for _ in range(6):
        rates.append(layer.p)
        assert torch.equal(layer(X, key=1), X * law(layer.p, 1))
        stepper.step()
    assert rates == pytest.approx([0.6, 0.3, 0.0, 0.2, 0.4, 0.4])


def test_the_step_is_saved() -> None:
    layer, other = (DropHead(dropkit.valley_schedule(0.6, 0.4, turn=2, steps=4)) for _ in range(2))
    layer.move_to(1)
    other.load_state_dict(layer.state_dict())
    assert other.p == 0.3
    assert copy.deepcopy(layer).p == 0.3


def test_it_shows_its_rate_and_heads() -> None:
    layer = DropHead(0.1, heads=2)
    with dropkit.mode(layer, "mc"):
        assert repr(layer) == "DropHead(p=0.1, heads=2, mode='mc')"
    assert "Valley(start=0.6" in repr(DropHead(dropkit.valley_schedule(0.6, 0.4, turn=2, steps=4)))


def test_half_types_are_computed_in_float32() -> None:
    x = torch.full((64, 3, 5), 1.01, dtype=torch.bfloat16)
    y = DropHead(0.5)(x, key=1)
    assert y.dtype == torch.bfloat16
    assert set(y.unique().tolist()) <= {
        0.0,
        *((x[0, 0, 0].float() * 3 / n).bfloat16().item() for n in (1, 2, 3)),
    }


def test_a_scale_cannot_be_baked_into_the_weights_behind_it() -> None:
    model = torch.nn.Sequential(DropHead(0.5), torch.nn.Linear(3, 2))
    with pytest.raises(DropkitError, match="keeps what the model computes"):
        dropkit.convert_scale(model, to="eval")


def test_a_graph_drops_what_eager_mode_drops() -> None:
    layer = DropHead(dropkit.valley_schedule(0.6, 0.4, turn=2, steps=4))
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, key=8), layer(X, key=8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DropHead(-0.1), "p must be a number in"),
        (lambda: DropHead(0.1, heads=0), "heads must be a whole number of at least 1"),
        (lambda: DropHead(0.1, heads=3)(torch.ones(2, 5, 8)), "input has a last axis that 3 heads divide"),
        (lambda: DropHead(0.1)(torch.ones(2)), "input has a batch and heads"),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()
