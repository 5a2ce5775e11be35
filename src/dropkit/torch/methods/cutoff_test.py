import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import draws
from dropkit.methods.cutoff import cut, divergence, span
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import Cutoff, jensen_shannon

SHAPE = (3, 10, 6)
X = 1 + torch.arange(180, dtype=torch.float64).reshape(SHAPE)
TOKENS, FEATURES = np.ones((3, 10), bool), np.ones((3, 6), bool)


def share(rate: float, n: int) -> float:
    return math.floor(rate * n + 0.5) / max(n, 1)


def tokens(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(share(rate, shape[1]), shape, (1, max(8, shape[1]), 0))


def features(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(share(rate, shape[2]), shape, (1, 0, max(8, shape[2])))


UNSCALED = {"mean": "Shen et al. 2020: what is left is not scaled"}
SUBJECTS = [
    layer_subject(
        lambda rate: Cutoff(rate, "token"),
        "cutoff of tokens",
        shapes=Shapes((40, 20, 2), ((66, 20, 2),)),
        declare=tokens,
        waived=UNSCALED,
    ),
    layer_subject(
        lambda rate: Cutoff(rate, "feature"),
        "cutoff of features",
        shapes=Shapes((40, 2, 20), ((66, 2, 20),)),
        declare=features,
        waived=UNSCALED,
    ),
]


def law(kind: str, p: float, key: int, free: np.ndarray = TOKENS) -> torch.Tensor:
    if kind == "token":
        gone = cut(draws(key, (3, 10)).u, free, p, np)[:, :, None]
    elif kind == "span":
        gone = span(draws(key, (3, 1)).u, free, p, np)[:, :, None]
    else:
        gone = free[:, :, None] & cut(draws(key, (3, 6)).u, FEATURES, p, np)[:, None, :]
    return torch.from_numpy(gone)


@pytest.mark.parametrize("kind", ["token", "feature", "span"])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_torch_erases_what_the_law_erases(kind: Any, p: float) -> None:
    y = Cutoff(p, kind)(X, key=5)
    assert torch.equal(y, torch.where(law(kind, p, 5), 0.0, X))


@pytest.mark.parametrize("kind", ["token", "feature", "span"])
def test_protected_tokens_are_never_erased(kind: Any) -> None:
    protected = torch.zeros(3, 10, dtype=torch.bool)
    protected[:, 7:] = protected[1, 3] = True
    y = Cutoff(1.0, kind, prefix=1)(X, protected=protected, key=2)
    stays = protected.clone()
    stays[:, 0] = True
    assert torch.equal(y, torch.where(stays[..., None], X, 0.0))
    half = Cutoff(0.5, kind, prefix=1)(X, protected=protected, key=2)
    assert torch.equal(half, torch.where(law(kind, 0.5, 2, ~stays.numpy()), 0.0, X))


def test_evaluation_returns_the_input_and_mc_erases() -> None:
    layer = Cutoff(0.5).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=3), torch.where(law("token", 0.5, 3), 0.0, X))


def test_gradient_is_1_where_something_is_left_and_what_is_erased_is_zero() -> None:
    x = X.clone().requires_grad_()
    Cutoff(0.5, "feature")(x, key=4).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, 1.0 - law("feature", 0.5, 4).double())
    y = Cutoff(0.5, "feature")(torch.full(SHAPE, torch.nan), key=4)
    assert torch.equal(y == 0, law("feature", 0.5, 4))


@pytest.mark.parametrize("kind", ["token", "feature", "span"])
def test_a_graph_erases_what_eager_mode_erases(kind: Any) -> None:
    layer = Cutoff(0.5, kind)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, key=8), layer(X, key=8))


def test_copies_erase_alike() -> None:
    layer = Cutoff(0.5, "span")
    assert torch.equal(copy.deepcopy(layer)(X, key=1), layer(X, key=1))


def test_the_divergence_is_that_of_the_law() -> None:
    logits = torch.linspace(-3, 3, 2 * 4 * 5, dtype=torch.float64).sin().reshape(2, 4, 5)
    expected = divergence(torch.log_softmax(logits, -1).numpy(), np).mean()
    assert jensen_shannon(list(logits)).item() == pytest.approx(expected, rel=1e-13)


def test_sure_views_that_differ_are_log_2_apart_with_a_finite_gradient() -> None:
    logits = torch.tensor([[2000.0, 0.0], [0.0, 2000.0]], requires_grad=True)
    loss = jensen_shannon([logits[:1], logits[1:]])
    assert loss.item() == pytest.approx(math.log(2))
    (grad,) = torch.autograd.grad(loss, logits)
    assert grad.isfinite().all()


def test_the_gradient_of_the_divergence_pulls_views_together() -> None:
    first, second = (torch.tensor([[a, 0.0]], dtype=torch.float64, requires_grad=True) for a in (1.0, -1.0))
    assert torch.autograd.gradcheck(lambda a, b: jensen_shannon([a, b]), (first, second))
    grad, _ = torch.autograd.grad(jensen_shannon([first, second]), (first, second))
    assert grad[0, 0] > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Cutoff(1.1), "p must be a number in"),
        (lambda: Cutoff(0.1, "word"), "kind must be one of 'token', 'feature', 'span', got 'word'"),  # type: ignore[arg-type]  # that is the point
        (lambda: Cutoff(0.1, prefix=-1), "prefix must be a whole number"),
        (lambda: Cutoff(0.1)(torch.ones(3, 4)), "input has axes"),
        (lambda: Cutoff(0.1)(X, protected=torch.ones(3, 10)), "protected is a bool tensor"),
        (lambda: jensen_shannon([X]), "logits has one tensor a view, two or more, got 1"),
        (lambda: jensen_shannon([X, X[:1]]), "logits have one shape"),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


def test_an_empty_batch_has_no_divergence() -> None:
    assert jensen_shannon([torch.zeros(0, 3), torch.zeros(0, 3)]).item() == 0
