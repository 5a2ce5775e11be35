from typing import Any

import pytest
import torch

import dropkit
from dropkit.core.check import RATE, DropkitError
from dropkit.torch.rated import Rated


@pytest.mark.parametrize("p", RATE.bad())
def test_a_rate_out_of_range_is_refused_when_made_and_when_moved(p: Any) -> None:
    with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
        Rated(p)
    with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
        Rated(0.1).p = p


def test_the_rate_moves_and_a_tensor_is_taken() -> None:
    layer = Rated(0.1)
    layer.p = torch.tensor(0.5)
    assert layer.p == 0.5
    assert layer.can_draw
    layer.p = 0
    assert not layer.can_draw


def test_what_forces_the_mode_is_shown() -> None:
    layer = Rated(0.1)
    with dropkit.mode(layer, "mc"):
        assert repr(layer) == "Rated(p=0.1, mode='mc')"
