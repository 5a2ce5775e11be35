"""Dropout that saves work: what is dropped for a whole batch is not computed at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar, Unpack

import torch
from torch import nn
from torch._compile import _disable_dynamo
from torch.nn import functional as F

from dropkit.core.check import DropkitError, check_kind
from dropkit.core.schedule import Schedule
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.draws import below, numbers, words
from dropkit.torch.functional import Source
from dropkit.torch.noisy import check_weight
from dropkit.torch.rated import Rated

__all__ = ["SkipBranch", "Thinned", "kept_units", "pick", "uncompiled"]

T = TypeVar("T")
Tensor = torch.Tensor
_PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Thinned(Rated):
    """Two layers of products with dropout between them, its mask shared by the batch, computed thin.

    y = second(m between(first(x))) with one coin m a unit (or channel), 0 or 1 / (1 - p). The units that fall
    are left out of both products, forward and backward. With the same key it equals
    `drop(between(first(x)), p, "... d -> d")` (for maps `"b c ... -> c"`). Batchwise dropout: Graham et al.
    2015, arXiv 1502.02478; contiguous: SliceOut, Notin et al. 2020, arXiv 2007.10909.

    Args:
        first: an `nn.Linear` or a convolution without groups, whose outputs are the units.
        second: the same, whose inputs they are. Both keep their parameters and their names.
        p: the probability that a unit is dropped, in [0, 1], or a schedule.
        between: acts on each unit by itself, as activations do.
        contiguous: drop units that follow one another, a share p of them beginning at a random place of the
            circle. The products then read slices of the weights instead of copies. The share is rounded to
            whole units.

    Raises:
        DropkitError: a layer is of another kind or has groups, the two do not fit, or `between` has
            parameters.

    >>> Thinned(nn.Linear(4, 8), nn.Linear(8, 2), 0.5, nn.ReLU())(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        first: nn.Module,
        second: nn.Module,
        p: float | Schedule = 0.5,
        between: nn.Module | None = None,
        *,
        contiguous: bool = False,
    ) -> None:
        super().__init__()
        self.first: Any = _product("first", first)
        self.second: Any = _product("second", second)
        self.between = (
            nn.Identity()
            if between is None
            else check_kind("between", between, nn.Module, "give an activation")
        )
        if any(True for _ in self.between.parameters()):
            mend = "leave normalisation out, or put it before `first`"
            raise DropkitError("between", "has no parameters", type(between).__name__, mend)
        if not _acts_apart(self.between, self.first):
            mend = "put it behind `second`, or before `first`"
            raise DropkitError("between", "acts on each unit by itself", type(between).__name__, mend)
        units, taken = self.first.weight.shape[0], self.second.weight.shape[1]
        if units != taken or type(first) is not type(second):
            rule = f"takes what first gives, {units} units of {type(first).__name__}"
            raise DropkitError("second", rule, second, "give two layers that follow one another")
        self.take_rate(p)
        self.contiguous = check_kind("contiguous", contiguous, bool, "write True or False")

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return the output of the second layer.

        Args:
            input: what `first` takes.
            **source: `key` and `generator` as in every layer.
        """
        if not self.drawing or self.p == 0:
            return self.second(self.between(self.first(input)))  # type: ignore[no-any-return]  # modules are untyped
        check_tensor(input)
        units = self.first.weight.shape[0]
        if self.contiguous:
            return self._sliced(input, units, **self.source(source))
        kept = kept_units(input, units, self.p, self.source(source))
        return self._thin(
            input,
            pick(self.first.weight, kept, 0),
            None if self.first.bias is None else self.first.bias[kept],
            pick(self.second.weight, kept, 1),
            1 / (1 - self.p) if self.p < 1 else 0.0,
        )

    def _sliced(self, input: Tensor, units: int, **source: Unpack[Source]) -> Tensor:
        count = round(units * (1 - self.p))
        start = _start(units, source)
        scale = units / count if count else 0.0
        ends = min(start + count, units)
        parts = [(start, ends - start), (0, count - (ends - start))]
        rows = [self.first.weight.narrow(0, at, size) for at, size in parts if size]
        columns = [self.second.weight.narrow(1, at, size) for at, size in parts if size]
        bias = None
        if self.first.bias is not None:
            bias = torch.cat([self.first.bias.narrow(0, at, size) for at, size in parts])
        if not rows:
            return self._thin(input, self.first.weight[:0], bias, self.second.weight[:, :0], scale)
        return self._thin(input, _joined(rows, 0), bias, _joined(columns, 1), scale)

    def _thin(self, input: Tensor, rows: Any, bias: Tensor | None, columns: Any, scale: float) -> Tensor:
        if len(rows) == 0 and not isinstance(self.first, nn.Linear):
            # Convolutions want a channel: one is computed, and nothing of it kept.
            bias = None if self.first.bias is None else self.first.bias[:1]
            hidden = self.between(_apply(self.first, input, self.first.weight[:1], bias))
            nothing = hidden.masked_fill(torch.ones_like(hidden, dtype=torch.bool), 0.0)
            return _apply(self.second, nothing, self.second.weight[:, :1], self.second.bias)
        hidden = self.between(_apply(self.first, input, rows, bias))
        return _apply(self.second, hidden * scale, columns, self.second.bias)

    def extra_repr(self) -> str:
        """Show the rate and the kind."""
        return f"p={self.p}, contiguous={self.contiguous}"


class SkipBranch(Rated):
    """A residual branch that is computed for the samples alone that keep it: y = x + m branch(x).

    With the same key it equals `x + DropPath(p)(branch(x))` where the branch treats each sample by itself;
    under batch normalisation the statistics are those of the kept samples. The step takes that share less.

    Args:
        branch: takes (batch, ...) and gives the same shape.
        p: the probability that a sample's branch is dropped, in [0, 1], or a schedule.
        scale_by_keep: whether a kept branch grows by 1 / (1 - p).

    >>> SkipBranch(nn.Linear(4, 4), 0.2)(torch.ones(3, 4)).shape
    torch.Size([3, 4])
    """

    def __init__(self, branch: nn.Module, p: float | Schedule = 0.1, *, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.branch = check_kind("branch", branch, nn.Module, "give the module of the branch")
        self.take_rate(p)
        self.scale_by_keep = check_kind("scale_by_keep", scale_by_keep, bool, "write True or False")

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return x + m branch(x).

        Args:
            input: (batch, ...).
            **source: `key` and `generator` as in every layer.
        """
        check_tensor(input)
        if not self.drawing or self.p == 0:
            return input + self.branch(input)  # type: ignore[no-any-return]  # modules are untyped
        if input.dim() == 0:
            raise DropkitError("input", "has a batch axis", tuple(input.shape), "add one: x[None]")
        kept = kept_units(input, len(input), self.p, self.source(source))
        if len(kept) == 0:
            return input.clone()
        part = self.branch(input.index_select(0, kept))
        if part.shape != (len(kept), *input.shape[1:]):
            rule = f"gives the shape that it takes, {tuple(input.shape[1:])} a sample"
            raise DropkitError("branch", rule, tuple(part.shape[1:]), "let it end in a layer that does")
        scale = 1 / (1 - self.p) if self.scale_by_keep else 1.0
        return input.index_add(0, kept, part.to(input.dtype), alpha=scale)

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"p={self.p}, scale_by_keep={self.scale_by_keep}"


