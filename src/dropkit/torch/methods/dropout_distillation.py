"""Dropout distillation: the loss of a student that learns the mean of a teacher's passes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError, OneOf, check_kind
from dropkit.methods.dropout_distillation import gap
from dropkit.torch.check import check_alike, check_tensor
from dropkit.torch.mode import switch
from dropkit.torch.run import widen
from dropkit.torch.two_passes import call, logits_of, mean_rows, passes

__all__ = ["dropout_distillation"]

Tensor = torch.Tensor
_OUTPUTS = OneOf(("logits", "values"))


def dropout_distillation(
    student: nn.Module, teacher: nn.Module, inputs: Any, samples: int = 1, outputs: str = "logits"
) -> Tensor:
    """Return the loss of a student that shall say in one pass what a teacher says on average.

    Mean over the inputs of KL(p || student) with p the mean of the teacher's predictions under `samples`
    masks (Rota Bulò et al. 2016). One mask a step is enough: its gradient is right on average. The teacher
    draws whatever mode it is forced to, and gets no gradient. For trainers there are
    `dropkit.torch.lightning.LossCallback` and `dropkit.torch.transformers.with_loss`.

    Args:
        student: the module that learns; what it draws itself is up to its mode.
        teacher: a module with dropout, in evaluation otherwise.
        inputs: what both take: a tensor, a tuple of arguments, or a mapping of them by name.
        samples: how many masks of the teacher, at least 1.
        outputs: `"logits"` (..., classes), or `"values"` of a regression, whose squared difference counts.

    Raises:
        DropkitError: the teacher is in training mode or has no dropout, `samples` is out of range, or the
            outputs are of another kind or differ in shape.

    >>> import copy, dropkit
    >>> teacher = nn.Sequential(dropkit.torch.Dropout(0.5), nn.Linear(3, 2)).eval()
    >>> dropout_distillation(copy.deepcopy(teacher), teacher, torch.ones(4, 3), samples=2).shape
    torch.Size([])
    """
    check_kind("student", student, nn.Module, "give the torch.nn.Module itself")
    logits = _OUTPUTS.check("outputs", outputs) == "logits"
    target = _mean(teacher, inputs, samples, logits)
    found = widen(_checked(call(student, inputs), "outputs of the student"))
    check_alike("outputs of the student", found, "outputs of the teacher", target)
    if not logits:
        return mean_rows((found - target).pow(2))
    rows: Tensor = gap(target, found.log_softmax(-1), torch)
    return mean_rows(rows)


@torch.no_grad()
def _mean(teacher: nn.Module, inputs: Any, samples: int, logits: bool) -> Tensor:
    check_kind("teacher", teacher, nn.Module, "give the torch.nn.Module itself")
    if teacher.training:
        mend = "call teacher.eval() first: its dropout draws all the same"
        raise DropkitError("teacher", "is in evaluation, so that batch norm stays", "training mode", mend)
    with switch(teacher, "mc"):
        drawn = passes(teacher, lambda: call(teacher, inputs), samples)
    wide = torch.stack([widen(_checked(each, "outputs of the teacher")) for each in drawn])
    return (wide.softmax(-1) if logits else wide).mean(0)


def _checked(outputs: Any, name: str) -> Tensor:
    out: Tensor = logits_of(outputs)
    check_tensor(out, name)
    return out
