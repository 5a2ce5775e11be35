"""What Caffe's layers compute where torch.nn has no module that does the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dropkit.core.check import DropkitError

__all__ = [
    "Abs",
    "Bias",
    "Concat",
    "Eltwise",
    "Exp",
    "InnerProduct",
    "LocalNorm",
    "Log",
    "NotRebuilt",
    "Pool",
    "Power",
    "Reshape",
    "Scale",
    "Slice",
    "Split",
]

Pair = tuple[int, int]


class InnerProduct(nn.Linear):
    """A linear map of all axes from `axis` on, taken as one; `transpose` where a file has its weights turned.

    >>> InnerProduct(12, 5, axis=1)(torch.ones(2, 3, 4)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        axis: int = 1,
        transpose: bool = False,
    ) -> None:
        super().__init__(in_features, out_features, bias)
        self.axis, self.transpose = axis, transpose

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer."""
        return super().forward(input.flatten(self.axis) if self.axis < input.dim() else input[..., None])


class Pool(nn.Module):
    """Caffe's pooling of the last two axes; `kernel=None` takes the whole plane.

    Windows count from the padded edge on, and one more than fits whole where `ceil`. An average is over the
    part of its window within the padded plane: zeros of the padding count, what lies beyond does not.

    >>> Pool("max", (2, 2), (2, 2))(torch.arange(9.0).view(1, 1, 3, 3)).flatten().tolist()
    [4.0, 5.0, 7.0, 8.0]
    """

    def __init__(
        self,
        kind: Literal["max", "average"],
        kernel: Pair | None,
        stride: Pair = (1, 1),
        pad: Pair = (0, 0),
        *,
        ceil: bool = True,
    ) -> None:
        super().__init__()
        self.kind, self.kernel, self.stride, self.pad, self.ceil = kind, kernel, stride, pad, ceil

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer."""
        sizes = input.shape[-2], input.shape[-1]
        kernel = self.kernel or sizes
        given = zip(sizes, kernel, self.stride, self.pad, strict=True)
        places = [_windows(*each, self.ceil) for each in given]
        axes = tuple(zip(places, kernel, self.stride, sizes, self.pad, strict=True))
        rest = [(count - 1) * stride + size - length - pad for count, size, stride, length, pad in axes]
        sides = [self.pad[1], max(0, rest[1]), self.pad[0], max(0, rest[0])]
        if self.kind == "max":
            padded = F.pad(input, sides, value=torch.finfo(input.dtype).min) if any(sides) else input
            return F.max_pool2d(padded, kernel, self.stride)
        padded = F.pad(input, sides) if any(sides) else input
        sums = F.avg_pool2d(padded, kernel, self.stride, divisor_override=1)
        rows, columns = (
            (start + size).clamp(max=length + 2 * pad) - start
            for count, size, stride, length, pad in axes
            for start in [torch.arange(count, device=input.device) * stride]
        )
        return sums / (rows[:, None] * columns)

    def extra_repr(self) -> str:
        """Return what tells it from others of its kind."""
        ceil = "" if self.ceil else ", ceil=False"
        return f"{self.kind!r}, kernel={self.kernel}, stride={self.stride}, pad={self.pad}{ceil}"