def kept_units(input: Tensor, count: int, rate: float, source: Source) -> Tensor:
    """Return the numbers of the groups that stay; a graph breaks here, as how many they are is luck."""
    if torch.compiler.is_compiling():
        return uncompiled(kept_units, input, count, rate, source)  # type: ignore[no-any-return]  # as the call
    kept = ~below(input.new_empty(count), rate, "d -> d", **source)
    return _looked_at(lambda: kept.nonzero().squeeze(-1))


def _start(units: int, source: Source) -> int:
    """Return where the units that stay begin; a graph breaks here likewise."""
    if torch.compiler.is_compiling():
        return uncompiled(_start, units, source)  # type: ignore[no-any-return]  # as the call
    # One number for all is drawn on the CPU, whose generator it takes where no key is given.
    return int(numbers(words(torch.empty(1, device="cpu"), **source))[0]) * units >> 32


def _looked_at(read: Callable[[], T]) -> T:
    """Read what was drawn, or say where it cannot be read."""
    try:
        return read()
    except RuntimeError as error:
        mend = "mask instead, e.g. by dropkit.torch.DropPath or Drop"
        rule = "is a tensor whose draws can be read, for what falls is not computed"
        raise TensorError("input", rule, "one under vmap or on the device meta", mend) from error


def uncompiled(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function outside of any graph; nothing can compile before somebody has loaded the compiler."""
    if torch.compiler.is_exporting():
        rule = "is not exported while it draws: how many units stay is luck, for which no graph has a place"
        mend = "call model.eval() first, or mask instead, e.g. by dropkit.torch.DropPath or Drop"
        raise DropkitError("model", rule, "a module that leaves out what it drops", mend)
    run = _disabled if "torch._dynamo" in sys.modules else _called
    return run(function, *arguments)


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


_disabled = _disable_dynamo(_called)


class _Picked(torch.autograd.Function):
    """Rows or columns of a weight: each is written once in backward, where torch would add."""

    @staticmethod
    def forward(weight: Tensor, kept: Tensor, axis: int) -> Tensor:
        return weight.index_select(axis, kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        weight, kept, ctx.axis = inputs
        ctx.save_for_backward(kept)
        ctx.shape = weight.shape

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return _among_zeros(grad, ctx.shape, ctx.axis, kept), None, None


def _among_zeros(grad: Tensor, shape: torch.Size, axis: int, kept: Tensor) -> Tensor:
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return grad.new_zeros(shape).index_copy(axis, kept, grad)
    return grad.new_zeros(shape).index_copy_(axis, kept, grad)  # no second copy of the whole


def pick(weight: Tensor, kept: Tensor, axis: int) -> Tensor:
    """Return rows or columns of a weight, each of which is written once in backward."""
    if torch._C._are_functorch_transforms_active():
        return weight.index_select(axis, kept)
    return _Picked.apply(weight, kept, axis)  # type: ignore[no-any-return,no-untyped-call]  # apply is untyped


@torch.no_grad()
def _acts_apart(between: nn.Module, first: Any) -> bool:
    """Whether what a module, which draws nothing now, makes of every second unit is what it makes of all."""
    spatial = (8,) * (first.weight.dim() - 2)
    axis = 1 if spatial else -1
    probe = torch.linspace(-2.0, 2.0, 3 * 6 * 8 ** len(spatial), device="cpu").reshape(3, 6, *spatial)
    training = [(module, module.training) for module in between.modules()]
    try:
        between.eval()
        whole, part = (
            between(probe.clone()),
            between(probe.index_select(axis, torch.tensor((0, 2, 4), device="cpu"))),
        )
    except Exception:  # of a stranger's module, e.g. one that knows the number of units
        return False
    finally:
        for module, was in training:
            module.training = was
    picked = whole.index_select(axis, torch.tensor((0, 2, 4), device="cpu"))
    return picked.shape == part.shape and torch.allclose(picked, part, equal_nan=True)


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _product(name: str, layer: Any) -> Any:
    if type(layer) not in _PRODUCTS or getattr(layer, "groups", 1) != 1:
        rule = "is an nn.Linear or a convolution without groups"
        raise DropkitError(name, rule, layer, "thin other layers by masking: dropkit.torch.Drop")
    check_weight(name, layer)
    return layer


def _apply(layer: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Run a layer with another weight."""
    if isinstance(layer, nn.Linear):
        return F.linear(input, weight, bias)
    return layer._conv_forward(input, weight, bias)  # type: ignore[no-any-return]  # it is untyped
