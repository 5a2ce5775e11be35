"""Modality dropout for PyTorch: whole inputs of a sample are dropped, all of them only on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack

import torch

from dropkit.core.check import RATE, DropkitError, check_each, check_kind, is_real
from dropkit.methods.modality_dropout import chosen, spared
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_source, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.stochastic import Stochastic

__all__ = ["ModalityDropout"]

Tensor = torch.Tensor
Inputs = TypeVar("Inputs", bound=Mapping[str, Tensor] | Sequence[Tensor])


class ModalityDropout(Stochastic):
    """Drops whole modalities of a sample, each by a coin of its own (ModDrop, Neverova et al. 2016).

    Nothing is rescaled; evaluation returns the very inputs. That a sample which would lose all keeps one is a
    rule of this library, not known from the paper: with it, each of M modalities of one rate is dropped with
    p - p^M / M; with `spare=False` with p, as its coin says.

    Args:
        p: the probability that a modality is dropped, in [0, 1]: one number, one for each in a sequence, or
            one for each by name in a mapping.
        spare: whether a sample whose modalities all fell keeps one of them, each alike.

    Raises:
        DropkitError: a rate is out of range, or `spare` is neither True nor False.

    >>> one, other = ModalityDropout(0.5)([torch.ones(4, 1), torch.ones(4, 2)], key=2)
    >>> (one.any(1) | other.any(1)).all()
    tensor(True)
    """

    def __init__(self, p: float | Sequence[float] | Mapping[str, float] = 0.5, *, spare: bool = True) -> None:
        super().__init__()
        self.spare = check_kind("spare", spare, bool, "write True or False")
        self.p = p

    @property
    def p(self) -> float | tuple[float, ...] | dict[str, float]:
        """The probability that a modality is dropped: one number, or one for each."""
        return self._p

    @p.setter
    def p(self, p: Any) -> None:
        self._p: float | tuple[float, ...] | dict[str, float]
        if isinstance(p, Mapping):
            self._p = {name: RATE.check(f"p[{name!r}]", rate) for name, rate in p.items()}
        elif is_real(p) or not isinstance(p, Sequence):
            self._p = RATE.check("p", p)
        else:
            self._p = check_each("p", p, RATE)

    def rate_layer(self) -> Stochastic | None:
        """Return what holds the rate: the module itself."""
        return self

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything."""
        rates = self.p.values() if isinstance(self.p, dict) else self.p
        return any(rate > 0 for rate in ((rates,) if isinstance(rates, float) else rates))

    def forward(self, inputs: Inputs, **source: Unpack[Source]) -> Inputs:
        """Drop modalities in training; return `inputs` itself otherwise.

        Args:
            inputs: the modalities by name or in order: tensors that begin with the same batch.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Returns:
            a dict for a mapping, a tuple for a tuple, a list for any other sequence.

        Raises:
            DropkitError: there is no modality, a tensor is of another kind or batch, or the rates do not fit.
        """
        if not (self.drawing and self.can_draw):
            return inputs
        check_source(**source)
        given: Any = inputs
        names = list(given) if isinstance(inputs, Mapping) else list(range(len(given)))
        tensors = [given[name] for name in names]
        _check_batch(names, tensors)
        gone = self._gone(names, tensors[0], self.source(source))
        kept = [torch.where(_column(gone, i, x), 0.0, x) for i, x in enumerate(tensors)]
        result: Any = dict(zip(names, kept, strict=True)) if isinstance(inputs, Mapping) else kept
        if isinstance(inputs, tuple):
            result = tuple(result)
        return result  # type: ignore[no-any-return]  # of the kind of the inputs

    def _gone(self, names: list[Any], like: Tensor, source: Source) -> Tensor:
        """Which modalities of which samples are dropped: (batch, modalities)."""
        coins = like.new_empty((len(like), len(names)))
        rates = torch.tensor(self._rates(names), dtype=torch.float64, device=like.device)
        fell = draws.below(coins, rates, **source)
        if not self.spare:
            return fell
        words = draws.words(coins, (len(like),), second=True, **source)
        places = torch.arange(len(names), device=like.device)
        gone: Tensor = spared(fell, chosen(words, len(names)), places)
        return gone

    def _rates(self, names: list[Any]) -> list[float]:
        if isinstance(self.p, float):
            return [self.p] * len(names)
        known = self.p if isinstance(self.p, dict) else dict(enumerate(self.p))
        if set(known) != set(names):
            rule = "has a rate for each modality and no other"
            raise DropkitError("p", rule, sorted(known, key=str), f"give {sorted(names, key=str)}")
        return [known[name] for name in names]

    def extra_repr(self) -> str:
        """Show the rates, and whether a sample keeps one modality at least."""
        return f"p={self.p}, spare={self.spare}"


def _check_batch(names: list[Any], tensors: list[Any]) -> None:
    if not tensors:
        raise DropkitError("inputs", "has a modality at least", tensors, "give tensors by name or in order")
    for name, tensor in zip(names, tensors, strict=True):
        check_tensor(tensor, f"inputs[{name!r}]")
        if not tensor.dim() or len(tensor) != len(tensors[0]):
            rule = f"begins with the batch of the first modality, {tuple(tensors[0].shape[:1])}"
            raise TensorError(f"inputs[{name!r}]", rule, tuple(tensor.shape), "give (batch, ...)")


def _column(gone: Tensor, i: int, x: Tensor) -> Tensor:
    return gone[:, i].reshape(-1, *[1] * (x.dim() - 1))
