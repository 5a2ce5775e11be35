from typing import Any

import pytest
import torch

from dropkit import DropkitError
from dropkit.core.check import Whole
from dropkit.torch.units import check_units, draw_shape, unit_sizes


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("shape", [(5, 8), (5, 3, 8), (5, 3, 2, 8)])
def test_draws_broadcast_to_the_input(shape: tuple[int, ...], per: Any) -> None:
    x = torch.ones(shape)
    check_units(x, (8,), per)
    drawn = draw_shape(x, (8,), per)
    assert torch.ones(drawn).expand_as(x).shape == x.shape
    assert len(drawn) == x.dim()
    assert drawn[0] == (5 if per == "sample" else 1)


@pytest.mark.parametrize(
    ("shape", "own", "per"),
    [
        ((5, 7), (8,), "batch"),
        ((8, 5), (8,), "batch"),
        ((), (8,), "batch"),
        ((8,), (8,), "sample"),
        ((5, 4, 3), (4, 1, 1, 1), "batch"),
        ((5, 1), (8,), "batch"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(
    shape: tuple[int, ...], own: tuple[int, ...], per: Any
) -> None:
    with pytest.raises(DropkitError, match="input ends in axes that units of shape"):
        check_units(torch.ones(shape), own, per)


def test_whole_numbers_are_refused_as_input() -> None:
    with pytest.raises(DropkitError, match="input has a real floating type"):
        check_units(torch.ones(5, 8, dtype=torch.int64), (8,), "batch")


@pytest.mark.parametrize("size", [value for value in Whole(1, "").bad() if not isinstance(value, str)])
def test_an_impossible_size_is_refused(size: Any) -> None:
    with pytest.raises(DropkitError, match=r"size(\[0\])? must be"):
        unit_sizes(size)
