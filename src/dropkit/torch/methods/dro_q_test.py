from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import dropkit
from dropkit import Drop, DropkitError, Key
from dropkit.core.reference import mask
from dropkit.torch import dro_q, under_key

X = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))


def test_dropout_comes_between_the_linear_layer_and_its_norm() -> None:
    q = dro_q(3, 2, hidden=(8, 6), p=0.5)
    h = X
    for i, units in ((0, 8), (4, 6)):
        factor = mask(Key(7).fold(str(i + 1)), (4, units), Drop(0.5), dtype=np.float32)
        h = F.layer_norm(q[i](h) * torch.from_numpy(factor), (units,)).relu()
    with under_key(q, 7):
        value = q(X)
    assert value.shape == (4, 1)
    assert torch.allclose(value, q[8](h), atol=1e-6)


def test_evaluation_drops_nothing_and_mc_does() -> None:
    q = dro_q(3, 2, hidden=(8,), p=0.5).eval()
    assert torch.equal(q(X), q[4](q[2](q[0](X)).relu()))
    with dropkit.mode(q, "mc"):
        assert not torch.equal(q(X), q(X))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2), "observations must be a whole number of at least 1"),
        ((3, 1.5), "actions must be a whole number of at least 1"),
        ((3, 2, (8, 0)), r"hidden\[1\] must be a whole number"),
        ((3, 2, 8), "hidden must be a tuple of numbers"),
        ((3, 2, (8,), 1.5), r"p must be a number in \[0, 1\], got 1.5"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        dro_q(*arguments)
