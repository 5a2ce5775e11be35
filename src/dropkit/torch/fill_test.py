import math

import pytest
import torch

from dropkit.core.check import DropkitError
from dropkit.torch.check import check_axes
from dropkit.torch.fill import check_fill, filled

X = torch.ones(2, 3, 2, 2)
GONE = torch.tensor([[[True, False], [False, False]], [[False, False], [False, True]]])


def test_every_channel_gets_its_own_number_and_the_rest_stays() -> None:
    y = filled(X, GONE, (7.0, 8.0, 9.0))
    assert y[0, :, 0, 0].tolist() == [7.0, 8.0, 9.0]
    assert y[1, :, 1, 1].tolist() == [7.0, 8.0, 9.0]
    assert int((y != 1).sum()) == 6


def test_one_number_serves_all_channels_whatever_lay_there() -> None:
    y = filled(X * math.nan, GONE, (0.5,))
    assert y[0, :, 0, 0].tolist() == [0.5] * 3
    assert int(y.isnan().sum()) == 18


def test_the_type_stays() -> None:
    assert filled(X.half(), GONE, (0.5,)).dtype == torch.float16


@pytest.mark.parametrize("fill", [math.nan, math.inf, "0", None, (), (0.0, None)])
def test_what_is_no_finite_number_is_refused(fill: object) -> None:
    with pytest.raises(DropkitError, match="fill"):
        check_fill(fill)


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(DropkitError, match="one for each of the 3 channels, got"):
        filled(X, GONE, (0.0, 1.0))


def test_other_axes_are_refused_with_their_shape() -> None:
    with pytest.raises(DropkitError, match=r"input has the 4 axes 'b c h w', got \(3, 2, 2\)"):
        check_axes(X[0], "b c h w")
