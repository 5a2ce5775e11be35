"""Several passes of one batch under masks of their own: losses averaged, what lies between added."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from dropkit.core.check import DropkitError, Interval, Whole, check_kind
from dropkit.torch.autograd import eager
from dropkit.torch.mode import draws_now
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.whole import IGNORED

__all__ = [
    "WEIGHT",
    "Distance",
    "call",
    "cross_entropy",
    "logits_of",
    "mean_rows",
    "passes",
    "supervised",
    "two_passes",
]

T = TypeVar("T")
Tensor = torch.Tensor
Distance = Callable[[Tensor, Tensor], Tensor]
"""How far two outputs lie apart: a number a row."""

WEIGHT = Interval(0, float("inf"), "give a factor of the term, e.g. 1.0", open_high=True)
_COUNT = Whole(1, "give a number of passes, e.g. 2")


def passes(model: nn.Module, run: Callable[[], T], count: int = 2) -> list[T]:
    """Return what several passes give, each under masks of its own.

    Under `under_key` the i-th pass draws from the key of each layer, folded by "pass" and i; else each pass
    draws on from torch's generator.

    Args:
        model: the module whose dropout draws.
        run: makes one pass.
        count: how many.

    >>> import dropkit
    >>> model = dropkit.torch.Dropout(0.5)
    >>> with dropkit.torch.under_key(model, 7):
    ...     one, other = passes(model, lambda: model(torch.ones(64)))
    >>> torch.equal(one, other)
    False
    """
    results = []
    for i in range(_COUNT.check("count", count)):
        with _apart(model, i):
            results.append(run())
    return results


def two_passes(
    model: nn.Module,
    run: Callable[[], tuple[Tensor, Tensor]],
    distance: Distance,
    weight: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the loss of two passes of one batch, and what it costs that they differ.

    (loss + loss') / 2 + weight mean(distance(outputs, outputs')). Under `under_key`, layers whose activations
    are computed again in backward would draw under the key of one pass alone: do without such checkpoints. A
    model that draws nothing is warned of: it pays for a second pass that says the same.

    Args:
        model: the module whose dropout draws.
        run: makes one pass and returns its loss, a number, and its outputs.
        distance: how far two outputs lie apart, a number a row, e.g. `symmetric_kl`.
        weight: the factor of the distance, at least 0.
        mask: which rows count, of the shape that `distance` returns; None counts all.

    Raises:
        DropkitError: the weight is out of range, or the mask has another shape than the rows.
    """
    weight = WEIGHT.check("weight", weight)
    (loss, outputs), (other_loss, other) = passes(model, run)
    _warn_if_equal(model, outputs, other)
    return (loss + other_loss) / 2 + weight * mean_rows(distance(outputs, other), mask)


def supervised(
    model: nn.Module, inputs: Any, targets: Any, criterion: Callable[[Any, Any], Tensor]
) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return what makes one pass: the loss `criterion(outputs, targets)` and the outputs, see `logits_of`."""
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")

    def run() -> tuple[Tensor, Tensor]:
        outputs = logits_of(call(model, inputs))
        return criterion(outputs, targets), outputs

    return run


def call(model: Callable[..., Any], inputs: Any) -> Any:
    """Return the outputs of a model: a mapping is given by name, a tuple in order, anything else as it is."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def logits_of(outputs: Any) -> Any:
    """Return the logits of what a model returns, which many keep under that name; else the outputs.

    >>> logits_of({"loss": None, "logits": 3}), logits_of(4)
    (3, 4)
    """
    if isinstance(outputs, Mapping):
        return outputs.get("logits", outputs)
    return outputs if isinstance(outputs, Tensor) else getattr(outputs, "logits", outputs)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of logits (..., classes) and as many labels, or probabilities.

    It is `torch.nn.functional.cross_entropy`, but for where the classes stand, and 0 where no row counts.

    >>> cross_entropy(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64))
    tensor(1.3863)
    """
    if targets.is_floating_point() or targets.shape != outputs.shape[:-1]:
        return F.cross_entropy(outputs, targets)
    rows, labels = outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)
    return mean_rows(F.cross_entropy(rows, labels, reduction="none"), labels != IGNORED)


def _warn_if_equal(model: nn.Module, outputs: Any, other: Any) -> None:
    tensors = isinstance(outputs, Tensor) and isinstance(other, Tensor) and eager(outputs)
    # Dropout that no module declares shows in the outputs alone; they are compared where nothing else draws.
    if not tensors or draws_now(model) or not outputs.numel() or not torch.equal(outputs, other):
        return
    text = f"both passes of {type(model).__name__} agree, for it draws nothing, and cost twice the time: "
    warnings.warn(text + "call model.train(), give it dropout, or make one pass", stacklevel=4)


@contextmanager
def _apart(model: nn.Module, i: int) -> Iterator[None]:
    keyed = [m for m in model.modules() if isinstance(m, Stochastic) and m.stream_key is not None]
    before = [layer.stream_key for layer in keyed]
    for layer in keyed:
        assert layer.stream_key is not None
        layer.stream_key = layer.stream_key.fold("pass", i)
    try:
        yield
    finally:
        for layer, key in zip(keyed, before, strict=True):
            layer.stream_key = key


def mean_rows(rows: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean of the rows that count, 0 where there are none.

    >>> mean_rows(torch.tensor([1.0, 5.0]), torch.tensor([True, False])), mean_rows(torch.ones(0))
    (tensor(1.), tensor(0.))
    """
    if mask is None:
        return rows.sum() / max(rows.numel(), 1)
    if mask.shape != rows.shape:
        rule = f"has the shape of the rows, {tuple(rows.shape)}"
        raise DropkitError("mask", rule, tuple(mask.shape), "mark each row that counts")
    counts = mask.bool()
    return torch.where(counts, rows, 0.0).sum() / counts.sum().clamp(min=1)
