import math
import types
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dropkit
from dropkit import Drop, DropkitError, Key
from dropkit.core.reference import mask
from dropkit.methods.r_drop import divergence
from dropkit.torch import Dropout, fraternal_dropout, r_drop, symmetric_kl, under_key

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 0, 1])


def small() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(Dropout(0.5), nn.Linear(6, 3)).double()


def outputs(model: nn.Sequential, i: int) -> torch.Tensor:
    """The i-th pass under key 9, by the masks of NumPy."""
    factor = mask(Key(9).fold("0").fold("pass", i), tuple(X.shape), Drop(0.5))
    out: torch.Tensor = model[1](X * torch.from_numpy(factor))
    return out


def test_the_loss_is_that_of_numpys_masks() -> None:
    model = small()
    p, q = (outputs(model, i) for i in range(2))
    logs = [each.log_softmax(-1).detach().numpy() for each in (p, q)]
    expected = (F.cross_entropy(p, Y) + F.cross_entropy(q, Y)) / 2 + 2.0 * divergence(*logs).mean()
    with under_key(model, 9):
        found = r_drop(model, X, Y, alpha=2.0)
    assert torch.allclose(found, expected, rtol=1e-12)


def test_both_passes_and_the_divergence_between_them_send_gradients() -> None:
    model = small()
    p, q = (outputs(model, i) for i in range(2))
    one, other = (torch.distributions.Categorical(logits=logits) for logits in (p, q))
    kl = torch.distributions.kl_divergence
    by_hand = (F.cross_entropy(p, Y) + F.cross_entropy(q, Y)) / 2 + (
        kl(one, other) + kl(other, one)
    ).mean()  # alpha = 2
    expected = torch.autograd.grad(by_hand, list(model.parameters()))
    with under_key(model, 9):
        found = torch.autograd.grad(r_drop(model, X, Y, alpha=2.0), list(model.parameters()))
    assert all(torch.allclose(one, other) for one, other in zip(found, expected, strict=True))


def test_without_dropout_the_loss_is_the_plain_one() -> None:
    model = small().eval()
    with pytest.warns(UserWarning, match="both passes of Sequential agree"):
        assert torch.allclose(r_drop(model, X, Y, alpha=7.0), F.cross_entropy(model(X), Y))
    with dropkit.mode(model, "mc"):
        assert r_drop(model, X, Y, alpha=7.0) > F.cross_entropy(model(X), Y)


def test_excluded_classes_send_no_nan_back() -> None:
    p = torch.tensor([[0.3, -math.inf, 1.0]], requires_grad=True)
    rows = symmetric_kl(p, torch.tensor([[1.0, -math.inf, 0.0]]))
    rows.sum().backward()  # type: ignore[no-untyped-call]  # backward is untyped
    assert rows.isfinite().all()
    assert p.grad is not None
    assert p.grad.isfinite().all()


def test_padded_rows_do_not_count() -> None:
    model, padded = small(), torch.tensor([True, True, True, True, False])

    def term(x: torch.Tensor, **rest: Any) -> torch.Tensor:
        with under_key(model, 9):
            return r_drop(model, x, Y, lambda outputs, y: outputs.sum() * 0, **rest)

    logits = [outputs(model, i) for i in range(2)]
    assert torch.allclose(term(X, mask=padded), symmetric_kl(*logits)[:4].mean())
    assert not torch.allclose(term(X), term(X, mask=padded))


def test_bfloat16_is_compared_in_float32() -> None:
    p, q = torch.randn(2, 4, 300).bfloat16()
    rows = symmetric_kl(p, q)
    assert rows.dtype == torch.float32
    assert torch.equal(rows, symmetric_kl(p.float(), q.float()))


@pytest.mark.parametrize("alpha", [-0.1, math.inf, math.nan, "1", None])
def test_a_bad_alpha_is_refused(alpha: Any) -> None:
    with pytest.raises(DropkitError, match=r"alpha must be a number in \[0, inf\)"):
        r_drop(small(), X, Y, alpha=alpha)


def test_what_returns_no_tensor_is_refused() -> None:
    with pytest.raises(DropkitError, match="p is a torch tensor"):
        r_drop(nn.Identity(), np.ones(3), Y, lambda outputs, y: torch.zeros(()))
    with pytest.raises(DropkitError, match="model must be a Module"):
        r_drop(len, X, Y)  # type: ignore[arg-type]  # a wrong kind is the point


def test_outputs_of_two_shapes_do_not_broadcast() -> None:
    with pytest.raises(DropkitError, match=r"q has the shape of p, \(2, 3\), got \(2, 1\)"):
        symmetric_kl(torch.ones(2, 3), torch.ones(2, 1))


class Undeclared(nn.Module):
    """Drops without a module, and returns an object or a mapping, with a sequence of tokens."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.linear, self.form = nn.Linear(6, 3).double(), form

    def forward(self, x: torch.Tensor) -> Any:
        return self.form(self.linear(F.dropout(x, 0.5, self.training)))


FORMS: dict[str, Any] = {
    "tensor": lambda logits: logits,
    "object": lambda logits: types.SimpleNamespace(logits=logits),
    "mapping": lambda logits: {"loss": None, "logits": logits},
}


@pytest.mark.parametrize("loss", [r_drop, fraternal_dropout])
@pytest.mark.parametrize("form", FORMS)
def test_tokens_have_labels_and_logits_come_in_any_form(form: str, loss: Any) -> None:
    model, x, labels = Undeclared(FORMS[form]), X[None].expand(2, 5, 6), torch.stack([Y, Y - 100 * (Y < 1)])
    torch.manual_seed(3)
    found = loss(model, x, labels)
    flat = Undeclared(FORMS["tensor"])
    torch.manual_seed(3)
    assert torch.allclose(found, loss(flat, x.flatten(0, 1), labels.flatten()))
    torch.manual_seed(3)
    assert torch.allclose(found, loss(flat, x.flatten(0, 1), labels.flatten(), F.cross_entropy))


@pytest.mark.parametrize("loss", [r_drop, fraternal_dropout])
def test_an_empty_batch_costs_nothing(loss: Any) -> None:
    assert loss(small(), X[:0], Y[:0]).item() == 0


def test_a_model_that_draws_nothing_is_warned_of_and_dropout_that_is_seen_is_not_compared() -> None:
    for still in (Undeclared(FORMS["tensor"]).eval(), nn.Linear(6, 3).double(), small().eval()):
        with pytest.warns(UserWarning, match="agree, for it draws nothing"):
            r_drop(still, X, Y)
    rare = nn.Sequential(Dropout(1e-9), nn.Linear(6, 3)).double()
    r_drop(rare, X, Y)