def _windows(length: int, kernel: int, stride: int, pad: int, ceil: bool) -> int:
    free = length + 2 * pad - kernel
    if free < 0:
        mend = "give a larger input, or a smaller kernel"
        raise DropkitError("input", "is at least as large as the kernel, padding included", length, mend)
    count = (-(-free // stride) if ceil else free // stride) + 1
    count -= pad > 0 and (count - 1) * stride >= length + pad
    if (count - 1) * stride - pad >= length:
        mend = "set round_mode: FLOOR, or a stride no larger than the kernel"
        raise DropkitError("input", "lies under every window of the pooling", length, mend)
    return count


class LocalNorm(nn.Module):
    """Local response normalization within channels: x / (1 + alpha * mean of x**2 over a square) ** beta.

    >>> LocalNorm(3, alpha=9.0, beta=1.0)(torch.ones(1, 1, 3, 3))[0, 0, 1, 1].item()
    0.10000000149011612
    """

    def __init__(self, size: int, alpha: float, beta: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer."""
        mean = F.avg_pool2d(input * input, self.size, 1, self.size // 2)
        return input * (1 + self.alpha * mean) ** -self.beta


class Scale(nn.Module):
    """Times a factor that spans some axes, learned or the second input; then plus a learned bias, if any.

    >>> Scale((3,), axis=1)(torch.ones(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(self, shape: Sequence[int], axis: int, *, learned: bool = True, bias: bool = False) -> None:
        super().__init__()
        self.axis = axis
        self.weight = nn.Parameter(torch.ones(tuple(shape))) if learned else None
        self.bias = nn.Parameter(torch.zeros(tuple(shape))) if bias else None

    def forward(self, input: Tensor, factor: Tensor | None = None) -> Tensor:
        """Compute the layer."""
        output = input * _along(_one_of(self.weight, factor), input, self.axis)
        return output if self.bias is None else output + _along(self.bias, input, self.axis)


class Bias(nn.Module):
    """Plus a bias that spans some axes, learned or the second input.

    >>> Bias((), axis=0)(torch.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, shape: Sequence[int], axis: int, *, learned: bool = True) -> None:
        super().__init__()
        self.axis = axis
        self.bias = nn.Parameter(torch.zeros(tuple(shape))) if learned else None

    def forward(self, input: Tensor, term: Tensor | None = None) -> Tensor:
        """Compute the layer."""
        return input + _along(_one_of(self.bias, term), input, self.axis)


def _one_of(learned: Tensor | None, given: Tensor | None) -> Tensor:
    found = learned if given is None else given
    if found is None:
        raise DropkitError("inputs", "are two where nothing is learned", 1, "give the second as well")
    return found


def _along(factor: Tensor, input: Tensor, axis: int) -> Tensor:
    return factor.view(factor.shape + (1,) * (input.dim() - axis - factor.dim()))


class Power(nn.Module):
    """(shift + scale * x) ** power.

    >>> Power(2.0, 3.0, 1.0)(torch.tensor([1.0])).item()
    16.0
    """

    def __init__(self, power: float, scale: float, shift: float) -> None:
        super().__init__()
        self.power, self.scale, self.shift = power, scale, shift

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer."""
        inner = self.shift + self.scale * input
        return inner if self.power == 1 else inner**self.power

    def extra_repr(self) -> str:
        """Return what tells it from others of its kind."""
        return f"power={self.power}, scale={self.scale}, shift={self.shift}"


class Exp(nn.Module):
    """base ** (shift + scale * x); base -1 stands for e.

    >>> Exp(2.0, 1.0, 1.0)(torch.tensor([2.0])).item()
    8.0
    """

    def __init__(self, base: float, scale: float, shift: float) -> None:
        super().__init__()
        self.base, self.scale, self.shift = base, scale, shift
        self._log = _log_of(base)

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer."""
        return torch.exp(self._log * self.shift + self._log * self.scale * input)

    def extra_repr(self) -> str:
        """Return what tells it from others of its kind."""
        return f"base={self.base}, scale={self.scale}, shift={self.shift}"


class Log(Exp):
    """The logarithm of shift + scale * x to a base; base -1 stands for e.

    >>> Log(2.0, 1.0, 4.0)(torch.tensor([4.0])).item()
    3.0
    """

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer."""
        return torch.log(self.shift + self.scale * input) / self._log


def _log_of(base: float) -> float:
    if base != -1 and not (0 < base < math.inf):
        raise DropkitError("base", "is positive, or -1 for e", base, "mend it in the file")
    return 1.0 if base == -1 else math.log(base)


class Abs(nn.Module):
    """The absolute value.

    >>> Abs()(torch.tensor([-1.0])).item()
    1.0
    """

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer."""
        return input.abs()


class Eltwise(nn.Module):
    """The product, the sum with coefficients, or the maximum of its inputs, entry by entry.

    >>> Eltwise("sum", (1.0, -1.0))(torch.ones(2), torch.ones(2)).tolist()
    [0.0, 0.0]
    """

    def __init__(self, kind: Literal["prod", "sum", "max"], factors: Sequence[float] = ()) -> None:
        super().__init__()
        self.kind, self.factors = kind, tuple(factors)

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Compute the layer."""
        output = first * self.factors[0] if self.factors else first
        for place, other in enumerate(others, start=1):
            if self.kind == "prod":
                output = output * other
            elif self.kind == "max":
                output = torch.maximum(output, other)
            else:
                output = output + (other * self.factors[place] if self.factors else other)
        return output

    def extra_repr(self) -> str:
        """Return what tells it from others of its kind."""
        return f"{self.kind!r}" + (f", {self.factors}" if self.factors else "")


class Concat(nn.Module):
    """Its inputs one behind the other along an axis.

    >>> Concat(1)(torch.ones(2, 3), torch.ones(2, 4)).shape
    torch.Size([2, 7])
    """

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute the layer."""
        return torch.cat(inputs, self.axis)

    def extra_repr(self) -> str:
        """Return what tells it from others of its kind."""
        return f"axis={self.axis}"


class Slice(nn.Module):
    """Its input in parts of given sizes along an axis.

    >>> [part.shape[1] for part in Slice(1, (1, 2))(torch.ones(2, 3))]
    [1, 2]
    """

    def __init__(self, axis: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.axis, self.sizes = axis, list(sizes)

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """Compute the layer."""
        return torch.split(input, self.sizes, self.axis)

    def extra_repr(self) -> str:
        """Return what tells it from others of its kind."""
        return f"axis={self.axis}, sizes={self.sizes}"


class Split(nn.Module):
    """Its input, several times.

    >>> len(Split(2)(torch.ones(1)))
    2
    """

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """Compute the layer."""
        return (input,) * self.times


class Reshape(nn.Module):
    """The axes from `start` to before `end` in other sizes: 0 takes over a size, -1 is what is left.

    >>> Reshape((0, -1), start=0, end=None)(torch.ones(2, 3, 4)).shape
    torch.Size([2, 12])
    """

    def __init__(self, sizes: Sequence[int], start: int, end: int | None) -> None:
        super().__init__()
        self.sizes, self.start, self.end = tuple(sizes), start, end

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer."""
        old = tuple(input.shape)
        new = tuple(size or old[self.start + place] for place, size in enumerate(self.sizes))
        return input.reshape(old[: self.start] + new + (() if self.end is None else old[self.end :]))

    def extra_repr(self) -> str:
        """Return what tells it from others of its kind."""
        return f"{self.sizes}, start={self.start}, end={self.end}"


class NotRebuilt(nn.Module):
    """The place of a layer that was not rebuilt; it says so when it is called.

    >>> NotRebuilt("ROIPooling", "its type is unknown")
    NotRebuilt('ROIPooling', 'its type is unknown')
    """

    def __init__(self, type: str, why: str, *, unknown: bool = False) -> None:
        super().__init__()
        self.kind, self.why, self.unknown = type, why, unknown

    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute the layer."""
        mend = 'give rebuild_caffe own={"Type": maker}, where maker(layer, shapes) returns a module'
        raise DropkitError("layer", f"of type {self.kind!r} was not rebuilt ({self.why})", "a call", mend)

    def extra_repr(self) -> str:
        """Return what tells it from others of its kind."""
        return f"{self.kind!r}, {self.why!r}"
