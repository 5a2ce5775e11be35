"""Progressive layer dropping for torch: residual branches behind a switch, which may move over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import nn

from dropkit.core.check import check_kind
from dropkit.torch.depth import skips, with_zero_gradients
from dropkit.torch.functional import Source
from dropkit.torch.keys import AnyKey
from dropkit.torch.layer import Rate
from dropkit.torch.layers import DropPath
from dropkit.torch.stochastic import Stochastic

__all__ = ["SwitchedBranch"]

Tensor = torch.Tensor


class SwitchedBranch(Stochastic):
    """A residual branch that is skipped whole in training: x + branch(x) kept / (1 - p) (Zhang and He 2020).

    One coin a call, for the whole batch, and a skipped branch costs no computation, which `DropPath` cannot
    save. Its parameters get gradients of 0 then, so that parallel training needs no search for unused ones.
    In evaluation: x + branch(x). Several branches, e.g. the attention and the feed-forward part of a layer
    of a transformer, follow one another under one coin, as the authors have it; two `SwitchedBranch`es have
    a coin each.

    Args:
        branch: a module that takes a tensor and returns one of the same shape, or several in a list; they
            keep their weights under the name branch.
        p: the probability that the branches are skipped, in [0, 1], or a schedule. It lies in `gate`, a
            `DropPath`, so that `Stepper`, `set_rates` and `set_depth_rates` find it.
        scale_by_keep: whether a kept branch grows by 1 / (1 - p).

    Raises:
        DropkitError: p lies outside [0, 1], or an argument is of another kind.

    >>> block = SwitchedBranch(nn.Linear(2, 2), 1.0)
    >>> block(torch.ones(1, 2))
    tensor([[1., 1.]], grad_fn=<AddBackward0>)
    >>> SwitchedBranch([nn.Identity(), nn.Identity()], 0.0)(torch.ones(1, 2))
    tensor([[4., 4.]])
    """

    def __init__(
        self, branch: nn.Module | Sequence[nn.Module], p: Rate = 0.1, *, scale_by_keep: bool = True
    ) -> None:
        super().__init__()
        several = isinstance(branch, list | tuple | nn.ModuleList)
        checked = [_module(each) for each in (branch if several else (branch,))]  # type: ignore[union-attr]  # a list
        self.branch: nn.Module = nn.ModuleList(checked) if several else checked[0]
        check_kind("scale_by_keep", scale_by_keep, bool, "write True or False")
        self.gate = DropPath(p, per="batch", scale_by_keep=scale_by_keep)

    @property
    def p(self) -> float:
        """The probability that the branches are skipped, now: that of the gate."""
        return self.gate.p

    @p.setter
    def p(self, p: float) -> None:
        self.gate.p = p

    def rate_layer(self) -> Stochastic | None:
        """Return what holds the rate: the gate."""
        return self.gate

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: False at a rate of 0."""
        return self.gate.can_draw

    def skipped(self, **source: Unpack[Source]) -> bool:
        """Return whether a call under the same key skips the branch."""
        return self.drawing and self.gate.p > 0 and skips([self.gate.p], **self.source(source))[0]

    def forward(
        self,
        input: Tensor,
        *arguments: Any,
        key: AnyKey | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Return the input with the branch added, or without it.

        Args:
            input: what the branch takes.
            *arguments: further arguments of the branch, e.g. a mask; of each one, where there are several.
            key: the address of the decision.
            generator: where the key is taken from; eager mode only.
            **options: further named arguments of the branch, but for `key` and `generator`.
        """
        if self.skipped(key=key, generator=generator):
            return with_zero_gradients(input, [self.branch])
        grows = self.drawing and self.gate.p > 0 and self.gate.description.scale == "train"
        for branch in self.branch if isinstance(self.branch, nn.ModuleList) else (self.branch,):
            y: Tensor = branch(input, *arguments, **options)
            input = input + (y / (1 - self.gate.p) if grows else y)
        return input


def _module(branch: Any) -> nn.Module:
    return check_kind("branch", branch, nn.Module, "wrap the branch itself, without the sum")
