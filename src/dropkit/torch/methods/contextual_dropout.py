"""Contextual dropout for PyTorch: the layer, and the estimator that teaches its Bernoulli gates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Unpack

import torch
from torch import nn
from torch.nn import functional as F

from dropkit.core.check import DropkitError, Interval, OneOf, Whole
from dropkit.core.key import Key
from dropkit.core.rate import threshold
from dropkit.methods.contextual_dropout import arm, bernoulli_divergence, gaussian_divergence, mirrored
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.penalties import of_batch, penalty
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic, last_bias
from dropkit.torch.streams import under_key

__all__ = ["ContextualDropout", "arm_backward"]

Tensor = torch.Tensor

_UNITS = Whole(1, "give the number of units, e.g. the out_features of the layer before")
_HIDDEN = Whole(1, "give the width of the network that chooses the rates, e.g. 8")
_OPEN = Interval(0, 1, "write a rate between 0 and 1, e.g. 0.1", open_low=True, open_high=True)
_NOISE = OneOf(("bernoulli", "gaussian"))
_WEIGHT = Interval(0, float("inf"), "give a factor of the penalty, e.g. 1.0", open_high=True)


class ContextualDropout(Stochastic):
    """Each sample chooses the rates of its units: rate = sigmoid(h(x)), h a small network (Fan et al. 2021).

    Bernoulli gates: y = x kept, and y = (1 - rate) x in evaluation. Gaussian gates: y = x (1 + sqrt(rate /
    (1 - rate)) z), and y = x in evaluation. h reads the sample with its trailing axes averaged, and no
    gradient flows from it into x. It begins at the rate p for every sample.

    Gaussian gates learn by `loss + penalty(model)`. Bernoulli gates have no gradient of that kind: train them
    with `arm_backward`.

    Args:
        units: the number of units, the size of axis 1 of the input.
        p: the rate at the start, between 0 and 1.
        noise: `"bernoulli"` or `"gaussian"`.
        hidden: the width of h; by default a tenth of the units, at least 1.
        prior: the rate of the prior, between 0 and 1; None learns it.

    Shape:
        (N, units, ...); one gate a sample and unit. The output has the shape of the input.

    Raises:
        DropkitError: an argument is out of its range.

    >>> layer = ContextualDropout(4, p=0.25).eval()
    >>> layer(torch.ones(1, 4))
    tensor([[0.7500, 0.7500, 0.7500, 0.7500]], grad_fn=...)
    """

    def __init__(
        self,
        units: int,
        p: float = 0.1,
        noise: Literal["bernoulli", "gaussian"] = "bernoulli",
        hidden: int | None = None,
        prior: float | None = None,
    ) -> None:
        super().__init__()
        self.units, self.noise = _UNITS.check("units", units), _NOISE.check("noise", noise)
        width = max(1, units // 10) if hidden is None else _HIDDEN.check("hidden", hidden)
        last = nn.Linear(width, units)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, _logit(_OPEN.check("p", p)))
        self.network = nn.Sequential(nn.Linear(units, width), nn.LeakyReLU(0.1), last)
        start = torch.tensor(_logit(p if prior is None else _OPEN.check("prior", prior)))
        self.prior_logit = nn.Parameter(start, requires_grad=prior is None)
        self._divergence: Tensor | None = None
        self._tape: list[tuple[Tensor, Tensor]] | None = None
        self._mirror = False

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation scales the units."""
        return self.noise == "bernoulli"

    def logits(self, input: Tensor) -> Tensor:
        """Return the logit of the rate of each unit of each sample, (N, units)."""
        check_tensor(input)
        if input.ndim < 2 or input.shape[1] != self.units:
            rule = f"has {self.units} units along axis 1"
            raise TensorError("input", rule, tuple(input.shape), "give (N, units, ...)")
        context = widen(input.detach())
        context = context.flatten(2).mean(2) if input.ndim > 2 else context
        return widen(self.network(context.to(self.prior_logit.dtype)))

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Gate the units.

        Args:
            input: (N, units, ...), of a real floating type.
            **source: `key` and `generator` as in every layer.
        """
        if not self.drawing and self.noise == "gaussian":
            return input
        logits = self.logits(input)
        m = self._gates(logits, self.source(source)) if self.drawing else torch.sigmoid(-logits)
        m = m.reshape(*m.shape, *(1,) * (input.ndim - 2))
        return torch.where(m == 0, 0.0, widen(input) * m).to(input.dtype)

    @property
    def penalty_of_batch(self) -> bool:
        """Yes: the rates follow from the input."""
        return True

    def penalty(self) -> Tensor:
        """Return the divergence of the gates from their prior: summed over units, the mean of the last pass.

        Before the first pass that draws it is 0.

        Raises:
            DropkitError: that pass was computed without gradients, as reentrant checkpointing does.
        """
        return (
            self.prior_logit.new_zeros(()) if self._divergence is None else of_batch(self, self._divergence)
        )

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield what weight decay would pull to a rate of one half."""
        yield self.prior_logit
        yield from last_bias(self.network)

    def _gates(self, logits: Tensor, source: Source) -> Tensor:
        """Return the factors of the units, and keep what the penalty and the estimator ask for."""
        if self.noise == "gaussian":
            terms: Tensor = gaussian_divergence(logits, self.prior_logit, torch)
            self._divergence = terms.sum(1).mean()
            return 1 + torch.exp(logits / 2) * draws.normal(logits, **source).to(logits.dtype)
        rate = torch.sigmoid(logits)
        if not self._mirror:  # the passes of the estimator have no graph
            terms = bernoulli_divergence(rate, _logs(logits), _logs(self.prior_logit))
            self._divergence = terms.sum(1).mean()
        words = draws.words(logits, **source)
        if self._tape is not None:
            self._tape.append((logits, words))
        falls = threshold(rate.detach().to(torch.float64), torch)
        kept: Tensor = (mirrored(words) if self._mirror else words) >= falls
        return kept.to(logits.dtype)

    def extra_repr(self) -> str:
        """Show what was given."""
        return f"units={self.units}, noise={self.noise!r}"

    def __getstate__(self) -> dict[str, Any]:
        # What the last pass left belongs to its graph, which no copy can have.
        return {**self.__dict__, "_divergence": None, "_tape": None}


