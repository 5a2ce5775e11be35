"""ChannelDropBack for PyTorch: around any layer, whose forward pass stays what it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Unpack

import torch
from torch import nn

from dropkit.core.check import RATE, DropkitError
from dropkit.core.mode import Scale
from dropkit.core.rate import threshold
from dropkit.methods.channel_drop_back import channel_drop_back
from dropkit.torch import draws
from dropkit.torch.functional import Source
from dropkit.torch.layer import Layer, Rate, rate_of
from dropkit.torch.noisy import NoisyWeights
from dropkit.torch.run import widen

__all__ = ["ChannelDropBack"]

Tensor = torch.Tensor


class _Back(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor; what is dropped is replaced by 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, factor: Tensor) -> Tensor:
        return weight.view_as(weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Any) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return torch.where(factor == 0, 0.0, widen(grad) * factor).to(grad.dtype), None


class _DropBack(Layer):
    """Drops the gradient of a weight, in a share of the passes."""

    def __init__(self, p: Any, over: Any, layer_rate: float, scale: Scale) -> None:
        self.layer_rate, self.axis = RATE.check("layer_rate", layer_rate), int(over == "inputs")
        super().__init__(channel_drop_back(p, over, scale))

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: no forward pass ever changes."""
        return False

    def forward(  # type: ignore[override]  # a weight is no part of a larger one
        self, input: Tensor, **source: Unpack[Source]
    ) -> Tensor:
        """Return the weight itself, whose gradient will be dropped in a pass that draws."""
        if not (self.drawing and torch.is_grad_enabled()):
            return input
        channels = [n if axis == self.axis else 1 for axis, n in enumerate(input.shape)]
        one = widen(input.new_ones(channels))
        factor = super().forward(one, **source)
        if self.layer_rate < 1:
            # The second uniform of the first channel: under a key it is independent of what drops channels.
            u = draws.words(one, second=True, **self.source(source)).flatten()[0]
            factor = torch.where(u < threshold(self.layer_rate, torch), factor, one)
        return _Back.apply(input, factor)  # type: ignore[no-any-return,no-untyped-call]  # apply is untyped


class ChannelDropBack(NoisyWeights):
    """A layer of whose weight random channels get no gradient in a pass; the forward pass stays as it is.

    dL/dw' = dL/dw kept / (1 - p), kept ~ Bernoulli(1 - p) for each channel (Neiterman and Ben-Artzi 2024).
    What reaches the input of the layer is untouched. Optimizers with momentum or weight decay move a channel
    without a gradient all the same. Each pass draws anew, where the authors draw once a step: give the passes
    before a step one key, by `key=` or `dropkit.torch.under_key`, and they drop alike. Where all channels of
    a layer fall, its whole gradient is 0, so that the mean stays; the authors' code then drops none.

    Args:
        module: an `nn.Linear`, a convolution or any module whose weights have a channel a row.
        p: the probability that a channel gets no update, in [0, 1], or a schedule.
        over: a channel is one of the `"outputs"` or of the `"inputs"`, the first or second axis of a weight.
        layer_rate: the probability that the layer is hit in a pass at all, in [0, 1]. The paper's Algorithm 1
            hits one layer a step: give each of n layers 1 / n. The authors' train.py has p = 0.3 and a rate
            of layers that grows from 0.03 over 0.15 to 0.3, and leaves out the first layers.
        names: which parameters; biases are left alone, as in the authors' code.
        scale: `"train"` grows the other gradients by 1 / (1 - p), `"none"` leaves them.

    Shapes:
        those of the module.

    Raises:
        DropkitError: a rate lies outside [0, 1], a name or a word is unknown, or a weight has no such axis.

    >>> layer = ChannelDropBack(nn.Linear(3, 4), 0.5)
    >>> layer(torch.ones(1, 3), key=2).sum().backward()
    >>> layer.weight.grad[:, 0]
    tensor([0., 2., 0., 0.])
    """

    def __init__(
        self,
        module: nn.Module,
        p: Rate = 0.5,
        *,
        over: Literal["outputs", "inputs"] = "outputs",
        layer_rate: float = 1.0,
        names: Iterable[str] = ("weight",),
        scale: Scale = "train",
    ) -> None:
        super().__init__(module, _DropBack(rate_of(p), over, layer_rate, scale), names)
        for name in self.names:
            shape = tuple(module.get_parameter(name).shape)
            if len(shape) <= self.noise.axis:
                rule = f"has an axis of {over}"
                raise DropkitError(name, rule, shape, "leave it out of names, or take over='outputs'")

    def extra_repr(self) -> str:
        """Show how often the layer is hit."""
        return f"{super().extra_repr()}, layer_rate={self.noise.layer_rate}"
