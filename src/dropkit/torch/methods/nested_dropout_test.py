import copy
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import draws
from dropkit.methods.nested_dropout import unit_rates
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import NestedDropout

X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def second_unit(layer: NestedDropout, x: torch.Tensor, key: Any) -> torch.Tensor:
    """The unit behind the first is dropped at the rate itself."""
    several = x if x.dim() else x[None]
    y: torch.Tensor = layer(torch.stack([torch.zeros_like(several), several], 1), key=key)[:, 1]
    return y.reshape(x.shape)


SUBJECTS = [
    layer_subject(
        lambda p: NestedDropout(p, axis=1),
        "the second unit",
        second_unit,
        Shapes(base=(512, 2), long=((66, 2),)),
        lambda rate, shape: Declared(rate, shape, (1, 0)),
        waived={"mean": "nothing is rescaled"},
    )
]


@pytest.mark.parametrize("swept", [0, 2])
def test_the_units_that_fall_are_those_of_numpy(swept: int) -> None:
    layer = NestedDropout(0.4)
    layer.sweep(swept)
    gone = draws(5, (6, 5), "b d -> b").below(unit_rates(0.4, np.arange(5.0), swept))
    assert np.array_equal(layer(X, key=5).numpy(), np.where(gone, np.float32(0), X.numpy()))


def test_units_of_maps_share_the_index_of_their_sample() -> None:
    x = torch.ones(4, 5, 3, 2)
    y = NestedDropout(0.4, axis=1)(x, key=5)
    flat = NestedDropout(0.4)(x[..., 0, 0], key=5)
    assert torch.equal(y, flat[:, :, None, None].expand_as(x))


def test_the_gradient_is_the_mask_and_stops_at_swept_units() -> None:
    layer, x = NestedDropout(0.3), X.clone().requires_grad_()
    layer.sweep(2)
    y = layer(x, key=3)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    kept = (y != 0).float()
    assert torch.equal(gradient, torch.cat([torch.zeros(6, 2), kept[:, 2:]], 1))
    assert kept[:, :3].all()


def test_evaluation_returns_the_input_and_mc_draws() -> None:
    layer = NestedDropout(0.5).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), layer.train()(X, key=1))
    assert not NestedDropout(0.0).can_draw


def test_the_ends() -> None:
    assert torch.equal(NestedDropout(0.0)(X, key=1), X)
    bad = torch.full((3, 4), float("nan"))
    assert NestedDropout(1.0)(bad, key=1).isnan().sum(0).tolist() == [3, 0, 0, 0]
    assert NestedDropout(0.5)(X.half(), key=1).dtype == torch.float16


def test_what_is_swept_survives_copies_and_checkpoints() -> None:
    layer, fresh = NestedDropout(0.3), NestedDropout(0.3)
    layer.sweep(3)
    fresh.load_state_dict(layer.state_dict())
    assert fresh.swept == copy.deepcopy(layer).swept == 3


def test_a_graph_has_the_mask_of_eager_mode() -> None:
    layer = NestedDropout(0.4)

    def run(x: torch.Tensor) -> Any:
        return layer(x, key=8)

    compiled: Any = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X), layer(X, key=8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NestedDropout(1.5), r"p must be a number in \[0, 1\], got 1.5"),
        (lambda: NestedDropout(0.5, axis=0), "axis is a whole number other than 0"),
        (lambda: NestedDropout(0.5, axis="d"), "axis is a whole number other than 0"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: NestedDropout(0.5).sweep(-1), "units must be a whole number of at least 0"),
        (lambda: NestedDropout(0.5)(torch.ones(4)), r"input has at least two axes.* got \(4,\)"),
        (lambda: NestedDropout(0.5, axis=2)(X), "units along axis 2"),
        (lambda: NestedDropout(0.5, axis=-2)(X), "units along axis -2"),
        (lambda: NestedDropout(0.5)(X.long()), "input has a real floating type"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
