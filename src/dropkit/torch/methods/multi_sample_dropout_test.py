import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dropkit
from dropkit import Drop, DropkitError
from dropkit.core.reference import mask
from dropkit.testing import Declared, layer_subject, shapes_for
from dropkit.torch import MultiSampleDropout

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 0, 1])


def several(layer: MultiSampleDropout, x: torch.Tensor, key: Any) -> torch.Tensor:
    """The features of a batch, be it of one number."""
    y: torch.Tensor = layer(x if x.dim() else x[None], key=key)
    return y.reshape(x.shape)


SUBJECTS = [
    layer_subject(
        lambda p: MultiSampleDropout(nn.Identity(), p, samples=1),
        "one sample",
        several,
        declare=lambda rate, shape: Declared.of(Drop(rate), shape),
        shapes=shapes_for(Drop(0.5, "b d -> b d").groups),
    )
]


def small(p: float = 0.5, samples: int = 3) -> MultiSampleDropout:
    torch.manual_seed(1)
    return MultiSampleDropout(nn.Linear(6, 3).double(), p, samples)


def expected(head: MultiSampleDropout) -> torch.Tensor:
    """The outputs of every sample under key 9, by the masks of NumPy."""
    factors = torch.from_numpy(mask(9, (head.samples, 5, 6), Drop(head.p)))
    return torch.stack([head.head(X * factor) for factor in factors])


def test_outputs_losses_and_gradient_are_those_of_numpys_masks() -> None:
    head = small()
    assert torch.allclose(head.outputs(X, key=9), expected(head), rtol=1e-12)
    assert torch.allclose(head(X, key=9), expected(head).mean(0), rtol=1e-12)
    by_hand = torch.stack([F.cross_entropy(each, Y) for each in expected(head)]).mean()
    found = head.loss(X, Y, key=9)
    assert torch.allclose(found, by_hand, rtol=1e-12)
    one, other = (torch.autograd.grad(loss, next(head.parameters()))[0] for loss in (found, by_hand))
    assert torch.allclose(one, other, rtol=1e-10)


def test_losses_are_averaged_and_not_outputs() -> None:
    head = small()
    assert head.loss(X, Y, key=9) > F.cross_entropy(head(X, key=9), Y)


def test_the_features_are_computed_once_and_share_their_gradient() -> None:
    head, calls = small(), []
    head.head.register_forward_hook(lambda *call: calls.append(call[1][0].shape))
    x = X.clone().requires_grad_()
    head.loss(x, Y, key=9).backward()  # type: ignore[no-untyped-call]  # backward is untyped
    assert calls == [(15, 6)]
    assert x.grad is not None
    factors = torch.from_numpy(mask(9, (3, 5, 6), Drop(0.5)))
    never = (factors == 0).all(0)
    assert never.any()
    assert torch.equal(x.grad == 0, never)


def test_evaluation_runs_the_head_once_and_mc_draws() -> None:
    head = small().eval()
    assert torch.equal(head(X), head.head(X))
    assert torch.equal(head.loss(X, Y), F.cross_entropy(head.head(X), Y))
    with dropkit.mode(head, "mc"):
        assert torch.allclose(head(X, key=9), expected(head).mean(0), rtol=1e-12)
    assert MultiSampleDropout(nn.Identity()).eval()(X) is X


def test_the_ends() -> None:
    assert torch.allclose(small(0.0)(X), small().head(X))
    assert not small(0.0).can_draw
    assert torch.allclose(small(1.0)(X * np.nan), small().head(X * 0))


def test_copies_and_checkpoints_carry_the_head() -> None:
    head, fresh = small(), MultiSampleDropout(nn.Linear(6, 3).double(), 0.5, 3)
    assert list(head.state_dict()) == ["head.weight", "head.bias"]
    fresh.load_state_dict(head.state_dict())
    for each in (fresh, copy.deepcopy(head)):
        assert torch.equal(each(X, key=2), head(X, key=2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiSampleDropout(nn.Identity(), 1.5), r"p must be a number in \[0, 1\], got 1.5"),
        (lambda: MultiSampleDropout(nn.Identity(), 0.5, 0), "samples must be a whole number of at least 1"),
        (lambda: MultiSampleDropout(len), "head must be a Module"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: small()(X[0, 0]), r"input begins with the batch, got \(\)"),
        (lambda: small()(X.long()), "input has a real floating type"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
