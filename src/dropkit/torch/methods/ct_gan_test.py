from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit import Drop, DropkitError, Key
from dropkit.core.reference import mask
from dropkit.methods.ct_gan import consistency
from dropkit.torch import Dropout, ct_gan, under_key

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Critic(nn.Module):
    """Drops, and gives scores with the features before them, if asked to."""

    def __init__(self, features: bool = True) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.drop, self.last, self.features = Dropout(0.5), nn.Linear(6, 1).double(), features

    def forward(self, x: Tensor) -> Any:
        h = self.drop(x)
        return (self.last(h), h.reshape(5, 2, 3)) if self.features else self.last(h)[:, 0]


class Short(nn.Module):
    """Gives features of fewer rows."""

    def forward(self, x: Tensor) -> Any:
        return x[:, 0], x[:2]


def by_hand(critic: Critic, bound: float) -> Tensor:
    """The rows under key 9, by the masks of NumPy."""
    factors = [mask(Key(9).fold("drop").fold("pass", i), (5, 6), Drop(0.5)) for i in range(2)]
    h = tuple(X * torch.from_numpy(factor) for factor in factors)
    scores = (critic.last(h[0])[:, 0], critic.last(h[1])[:, 0])
    rows: Tensor = consistency(scores, (h[0], h[1]) if critic.features else None, 0.1, bound)
    return rows


@pytest.mark.parametrize("features", [True, False])
@pytest.mark.parametrize("bound", [0.0, 0.5])
def test_term_and_gradient_are_those_of_numpys_masks(features: bool, bound: float) -> None:
    critic = Critic(features)
    with under_key(critic, 9):
        found = ct_gan(critic, X, bound=bound)
    rows = by_hand(critic, bound)
    assert bool((rows == 0).any()) == (bound > 0)
    assert torch.allclose(found, 2 * rows.mean(), rtol=1e-12)
    one, other = (torch.autograd.grad(each, critic.last.weight)[0] for each in (found, 2 * rows.mean()))
    assert torch.allclose(one, other, rtol=1e-10)


def test_without_dropout_it_is_nothing_and_mc_draws() -> None:
    critic = Critic().eval()
    assert ct_gan(critic, X) == 0
    with dropkit.mode(critic, "mc"):
        assert ct_gan(critic, X) > 0


def test_half_is_compared_in_float32() -> None:
    assert ct_gan(Critic().bfloat16(), X.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ct_gan(Critic(), X, weight=-1), r"weight must be a number in \[0, inf\)"),
        (lambda: ct_gan(Critic(), X, bound=-1), r"bound must be a number in \[0, inf\)"),
        (lambda: ct_gan(Critic(), X, features=np.nan), r"features must be a number in \[0, inf\)"),
        (lambda: ct_gan(len, X), "critic must be a Module"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: ct_gan(nn.Identity(), X), "scores of the critic are one number a row"),
        (lambda: ct_gan(Short(), X), "features of the critic have 5 rows, as the scores"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()


def test_an_empty_batch_costs_nothing() -> None:
    assert ct_gan(nn.Linear(6, 1).double(), X[:0]).item() == 0
    pair = nn.Sequential(nn.Linear(6, 1).double())
    pair.register_forward_hook(lambda _, inputs, scores: (scores, inputs[0]))
    assert ct_gan(pair, X[:0]).item() == 0
