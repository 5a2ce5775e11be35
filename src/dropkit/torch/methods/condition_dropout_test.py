import copy
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import Drop, DropkitError
from dropkit.core.reference import apply, mask
from dropkit.methods.condition_dropout import guided as law
from dropkit.testing import Declared, layer_subject, shapes_for
from dropkit.torch import ConditionDropout, guided

X = torch.randn(8, 3, 4, generator=torch.Generator().manual_seed(0))
DROP = Drop(0.4, "b ... -> b", scale="none")
NULL = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


def conditions(layer: ConditionDropout, x: torch.Tensor, key: Any) -> torch.Tensor:
    """The conditions of a batch, be it of one number."""
    y: torch.Tensor = layer(x if x.dim() else x[None], key=key)
    return y.reshape(x.shape)


SUBJECTS = [
    layer_subject(
        lambda p: ConditionDropout(torch.zeros(()), p),
        "null of zeros",
        conditions,
        shapes_for(Drop(0.5, "b d -> b").groups),
        lambda rate, shape: Declared(rate, shape, (1, 0)),
        waived={"mean": "nothing is rescaled"},
    )
]


def test_the_conditions_that_fall_are_those_of_numpy() -> None:
    y = ConditionDropout(NULL, 0.4)(X, key=5)
    expected = apply(X.numpy(), DROP, 5, fill=np.broadcast_to(NULL.numpy(), X.shape))
    assert np.array_equal(y.numpy(), expected)


def test_labels_fall_alike() -> None:
    labels = torch.arange(8)
    y = ConditionDropout(99, 0.4)(labels, key=5)
    gone = torch.from_numpy(mask(5, (8, 1), Drop(0.4, "b d -> b", scale="none"))[:, 0] == 0)
    assert torch.equal(y, torch.where(gone, 99, labels))
    assert torch.equal(labels, torch.arange(8))


def test_the_null_condition_learns_from_what_it_replaced() -> None:
    null, x = torch.nn.Parameter(torch.zeros(3, 4)), X.clone().requires_grad_()
    layer = ConditionDropout(null, 0.4)
    gone = torch.from_numpy(mask(5, tuple(X.shape), DROP) == 0)
    layer(x, key=5).sum().backward()
    assert torch.equal(x.grad, (~gone).float())  # type: ignore[arg-type]  # there is one
    assert torch.equal(null.grad, gone.sum(0).float())  # type: ignore[arg-type]  # there is one
    assert list(layer.state_dict()) == ["null"]


def test_evaluation_returns_the_condition_and_mc_draws() -> None:
    layer = ConditionDropout(NULL, 0.4).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=5), layer.train()(X, key=5))


def test_the_ends_and_the_unconditional_pass() -> None:
    assert ConditionDropout(NULL, 0.0)(X) is X
    nan = torch.full_like(X, float("nan"))
    assert torch.equal(ConditionDropout(NULL, 1.0)(nan), NULL.expand_as(X))
    assert torch.equal(ConditionDropout(NULL, 0.1).nothing(X), NULL.expand_as(X))
    assert ConditionDropout(99, 0.1).nothing(torch.tensor([1, 2])).tolist() == [99, 99]
    assert not ConditionDropout(NULL, 0.0).can_draw


def test_the_type_of_the_condition_is_kept() -> None:
    layer = ConditionDropout(NULL, 0.4)
    assert layer(X.bfloat16(), key=5).dtype == torch.bfloat16
    assert layer.double()(X.double(), key=5).dtype == torch.float64


def test_copies_and_checkpoints_carry_the_null_condition() -> None:
    layer, fresh = ConditionDropout(NULL, 0.4), ConditionDropout(torch.zeros(3, 4), 0.4)
    fresh.load_state_dict(layer.state_dict())
    for each in (fresh, copy.deepcopy(layer)):
        assert torch.equal(each(X, key=2), layer(X, key=2))


@pytest.mark.parametrize(("null", "condition"), [(NULL, X), (99, torch.arange(8))], ids=["floats", "labels"])
def test_a_graph_replaces_as_eager_mode_does(null: Any, condition: torch.Tensor) -> None:
    layer = ConditionDropout(null, 0.4)

    def run(condition: torch.Tensor) -> Any:
        return layer(condition, key=8)

    compiled: Any = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(condition), run(condition))


def test_guidance_is_that_of_numpy_and_half_is_computed_in_float32() -> None:
    c, u = torch.randn(2, 64)
    assert guided(c, u, 6.5).numpy() == pytest.approx(law(c.numpy(), u.numpy(), 6.5), rel=1e-5)
    half = guided(c.half(), u.half(), 6.5)
    assert torch.equal(half, law(c.half().float(), u.half().float(), 6.5).half())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConditionDropout(NULL, 1.5), r"p must be a number in \[0, 1\], got 1.5"),
        (lambda: ConditionDropout("none"), "null is a tensor or a label, got 'none'"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: ConditionDropout(-1), "null must be a whole number of at least 0"),
        (lambda: ConditionDropout(torch.tensor(3)), "null has a real floating type"),
        (lambda: ConditionDropout(9)(X), "condition has whole numbers where null is a label"),
        (lambda: ConditionDropout(NULL)(torch.arange(3)), "condition has a real floating type"),
        (lambda: ConditionDropout(NULL)(X[0]), r"null of shape \(3, 4\) broadcasts to, got \(3, 4\)"),
        (lambda: guided(X, X, -2.0), r"w must be a number in \[-1, inf\)"),
        (lambda: guided(X, X[:1], 1.0), "unconditional has the shape of conditional"),
        (lambda: guided(X, X[:, :2], 1.0), "unconditional has the shape of conditional"),
        (lambda: guided(X.long(), X, 1.0), "conditional has a real floating type"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
