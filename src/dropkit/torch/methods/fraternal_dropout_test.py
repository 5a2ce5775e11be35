import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dropkit
from dropkit import Drop, DropkitError, Key
from dropkit.core.reference import mask
from dropkit.methods.fraternal_dropout import difference
from dropkit.torch import Dropout, fraternal_dropout, squared_difference, under_key

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def small() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(Dropout(0.5), nn.Linear(6, 2)).double()


def outputs(model: nn.Sequential, i: int) -> torch.Tensor:
    """The i-th pass under key 9, by the masks of NumPy."""
    factor = mask(Key(9).fold("0").fold("pass", i), tuple(X.shape), Drop(0.5))
    out: torch.Tensor = model[1](X * torch.from_numpy(factor))
    return out


def test_loss_and_gradient_are_those_of_numpys_masks() -> None:
    model = small()
    p, q = (outputs(model, i) for i in range(2))
    expected = (F.mse_loss(p, Y) + F.mse_loss(q, Y)) / 2 + 3.0 * (p - q).pow(2).mean()
    with under_key(model, 9):
        found = fraternal_dropout(model, X, Y, F.mse_loss, kappa=3.0)
    assert torch.allclose(found, expected, rtol=1e-12)
    one, other = (torch.autograd.grad(loss, next(model.parameters()))[0] for loss in (found, expected))
    assert torch.allclose(one, other, rtol=1e-10)


def test_the_rows_are_those_of_numpy() -> None:
    p, q = torch.randn(2, 4, 7)
    assert torch.allclose(squared_difference(p, q), torch.from_numpy(difference(p.numpy(), q.numpy())))
    assert squared_difference(p.half(), q.half()).dtype == torch.float32


def test_without_dropout_the_loss_is_the_plain_one() -> None:
    model = small().eval()
    with pytest.warns(UserWarning, match="both passes of Sequential agree"):
        assert torch.allclose(fraternal_dropout(model, X, Y, F.mse_loss, 7.0), F.mse_loss(model(X), Y))
    with dropkit.mode(model, "mc"), under_key(model, 3):
        drawn = fraternal_dropout(model, X, Y, lambda outputs, y: outputs.sum() * 0, 7.0)
    assert drawn > 0


@pytest.mark.parametrize("kappa", [-0.1, math.inf, math.nan, "1", None])
def test_a_bad_kappa_is_refused(kappa: Any) -> None:
    with pytest.raises(DropkitError, match=r"kappa must be a number in \[0, inf\)"):
        fraternal_dropout(small(), X, Y, F.mse_loss, kappa=kappa)


def test_outputs_of_two_shapes_do_not_broadcast() -> None:
    with pytest.raises(DropkitError, match=r"q has the shape of p, \(2, 3\), got \(2, 1\)"):
        squared_difference(torch.ones(2, 3), torch.ones(2, 1))
