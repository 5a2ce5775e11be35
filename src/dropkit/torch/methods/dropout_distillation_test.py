import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit import Drop, DropkitError, Key
from dropkit.core.reference import mask
from dropkit.methods.dropout_distillation import gap
from dropkit.torch import Dropout, Stochastic, dropout_distillation, under_key

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(Dropout(0.5), nn.Linear(6, 3)).double().eval()


def drawn(teacher: nn.Sequential, samples: int) -> Tensor:
    """The outputs of the passes under key 9, by the masks of NumPy."""
    factors = [mask(Key(9).fold("0").fold("pass", i), (5, 6), Drop(0.5)) for i in range(samples)]
    return torch.stack([teacher[1](X * torch.from_numpy(factor)) for factor in factors]).detach()


@pytest.mark.parametrize("samples", [1, 4])
def test_loss_and_gradient_are_those_of_numpys_masks(samples: int) -> None:
    teacher, student = network(1), network(2)
    p, q = drawn(teacher, samples).softmax(-1).mean(0), student(X).log_softmax(-1)
    with under_key(teacher, 9):
        found = dropout_distillation(student, teacher, X, samples)
    assert found.item() == pytest.approx(gap(p.numpy(), q.detach().numpy()).mean(), rel=1e-12)
    found.backward()  # type: ignore[no-untyped-call]  # backward is untyped
    expected = (student(X).softmax(-1) - p).T @ X / 5
    assert torch.allclose(next(student.parameters()).grad, expected, rtol=1e-10)  # type: ignore[arg-type]  # there is one
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_values_of_a_regression_are_compared_by_squares() -> None:
    teacher, student = network(1), network(2)
    with under_key(teacher, 9):
        found = dropout_distillation(student, teacher, X, 3, outputs="values")
    assert torch.allclose(found, (student(X) - drawn(teacher, 3).mean(0)).pow(2).mean(), rtol=1e-12)


class AllMasks(Stochastic):
    """Goes through all masks of rate 0.5, pass by pass: their mean is the exact one."""

    masks = torch.tensor(list(itertools.product([0.0, 2.0], repeat=3)))

    def __init__(self) -> None:
        super().__init__()
        self.step = 0

    def forward(self, x: Tensor) -> Tensor:
        assert self.drawing
        self.step += 1
        return x * self.masks[self.step % 8]


def test_a_student_comes_to_the_mean_over_all_masks() -> None:
    torch.manual_seed(0)
    teacher = nn.Sequential(AllMasks(), nn.Linear(3, 3)).eval()
    x = torch.tensor([[1.0, -1.0, 2.0]])
    exact = teacher[1](x * AllMasks.masks).softmax(-1).mean(0)
    student = nn.Linear(3, 3)
    plain = teacher[1](x).softmax(-1)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        dropout_distillation(student, teacher, x, samples=8).backward()  # type: ignore[no-untyped-call]  # backward is untyped
        optimizer.step()
    assert torch.allclose(student(x).softmax(-1), exact, atol=1e-3)
    assert not torch.allclose(plain, exact, atol=1e-2)


def test_the_mode_of_the_teacher_is_given_back() -> None:
    teacher = network(1)
    dropout_distillation(copy.deepcopy(teacher), teacher, X)
    layer: Any = teacher[0]
    assert layer.forced_mode is None
    assert torch.equal(teacher(X), teacher[1](X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dropout_distillation(network(1), network(1).train(), X), "teacher is in evaluation"),
        (lambda: dropout_distillation(network(1), nn.Linear(6, 3).double().eval(), X), "source of dropout"),
        (lambda: dropout_distillation(network(1), network(1), X, 0), "must be a whole number of at least 1"),
        (lambda: dropout_distillation(network(1), network(1), X, outputs="logit"), "did you mean 'logits'"),
        (lambda: dropout_distillation(len, network(1), X), "student must be a Module"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: dropout_distillation(nn.Flatten(), len, X), "teacher must be a Module"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: dropout_distillation(Tuple(), network(1), X), "outputs of the student is a torch tensor"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()


class Tuple(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return x, x


def test_half_is_compared_in_float32() -> None:
    found = dropout_distillation(network(1).bfloat16(), network(2).bfloat16(), X.bfloat16(), 2)
    assert found.dtype == torch.float32
    assert np.isfinite(found.item())
    assert dropkit.torch.dropout_distillation is dropout_distillation


@pytest.mark.parametrize("outputs", ["logits", "values"])
def test_an_empty_batch_costs_nothing_and_shapes_do_not_broadcast(outputs: str) -> None:
    def teacher(size: int) -> nn.Module:
        return nn.Sequential(dropkit.torch.Dropout(0.5), nn.Linear(3, size)).eval()

    student = nn.Linear(3, 2)
    assert dropout_distillation(student, teacher(2), torch.ones(0, 3), outputs=outputs).item() == 0
    with pytest.raises(DropkitError, match=r"outputs of the teacher has the shape of outputs of the student"):
        dropout_distillation(student, teacher(1), torch.ones(4, 3), outputs=outputs)
