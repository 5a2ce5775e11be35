import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit.core.check import RATE, DropkitError
from dropkit.core.key import Key
from dropkit.core.reference import draws
from dropkit.methods.hide_and_seek import grid, hidden, spread
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import HideAndSeek

KEY = Key(6)
SHAPE = (6, 3, 7, 10)
X = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) + 1


def declared(rate: float, shape: tuple[int, ...]) -> Declared:
    """Cells of 2 x 2 pixels, one coin each, for all channels."""
    split = (shape[0], shape[1], shape[2] // 2, 2, shape[3] // 2, 2)
    return Declared(rate, split, (1, 0, 1, 0, 1, 0))


SUBJECTS = [
    layer_subject(
        lambda rate: HideAndSeek(rate, 2),
        "cells of 2 x 2",
        declare=declared,
        shapes=Shapes((6, 2, 20, 18), ((66, 2, 4, 4), (4, 2, 132, 4), (4, 2, 4, 132))),
        identity=True,
        waived={"mean": "hide_patch.py of the authors: what is kept is not scaled"},
    )
]


def gone(rate: float, *sizes: int) -> torch.Tensor:
    """What is hidden by the law on NumPy."""
    batch, _, height, width = SHAPE
    layers = [
        spread(
            draws(KEY.fold("cell", size), (batch, *grid(height, width, size))).below(rate),
            height,
            width,
            size,
            np,
        )
        if size
        else None
        for size in sizes
    ]
    which = draws(KEY.fold("size"), (batch, 1, 1)).u if len(sizes) > 1 else np.zeros((batch, 1, 1), np.int64)
    return torch.from_numpy(hidden(layers, which))[:, None].expand(SHAPE)


@pytest.mark.parametrize("sizes", [(3,), (1,), (20,), (0, 2, 4, 5)], ids=str)
def test_the_cells_are_those_of_the_law(sizes: tuple[int, ...]) -> None:
    y = HideAndSeek(0.5, sizes, fill=(0.1, 0.2, 0.3))(X, key=KEY)
    fill = torch.tensor([0.1, 0.2, 0.3])[:, None, None].expand(SHAPE)
    assert torch.equal(y, torch.where(gone(0.5, *sizes), fill, X))


def test_one_side_may_be_given_alone() -> None:
    assert torch.equal(HideAndSeek(0.5, 3)(X, key=KEY), HideAndSeek(0.5, (3,))(X, key=KEY))


def test_the_gradient_passes_where_nothing_is_hidden() -> None:
    x = X.clone().requires_grad_()
    (through,) = torch.autograd.grad(HideAndSeek(0.5, 3)(x, key=KEY).sum(), x)
    assert torch.equal(through, (~gone(0.5, 3)).float())


def test_what_is_hidden_does_not_show_whatever_it_was() -> None:
    x = torch.where(gone(0.5, 3), math.nan, X)
    assert torch.equal(HideAndSeek(0.5, 3)(x, key=KEY), HideAndSeek(0.5, 3)(X, key=KEY))


def test_rates_of_zero_and_one() -> None:
    assert HideAndSeek(0.0)(X) is X
    assert HideAndSeek(0.5, (0,))(X) is X
    assert (HideAndSeek(1.0, (2, 5), fill=7.0)(X) == 7).all()


def test_evaluation_returns_the_images_themselves_and_mc_hides() -> None:
    layer = HideAndSeek(0.5, (0, 2)).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), HideAndSeek(0.5, (0, 2))(X, key=KEY))
        torch.manual_seed(0)
        y = layer(X)
        torch.manual_seed(0)
        assert torch.equal(layer(X), y)


def test_types_stay_and_graphs_hide_too() -> None:
    layer = HideAndSeek(0.5, (2, 3))
    assert torch.equal(layer(X.half(), key=KEY), layer(X, key=KEY).half())
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_copies_hide_alike_and_the_input_stays() -> None:
    layer, before = HideAndSeek(0.4, (0, 3, 4), (1.0, 2.0, 3.0)), X.clone()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, key=KEY), layer(X, key=KEY))
        assert repr(twin) == repr(layer)
    assert torch.equal(X, before)


@pytest.mark.parametrize("p", RATE.bad(), ids=str)
def test_a_wrong_rate_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match="p must be a number in"):
        HideAndSeek(p)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: HideAndSeek(0.5, -1), r"sizes\[0\] must be a whole number of at least 0"),
        (lambda: HideAndSeek(0.5, (16, 2.5)), r"sizes\[1\] must be a whole number"),  # type: ignore[arg-type]  # the point
        (lambda: HideAndSeek(0.5, ()), "sizes has at least one side"),
        (lambda: HideAndSeek(fill=(0.0, 1.0))(X), "fill has one number, or one for each of the 3 channels"),
        (lambda: HideAndSeek()(X[0]), "input has the 4 axes 'b c h w'"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()


def test_empty_images_pass() -> None:
    assert HideAndSeek(0.5, 2)(X[:0]).shape == (0, 3, 7, 10)
    assert HideAndSeek(0.5, 2)(X[:, :, :0]).shape == (6, 3, 0, 10)
