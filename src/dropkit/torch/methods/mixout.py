"""Mixout for PyTorch: around any linear layer, convolution or table that was pretrained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Unpack

import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.methods.mixout import mixout
from dropkit.torch.functional import Source
from dropkit.torch.layer import Layer, Rate, rate_of
from dropkit.torch.noisy import NoisyWeights

__all__ = ["Mixout"]

Tensor = torch.Tensor


class _Mix(Layer):
    """Drops towards another tensor than zero."""

    def forward(  # type: ignore[override]  # it takes two weights
        self, weight: Tensor, pretrained: Tensor, **source: Unpack[Source]
    ) -> Tensor:
        """Return the mixture of both."""
        return self._drop(weight, self._law_for(weight), fill=pretrained, **source)


class Mixout(NoisyWeights):
    """A pretrained layer whose weights are replaced by the pretrained ones at random while it is fine-tuned.

    w' = ((1 - M) u + M w - p u) / (1 - p), M ~ Bernoulli(1 - p), whose mean is w (Lee et al. 2020). The
    pretrained weights u are a buffer, `pretrained_weight`, and are saved with the others. Biases and what
    `names` leaves out are fine-tuned as ever.

    Args:
        module: the pretrained module. Layers that begin anew, such as a head, are not wrapped.
        p: the probability that a weight is replaced, in [0, 1], or a schedule.
        per: one coin for all weights that go out from one `"neuron"`, or one for each `"weight"`.
        names: which parameters are mixed.
        pretrained: the weights u by name; by default a copy of those that the module has now.

    Shapes:
        those of the module.

    Raises:
        DropkitError: p lies outside [0, 1], a name or a word is unknown, a weight has fewer than two axes
            where a neuron has one coin, or `pretrained` does not fit.

    >>> layer = Mixout(nn.Linear(3, 2), 0.5)
    >>> bool((layer.pretrained_weight == layer.weight).all())
    True
    """

    def __init__(
        self,
        module: nn.Module,
        p: Rate = 0.5,
        *,
        per: Literal["neuron", "weight"] = "neuron",
        names: Iterable[str] = ("weight",),
        pretrained: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__(module, _Mix(mixout(rate_of(p), per)), names)
        for name in self.names:
            weight = module.get_parameter(name)
            if per == "neuron" and weight.dim() < 2:
                rule = "has at least two axes where per='neuron'"
                raise DropkitError(name, rule, tuple(weight.shape), "leave it out of names")
            self.register_buffer(_buffer(name), _fitting(name, weight, pretrained))

    def weight_of(self, name: str, weight: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return a weight, mixed with the pretrained one in a pass that draws."""
        mixed: Tensor = self.noise(weight, self.get_buffer(_buffer(name)), **source)
        return mixed


def _buffer(name: str) -> str:
    return f"pretrained_{name.replace('.', '_')}"


def _fitting(name: str, weight: Tensor, pretrained: Mapping[str, Any] | None) -> Tensor:
    if pretrained is None:
        return weight.detach().clone()
    given = pretrained.get(name)
    if not isinstance(given, Tensor) or given.shape != weight.shape:
        found = tuple(given.shape) if isinstance(given, Tensor) else given
        mend = "give each weight under the name that the module has for it"
        raise DropkitError(
            f"pretrained[{name!r}]", f"is a tensor of shape {tuple(weight.shape)}", found, mend
        )
    return given.detach().to(weight.device, weight.dtype, copy=True)
