import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit.core.check import DropkitError
from dropkit.core.key import Key
from dropkit.core.reference import draws
from dropkit.methods.cutout import cut
from dropkit.torch import Cutout

KEY = Key(2)
SHAPE = (5, 3, 7, 11)
X = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) + 1


def gone(size: int, holes: int = 1) -> torch.Tensor:
    rows, columns = (draws(KEY.fold(name), (5, holes)).u for name in ("row", "column"))
    return torch.from_numpy(cut(rows, columns, 7, 11, size, np))[:, None].expand(SHAPE)


@pytest.mark.parametrize(("size", "holes"), [(4, 1), (3, 1), (3, 2), (1, 1), (30, 1)])
def test_the_squares_are_those_of_the_law(size: int, holes: int) -> None:
    y = Cutout(size, holes)(X, key=KEY)
    assert torch.equal(y, torch.where(gone(size, holes), 0.0, X))


def test_each_channel_may_have_its_own_fill() -> None:
    y = Cutout(4, fill=(0.1, 0.2, 0.3))(X, key=KEY)
    fill = torch.tensor([0.1, 0.2, 0.3])[:, None, None].expand(SHAPE)
    assert torch.equal(y, torch.where(gone(4), fill, X))


def test_the_gradient_passes_where_nothing_is_cut() -> None:
    x = X.clone().requires_grad_()
    (through,) = torch.autograd.grad(Cutout(4)(x, key=KEY).sum(), x)
    assert torch.equal(through, (~gone(4)).float())


def test_what_is_cut_is_zero_whatever_lay_there() -> None:
    x = torch.where(gone(4), math.nan, X)
    assert torch.equal(Cutout(4)(x, key=KEY), Cutout(4)(X, key=KEY))


def test_evaluation_returns_the_images_themselves_and_mc_cuts() -> None:
    layer = Cutout(4).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), Cutout(4)(X, key=KEY))
        torch.manual_seed(0)
        y = layer(X)
        assert not torch.equal(layer(X), y)
        torch.manual_seed(0)
        assert torch.equal(layer(X), y)


def test_types_stay_and_graphs_cut_too() -> None:
    assert torch.equal(Cutout(4)(X.bfloat16(), key=KEY), Cutout(4)(X, key=KEY).bfloat16())
    compiled: Any = torch.compile(Cutout(4), backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_copies_cut_alike_and_the_input_stays() -> None:
    layer, before = Cutout(3, 2, (1.0, 2.0, 3.0)), X.clone()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, key=KEY), layer(X, key=KEY))
        assert repr(twin) == repr(layer)
    assert torch.equal(X, before)
    assert layer.state_dict() == {}


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 4, 0)], ids=str)
def test_empty_images_pass(shape: tuple[int, ...]) -> None:
    assert Cutout(2)(torch.ones(shape)).shape == shape


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Cutout(0), "size must be a whole number of at least 1"),
        (lambda: Cutout(2.5), "size must be a whole number"),  # type: ignore[arg-type]  # the point
        (lambda: Cutout(2, 0), "holes must be a whole number of at least 1"),
        (lambda: Cutout(fill="mean"), "fill"),  # type: ignore[arg-type]  # the point
        (lambda: Cutout(fill=(0.0, 1.0))(X), "fill has one number, or one for each of the 3 channels"),
        (lambda: Cutout()(X[0]), "input has the 4 axes 'b c h w'"),
        (lambda: Cutout()(X.long()), "input has a real floating type"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()
