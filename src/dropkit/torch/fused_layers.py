"""The fused forms as layers: dropout with what stands before it or after it in models."""

from __future__ import annotations

from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import nn

from dropkit.core.drop import Drop
from dropkit.core.rate import threshold
from dropkit.core.schedule import Schedule
from dropkit.torch.check import check_alike
from dropkit.torch.functional import Source, perturb
from dropkit.torch.fused import ACTIVATION, ACTIVATIONS, bias_act_dropout, dropout_add, dropout_add_layer_norm
from dropkit.torch.rated import Rated
from dropkit.torch.run import Call, law_of

__all__ = ["DropoutAdd", "DropoutAddLayerNorm", "LinearActDropout"]

Tensor = torch.Tensor
_LAW = law_of(Drop(0.0))


class _Fused(Rated):
    """Keeps the threshold of a schedule in a buffer too: a graph would be made anew for each other number."""

    threshold: Tensor | None

    def rate_moved(self) -> None:
        """Bring the threshold to the rate."""
        if "threshold" not in self._buffers:
            self.register_buffer("threshold", None, persistent=False)  # it follows from the step
        if self.step is None:
            self.threshold = None
        elif self.threshold is None:
            self.threshold = torch.full_like(self.step, threshold(self.p, torch))
        else:
            self.threshold.fill_(threshold(self.p, torch))

    @property
    def apart(self) -> bool:
        """Whether this call draws by the threshold, as `Dropout` does on a schedule: also at a rate of 0."""
        return self.drawing and self.scheduled and (torch.compiler.is_compiling() or self.p == 0)

    def dropped(self, x: Tensor, source: Source) -> Tensor:
        """Return what the dropout alone makes of x."""
        return perturb(x, Call(_LAW, None, self.threshold), **self.source(source))

    def added(self, input: Tensor, residual: Tensor, source: Source) -> Tensor:
        """Return the plain sum."""
        check_alike("input", input, "residual", residual)
        return residual + self.dropped(input, source)


class LinearActDropout(_Fused, nn.Linear):
    """dropout(activation(x W^T + b)): a hidden layer whose bias, activation and dropout are one pass.

    See `dropkit.torch.bias_act_dropout`. The masks are those of a `Dropout` in its place.

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        p: the probability that an output is dropped, in [0, 1], or a schedule.
        activation: `"relu"`, `"gelu"`, `"gelu_tanh"` or `"silu"`.
        **settings: `bias`, `device` and `dtype` as in `torch.nn.Linear`, whose parameters these are.

    Shapes:
        (..., in_features) to (..., out_features).

    Raises:
        DropkitError: p lies outside [0, 1], or the activation is none of these.

    >>> LinearActDropout(4, 8, 0.5, "relu")(torch.ones(2, 4)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        p: float | Schedule = 0.5,
        activation: str = "relu",
        **settings: Any,
    ) -> None:
        self.activation = ACTIVATION.check("activation", activation)
        nn.Linear.__init__(self, in_features, out_features, **settings)
        self.adopt()
        self.take_rate(p)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return the hidden units; `source` as in every layer."""
        if not self.drawing:
            return ACTIVATIONS[self.activation](F.linear(input, self.weight, self.bias))
        product = F.linear(input, self.weight)
        bias = None if self.bias is None else self.bias.to(product.dtype)
        if self.apart:
            before = product if bias is None else product + bias
            return self.dropped(ACTIVATIONS[self.activation](before), source)
        return bias_act_dropout(product, bias, self.p, self.activation, **self.source(source))

    def extra_repr(self) -> str:
        """Show the sizes, the activation and the rate."""
        return f"{nn.Linear.extra_repr(self)}, activation={self.activation!r}, {Rated.extra_repr(self)}"


class DropoutAdd(_Fused):
    """residual + dropout(x), the end of a residual branch: see `dropkit.torch.dropout_add`.

    Args:
        p: the probability that an entry of the branch is dropped, in [0, 1], or a schedule.

    Shapes:
        Two tensors of one shape to a third.

    Raises:
        DropkitError: p lies outside [0, 1]; the shapes differ.

    >>> DropoutAdd(0.5).eval()(torch.ones(3), torch.ones(3))
    tensor([2., 2., 2.])
    """

    def __init__(self, p: float | Schedule = 0.5) -> None:
        super().__init__(p)

    def forward(self, input: Tensor, residual: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return the sum; `source` as in every layer."""
        if self.apart:
            return self.added(input, residual, source)
        return dropout_add(input, residual, self.p, self.drawing, **self.source(source))


class DropoutAddLayerNorm(_Fused, nn.LayerNorm):
    """layer_norm(residual + dropout(x)) over the last axis: see `dropkit.torch.dropout_add_layer_norm`.

    Args:
        features: the size of the last axis.
        p: the probability that an entry of the branch is dropped, in [0, 1], or a schedule.
        prenorm: return the sum too, as models need it that normalise before a block.
        **settings: `eps`, `elementwise_affine`, `bias`, `device` and `dtype` as in `torch.nn.LayerNorm`.

    Shapes:
        Two tensors (..., features) to a third, or with `prenorm` to a pair.

    Raises:
        DropkitError: p lies outside [0, 1]; the shapes do not fit.

    >>> DropoutAddLayerNorm(2).eval()(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 3.0])).detach()
    tensor([-1.0000,  1.0000])
    """

    def __init__(
        self, features: int, p: float | Schedule = 0.5, *, prenorm: bool = False, **settings: Any
    ) -> None:
        nn.LayerNorm.__init__(self, features, **settings)
        self.adopt()
        self.take_rate(p)
        self.prenorm = prenorm

    def forward(  # type: ignore[override]  # a norm of two
        self, input: Tensor, residual: Tensor, **source: Unpack[Source]
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return the normalised sum, and with `prenorm` the sum; `source` as in every layer."""
        if self.apart:
            added = self.added(input, residual, source)
            normed = F.layer_norm(added, self.normalized_shape, self.weight, self.bias, self.eps)
            return (normed, added) if self.prenorm else normed
        return dropout_add_layer_norm(
            input,
            residual,
            self.weight,
            self.bias,
            self.p,
            self.eps,
            self.drawing,
            prenorm=self.prenorm,
            **self.source(source),
        )

    def extra_repr(self) -> str:
        """Show the size and the rate."""
        return f"{nn.LayerNorm.extra_repr(self)}, {Rated.extra_repr(self)}"
