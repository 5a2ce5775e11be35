"""LayerDrop for torch: a list of layers that runs them one after another and skips some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Unpack

import torch
from torch import nn

from dropkit.core.check import RATE, DropkitError, check_each, check_kind
from dropkit.core.schedule import Schedule
from dropkit.methods.layer_drop import INDEX, kept_layers
from dropkit.torch.depth import skips, with_zero_gradients
from dropkit.torch.functional import Source
from dropkit.torch.keys import AnyKey
from dropkit.torch.rated import Rated

__all__ = ["LayerDropList"]

Tensor = torch.Tensor


class LayerDropList(Rated, nn.ModuleList):
    """A `torch.nn.ModuleList` that runs its layers in order and skips some in training (Fan et al. 2020).

    x <- layer_l(x) with probability 1 - p, else x stays; one coin a layer and call, for the whole batch;
    nothing is scaled. A skipped layer costs no computation. Its parameters get gradients of 0, so that
    `DistributedDataParallel` needs no search for unused ones and each process may skip others. Under
    checkpointing of the list, backward skips the same layers again. Loops over the list see every layer.

    Args:
        layers: modules that take a tensor and return one of the same shape.
        p: the probability that a layer is skipped, in [0, 1]: one number or schedule, or one number
            for each layer.
        keep_every: which layers run at evaluation: 1 for all, 2 for the first and every other one.
        drop_every: in place of it, every how many layers one does not run: 4 leaves a quarter out.
        keep: in place of both, the layers that run, counted from 0.

    Shape:
        as the layers have it.

    Raises:
        DropkitError: an argument is out of its range, there are more or fewer rates than layers, or more than
            one choice of layers is given.

    >>> stack = LayerDropList([nn.Linear(4, 4) for _ in range(3)], 0.5)
    >>> stack.skipped(key=1), stack(torch.ones(2, 4), key=1).shape
    ((False, True, False), torch.Size([2, 4]))
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        p: float | Schedule | Sequence[float] = 0.2,
        *,
        keep_every: int = 1,
        drop_every: int | None = None,
        keep: Iterable[int] | None = None,
    ) -> None:
        super().__init__()
        self.extend([check_kind("layers", layer, nn.Module, "give modules") for layer in _listed(layers)])
        self.take_rate(p)
        self.keep_every, self.drop_every = keep_every, drop_every
        self.keep = keep if keep is None else check_each("keep", keep, INDEX)
        self.kept()  # refuses what is no choice of layers
        self.rates_by_layer()  # refuses another number of rates

    @property
    def p(self) -> Any:
        """The probability that a layer is skipped: one number, or one for each layer."""
        return self._p if self._each is None else self._each

    @p.setter
    def p(self, p: Any) -> None:
        self.take_rate(p)

    def take_rate(self, p: Any) -> None:
        """Take another rate, a number or a schedule, or one number for each layer."""
        many = isinstance(p, Iterable) and not isinstance(p, str | torch.Tensor)
        each = check_each("p", p, RATE) if many else None
        super().take_rate(0.0 if many else p)
        self._each = each

    def rates_by_layer(self) -> tuple[float, ...]:
        """Return the rate of each layer."""
        rates = (self._p,) * len(self) if self._each is None else self._each
        if len(rates) != len(self):
            rule = f"has one rate for each of the {len(self)} layers"
            raise DropkitError("p", rule, len(rates), "give one number, or one a layer")
        return rates

    def kept(self) -> tuple[bool, ...]:
        """Return which layers run at evaluation."""
        return kept_layers(len(self), self.keep_every, self.drop_every, self.keep)

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: False where all rates are 0."""
        return any(self.rates_by_layer())

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the input."""
        return True

    def skipped(self, **source: Unpack[Source]) -> tuple[bool, ...]:
        """Return which layers a call under the same key skips."""
        if self.drawing and self.can_draw:
            return skips(self.rates_by_layer(), **self.source(source))
        return (False,) * len(self) if self.drawing else tuple(not kept for kept in self.kept())

    def forward(
        self,
        input: Tensor,
        *arguments: Any,
        key: AnyKey | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Run the layers.

        Args:
            input: what the first layer takes.
            *arguments: further arguments of every layer, e.g. a mask.
            key: the address of the decisions.
            generator: where the key is taken from; eager mode only.
            **options: further named arguments of every layer, but for `key` and `generator`.
        """
        gone = self.skipped(key=key, generator=generator)
        for layer, skip in zip(self, gone, strict=True):
            input = input if skip else layer(input, *arguments, **options)
        if not self.drawing:
            return input
        return with_zero_gradients(input, (layer for layer, skip in zip(self, gone, strict=True) if skip))

    def __getitem__(self, index: Any) -> Any:
        """Return a layer, or a slice as a list of its own with the rates of its layers."""
        if not isinstance(index, slice):
            return super().__getitem__(index)
        chosen: dict[str, Any] = {"keep_every": self.keep_every, "drop_every": self.drop_every}
        if self.keep is not None:
            chosen["keep"] = [place for place, kept in enumerate(self.kept()[index]) if kept]
        part = type(self)(list(self)[index], self.schedule or self.rates_by_layer()[index], **chosen)
        if self.step is not None:
            part.move_to(int(self.step))
        return part

    def extra_repr(self) -> str:
        """Show the rate and what runs at evaluation."""
        others = {"drop_every": self.drop_every, "keep": self.keep}
        given = [f"{name}={value}" for name, value in others.items() if value is not None]
        return ", ".join([f"p={self.p}", *(given or [f"keep_every={self.keep_every}"])])


def _listed(layers: Any) -> Iterator[nn.Module]:
    if not isinstance(layers, Iterable):
        raise DropkitError("layers", "are modules in a list", layers, "write e.g. [layer, layer]")
    return iter(layers)