def arm_backward(
    model: nn.Module, losses: Callable[[], Tensor], key: int | Key, weight: float = 1.0
) -> Tensor:
    """Put the gradients of a step into a model whose contextual dropout has Bernoulli gates.

    The loss is the mean over the batch + weight penalty(model). All parameters but those of the gates get its
    plain gradient; the gates get that of augment-REINFORCE-merge: one more pass a layer, without a graph, in
    which its draws are mirrored. All passes draw under one key, so nothing else differs between them; layers
    that keep statistics of their batches see each of them.

    Args:
        model: a model that draws, with Bernoulli `ContextualDropout` in it, each called once a pass.
        losses: runs the model and returns one loss a sample, (N,).
        key: the key of this step, e.g. `dropkit.Key(seed).fold("step", step)`.
        weight: the factor of the penalty, at least 0.

    Returns:
        the loss, without a graph.

    Raises:
        DropkitError: the model has no such layer, one of them is called more often or not at all, or `losses`
            returns something else.

    >>> gate = ContextualDropout(2)
    >>> loss = arm_backward(gate, lambda: gate(torch.ones(3, 2)).sum(1), key=1)
    >>> gate.network[-1].bias.grad.shape
    torch.Size([2])
    """
    gates = [m for m in model.modules() if isinstance(m, ContextualDropout) and m.noise == "bernoulli"]
    if not gates:
        mend = "call loss.backward(), or put ContextualDropout into the model"
        raise DropkitError("model", "has Bernoulli contextual dropout", type(model).__name__, mend)
    weight = _WEIGHT.check("weight", weight)
    with under_key(model, key):
        with _recording(gates):
            first = losses()
            drawn = [_only(gate) for gate in gates]
        _check_losses(first, len(drawn[0][0]))
        loss = first.mean() + weight * penalty(model)
        slopes = [
            _slopes(gate, losses, first.detach(), words).to(logits.dtype)
            for gate, (logits, words) in zip(gates, drawn, strict=True)
        ]
    torch.autograd.backward([loss, *(logits for logits, _ in drawn)], [None, *slopes])
    return loss.detach()


def _slopes(gate: ContextualDropout, losses: Callable[[], Tensor], first: Tensor, words: Tensor) -> Tensor:
    """Return the estimated gradient by the logits of a gate, (N, units)."""
    gate._mirror = True
    try:
        with torch.no_grad():
            second = losses()
    finally:
        gate._mirror = False
    u = (words.to(torch.float64) + 0.5) / 2.0**32
    slope: Tensor = arm(first[:, None].double(), second[:, None].double(), u) / len(first)
    return slope


@contextmanager
def _recording(gates: list[ContextualDropout]) -> Iterator[None]:
    for gate in gates:
        gate._tape = []
    try:
        yield
    finally:
        for gate in gates:
            gate._tape = None


def _only(gate: ContextualDropout) -> tuple[Tensor, Tensor]:
    calls = gate._tape or []
    if len(calls) != 1:
        rule = "is called once a pass, and draws then"
        raise DropkitError("ContextualDropout", rule, f"{len(calls)} calls", "call model.train() first")
    return calls[0]


def _check_losses(losses: Any, samples: int) -> None:
    if not isinstance(losses, Tensor) or losses.shape != (samples,):
        shape = tuple(losses.shape) if isinstance(losses, Tensor) else losses
        mend = "take the loss with reduction='none'"
        raise DropkitError("losses", f"returns one loss a sample, shape ({samples},)", shape, mend)


def _logit(rate: float) -> float:
    return math.log(rate) - math.log1p(-rate)


def _logs(logit: Tensor) -> tuple[Tensor, Tensor]:
    return F.logsigmoid(logit), F.logsigmoid(-logit)
