"""DropMax: a classifier head whose softmax runs over randomly kept classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Unpack

import torch
from torch import nn
from torch.nn import functional as F

from dropkit.core.check import DropkitError, Interval, Whole
from dropkit.methods.drop_max import auxiliary, divergence, gated, gates, negative_entropy
from dropkit.torch import draws
from dropkit.torch.check import check_source, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic, last_bias
from dropkit.torch.two_passes import mean_rows
from dropkit.torch.whole import IGNORED, check_numbers

__all__ = ["DropMax"]

Tensor = torch.Tensor
_SIZE = Whole(1, "give a number of features or classes, e.g. 10")
_TEMPERATURE = Interval(0, float("inf"), "give a temperature, e.g. 0.1", open_low=True, open_high=True)


class _Parts(NamedTuple):
    """What the three heads say of each class: its logit, and the logits of prior, residual and posterior."""

    outputs: Tensor
    prior: Tensor
    residual: Tensor
    posterior: Tensor


class DropMax(Stochastic):
    """A linear classifier that drops classes from its softmax (Lee et al. 2018).

    The rates are learned for each input. In training a class is kept with probability q =
    sigmoid(prior + residual), by a gate z that is relaxed with a temperature, and the class of the label
    always; without labels, as in mode "mc", with the prior probability p. In evaluation z = p. The gates
    need `loss`: cross-entropy alone does not teach them.

    Args:
        features: how many numbers an input has.
        classes: how many classes.
        temperature: of the relaxed gates, above 0.

    Raises:
        DropkitError: a size is no whole number above 0, or the temperature is not above 0.

    >>> head = DropMax(4, 3)
    >>> head(torch.ones(2, 4)).shape, head.drop_rates(torch.ones(2, 4)).shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    def __init__(self, features: int, classes: int, temperature: float = 0.1) -> None:
        super().__init__()
        size = _SIZE.check("features", features), _SIZE.check("classes", classes)
        self.temperature = _TEMPERATURE.check("temperature", temperature)
        self.outputs, self.prior, self.residual = nn.Linear(*size), nn.Linear(*size), nn.Linear(*size)

    def forward(self, input: Tensor, targets: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
        """Return the logits of the gated softmax, in float32 at least.

        Args:
            input: (..., features).
            targets: the classes of the labels (...), whole numbers from 0; they count in training and mode
                "mc". No class is spared in a row that is labelled -100.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the targets do not fit the input.
        """
        return self._gated(self._parts(input), targets, **source)

    def loss(self, input: Tensor, targets: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return the mean loss of a batch: the cross-entropy, and in training the terms of the gates.

        -log P(y) + KL(q || p) + auxiliary(residual, y) - entropy(p). Arguments as in `forward`. Rows that are
        labelled -100 count nowhere, and a batch without rows that count costs 0. This is the
        whole loss: return it from `training_step` in Lightning, as "loss" from a model of transformers.
        """
        parts = self._parts(input)
        label = self._label(targets, parts.outputs)
        logits = self._gated(parts, targets, **source)
        rows = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="none")
        rows = rows.reshape(targets.shape)
        if self.drawing:
            terms = divergence(parts.prior, parts.posterior, label, torch)
            rows = rows + terms + auxiliary(parts.residual, label, torch)
            rows = rows + negative_entropy(parts.prior, torch)
        return mean_rows(rows, targets != IGNORED)

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield the biases of the two heads whose outputs are logits of rates."""
        yield from last_bias(self.prior)
        yield from last_bias(self.residual)

    def drop_rates(self, input: Tensor) -> Tensor:
        """Return the probability 1 - p that each class is dropped, for inputs whose label is unknown."""
        return torch.sigmoid(-self._parts(input).prior)

    def _parts(self, input: Tensor) -> _Parts:
        check_tensor(input)
        outputs, prior, residual = (widen(head(input)) for head in (self.outputs, self.prior, self.residual))
        return _Parts(outputs, prior, residual, prior.detach() + residual)

    def _gated(self, parts: _Parts, targets: Tensor | None, **source: Unpack[Source]) -> Tensor:
        check_source(**source)
        if not self.drawing:
            out: Tensor = gated(parts.outputs, torch.sigmoid(parts.prior), torch)
            return out
        u = draws.unit(parts.outputs, **self.source(source))
        label = self._label(targets, parts.outputs)
        z = gates(parts.prior if targets is None else parts.posterior, u, label, self.temperature, torch)
        drawn: Tensor = gated(parts.outputs, z, torch).to(parts.outputs.dtype)
        return drawn

    def _label(self, targets: Tensor | None, logits: Tensor) -> Tensor:
        classes = torch.arange(logits.shape[-1], device=logits.device)
        if targets is None:
            return classes < 0
        if targets.shape != logits.shape[:-1] or targets.is_floating_point():
            rule = f"are whole numbers of shape {tuple(logits.shape[:-1])}"
            raise DropkitError("targets", rule, (targets.dtype, tuple(targets.shape)), "give a class a row")
        check_numbers("targets", targets, len(classes), IGNORED)
        return classes == targets[..., None]

    def extra_repr(self) -> str:
        """Show the temperature."""
        return f"temperature={self.temperature}"
