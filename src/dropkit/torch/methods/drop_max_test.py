import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import unit
from dropkit.methods.drop_max import auxiliary, divergence, gated, gates, negative_entropy
from dropkit.torch import DropMax

X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 0, 1])
LABEL = (torch.arange(3) == Y[:, None]).numpy()


def small() -> DropMax:
    torch.manual_seed(1)
    return DropMax(4, 3).double()


def parts(head: DropMax) -> list[np.ndarray]:
    return [layer(X).detach().numpy() for layer in (head.outputs, head.prior, head.residual)]


def cross_entropy(logits: np.ndarray) -> float:
    return float(F.cross_entropy(torch.from_numpy(logits), Y))


def test_logits_and_loss_are_those_of_numpy() -> None:
    head = small()
    o, a, r = parts(head)
    logits = gated(o, gates(a + r, unit(7, (5, 3)), LABEL))
    assert head(X, Y, key=7).detach().numpy() == pytest.approx(logits, rel=1e-10)
    terms = divergence(a, a + r, LABEL) + auxiliary(r, LABEL) + negative_entropy(a)
    assert head.loss(X, Y, key=7).item() == pytest.approx(cross_entropy(logits) + terms.mean(), rel=1e-10)


def test_without_labels_the_prior_draws_and_no_class_is_spared() -> None:
    head = small()
    o, a, _ = parts(head)
    logits = gated(o, gates(a, unit(7, (5, 3)), np.zeros(3, bool)))
    with dropkit.mode(head.eval(), "mc"):
        assert head(X, key=7).detach().numpy() == pytest.approx(logits, rel=1e-10)


def test_evaluation_weighs_classes_by_the_prior() -> None:
    head = small().eval()
    o, a, _ = parts(head)
    logits = gated(o, 1 / (1 + np.exp(-a)))
    assert head(X).detach().numpy() == pytest.approx(logits, rel=1e-10)
    assert head.loss(X, Y).item() == pytest.approx(cross_entropy(logits), rel=1e-10)
    assert head.drop_rates(X).detach().numpy() == pytest.approx(1 / (1 + np.exp(a)), rel=1e-10)


def test_the_posterior_does_not_move_the_prior_through_the_cross_entropy() -> None:
    head = small()
    gradient: Any = torch.autograd.grad(
        F.cross_entropy(head(X, Y, key=7), Y), [head.prior.weight, head.residual.weight], allow_unused=True
    )
    assert gradient[0] is None
    assert gradient[1] is not None
    assert gradient[1].any()


def test_the_auxiliary_gates_rest_at_the_frequency_of_each_class() -> None:
    share = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    r = torch.logit(share).requires_grad_()
    labels = torch.tensor([0, 0, 1, 2])
    cost = auxiliary(r.expand(4, 3), torch.arange(3) == labels[:, None], torch).mean()
    (gradient,) = torch.autograd.grad(cost, r)
    assert gradient.abs().max() < 1e-12


def test_confusing_classes_are_dropped_less_than_those_that_never_occur() -> None:
    """Input 0 has label 0 or 1, input 1 always has label 2, and nothing has label 3."""
    torch.manual_seed(0)
    head = DropMax(2, 4)
    x, y = torch.eye(2).repeat_interleave(2, 0), torch.tensor([0, 1, 2, 2])
    adam = torch.optim.Adam(head.parameters(), lr=0.1)
    for step in range(150):
        adam.zero_grad()
        head.loss(x, y, key=step).backward()  # type: ignore[no-untyped-call]  # backward is untyped
        adam.step()
    confused, sure = head.drop_rates(torch.eye(2)).detach()
    assert confused[:2].max() < 0.5 < confused[2:].min()
    assert sure[2] < 0.5 < sure[[0, 1, 3]].min()
    predicted = head.eval()(torch.eye(2)).softmax(-1)
    assert predicted[0, :2].min() > 0.4
    assert predicted[1, 2] > 0.9


def test_half_is_computed_in_float32() -> None:
    head = small().bfloat16()
    assert head(X.bfloat16(), Y, key=1).dtype == torch.float32
    assert head.loss(X.bfloat16(), Y, key=1).isfinite()


def test_copies_and_checkpoints_draw_alike() -> None:
    head, fresh = small(), DropMax(4, 3).double()
    fresh.load_state_dict(head.state_dict())
    for each in (fresh, copy.deepcopy(head)):
        assert torch.equal(each(X, Y, key=2), head(X, Y, key=2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DropMax(0, 3), "features must be a whole number of at least 1"),
        (lambda: DropMax(4, 2.5), "classes must be a whole number"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: DropMax(4, 3, 0.0), r"temperature must be a number in \(0, inf\)"),
        (lambda: DropMax(4, 3, math.nan), r"temperature must be a number"),
        (lambda: small()(X, Y[:2]), r"targets are whole numbers of shape \(5,\)"),
        (lambda: small()(X, Y.double()), "targets are whole numbers"),
        (lambda: small()(X.long(), Y), "input has a real floating type"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()


def test_rows_without_a_label_count_nowhere_and_an_empty_batch_costs_nothing() -> None:
    for head in (small(), small().eval()):
        with_others = torch.cat([X[:2], X[2:]]), torch.tensor([0, 1, -100, -100, -100])
        # The draws of the first rows are those of the whole batch, cut: the others stand behind.
        assert torch.allclose(head.loss(*with_others, key=7), head.loss(X[:2], Y[:2], key=7))
        for empty in (head.loss(X[:0], Y[:0]), head.loss(X, torch.full((5,), -100), key=7)):
            assert empty.item() == 0
            empty.backward()  # type: ignore[no-untyped-call]  # backward is untyped


def test_a_single_row_has_a_loss() -> None:
    head = small()
    assert torch.allclose(head.loss(X[0], Y[0], key=7), head.loss(X[:1], Y[:1], key=7))


@pytest.mark.parametrize("label", [-1, 3, 9])
def test_labels_of_no_class_are_refused(label: int) -> None:
    wrong = torch.tensor([0, 1, label, 0, 1])
    for head in (small(), small().eval()):
        with pytest.raises(DropkitError, match=f"targets are whole numbers from 0 to 2, or -100 .* {label};"):
            head.loss(X, wrong)
    with pytest.raises(DropkitError, match="targets are whole numbers"):
        small()(X, wrong)
