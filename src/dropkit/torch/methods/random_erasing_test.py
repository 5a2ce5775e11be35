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
from dropkit.core.reference import draws, unit
from dropkit.methods.random_erasing import ATTEMPTS, NUMBERS, WORDS, erased
from dropkit.torch import RandomErasing
from dropkit.torch.draws import normal
from dropkit.torch.draws import unit as uniform

KEY = Key(9)
SHAPE = (40, 3, 12, 20)
X = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) + 10
AREA, RATIO = (0.02, 0.4), (0.3, 1 / 0.3)


def gone(rate: float = 0.5) -> torch.Tensor:
    """What is erased by the law on NumPy."""
    batch, _, height, width = SHAPE
    drawn = {name: unit(KEY.fold(name), (batch, ATTEMPTS)) for name in NUMBERS}
    drawn |= {name: draws(KEY.fold(name), (batch,)).u for name in WORDS}
    mask = erased(drawn, (height, width), AREA, RATIO, rate, np)
    return torch.from_numpy(mask)[:, None].expand(SHAPE)


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_the_rectangles_are_those_of_the_law(rate: float) -> None:
    y = RandomErasing(rate, fill=(0.1, 0.2, 0.3))(X, key=KEY)
    fill = torch.tensor([0.1, 0.2, 0.3])[:, None, None].expand(SHAPE)
    assert torch.equal(y, torch.where(gone(rate), fill, X))
    assert gone(rate).flatten(1).any(1).float().mean() > rate / 2


def test_noise_is_drawn_for_every_pixel_and_channel() -> None:
    y = RandomErasing(1.0)(X, key=KEY)
    assert torch.equal(y, torch.where(gone(1.0), normal(X, key=KEY.fold("noise")).float(), X))
    y = RandomErasing(1.0, fill="uniform")(X, key=KEY)
    assert torch.equal(y, torch.where(gone(1.0), uniform(X, key=KEY.fold("noise")).float(), X))


def test_the_gradient_passes_where_nothing_is_erased() -> None:
    x = X.clone().requires_grad_()
    (through,) = torch.autograd.grad(RandomErasing(1.0)(x, key=KEY).sum(), x)
    assert torch.equal(through, (~gone(1.0)).float())


def test_what_is_erased_does_not_show_whatever_it_was() -> None:
    x = torch.where(gone(1.0), math.nan, X)
    assert torch.equal(RandomErasing(1.0)(x, key=KEY), RandomErasing(1.0)(X, key=KEY))


def test_an_area_of_nothing_and_a_rate_of_nothing_change_nothing() -> None:
    assert torch.equal(RandomErasing(1.0, area=(0.0, 0.0))(X), X)
    assert RandomErasing(0.0)(X) is X


def test_a_rectangle_that_cannot_fit_leaves_the_image() -> None:
    assert torch.equal(RandomErasing(1.0, area=(1.0, 1.0))(X), X)


def test_evaluation_returns_the_images_themselves_and_mc_erases() -> None:
    layer = RandomErasing(1.0).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), RandomErasing(1.0)(X, key=KEY))
        torch.manual_seed(0)
        y = layer(X)
        torch.manual_seed(0)
        assert torch.equal(layer(X), y)


def test_types_stay_and_graphs_erase_too() -> None:
    layer = RandomErasing(1.0)
    assert torch.equal(layer(X.half(), key=KEY), layer(X, key=KEY).half())
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_copies_erase_alike_and_the_input_stays() -> None:
    layer, before = RandomErasing(0.7, (0.1, 0.2), (0.5, 2.0), "uniform"), X.clone()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, key=KEY), layer(X, key=KEY))
        assert repr(twin) == repr(layer)
    assert torch.equal(X, before)


@pytest.mark.parametrize("p", RATE.bad(), ids=str)
def test_a_wrong_rate_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match="p must be a number in"):
        RandomErasing(p)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RandomErasing(area=(0.4, 0.02)), r"area is \(low, high\) with low <= high"),
        (lambda: RandomErasing(area=(0.1, 1.5)), r"area\[1\] must be a number in \[0, 1\]"),
        (lambda: RandomErasing(ratio=(0, 1)), r"ratio\[0\] must be a number in \(0"),
        (lambda: RandomErasing(ratio=0.3), "ratio must be a tuple of numbers"),  # type: ignore[arg-type]  # the point
        (lambda: RandomErasing(fill="norml"), "fill must be one of .*did you mean 'normal'"),  # type: ignore[arg-type]  # the point
        (lambda: RandomErasing(1.0, fill=(0.0, 1.0))(X), "fill has one number, or one for each of the 3"),
        (lambda: RandomErasing()(X[0]), "input has the 4 axes 'b c h w'"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 3, 0, 4), (2, 3, 1, 1)], ids=str)
def test_images_without_room_pass(shape: tuple[int, ...]) -> None:
    assert torch.equal(RandomErasing(1.0)(torch.ones(shape)), torch.ones(shape))


@pytest.mark.parametrize("fill", ["normal", "uniform", 0.0, (0.0, 1.0, 2.0)])
def test_the_order_in_memory_is_kept(fill: Any) -> None:
    x = torch.rand(2, 3, 8, 9)
    plain = RandomErasing(1.0, fill=fill)(x, key=1)
    x = x.to(memory_format=torch.channels_last)
    y = RandomErasing(1.0, fill=fill)(x, key=1)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, plain)
