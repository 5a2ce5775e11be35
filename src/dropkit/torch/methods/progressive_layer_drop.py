"""Progressive layer dropping for torch: a residual branch behind a switch, which may move over steps."""

from __future__ import annotations

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
    In evaluation: x + branch(x).

    Args:
        branch: a module that takes a tensor and returns one of the same shape; it keeps its weights under
            the name branch.
        p: the probability that the branch is skipped, in [0, 1], or a schedule. It lies in `gate`, a
            `DropPath`, so that `Stepper`, `set_rates` and `set_depth_rates` find it.
        scale_by_keep: whether a kept branch grows by 1 / (1 - p).

    Raises:
        DropkitError: p lies outside [0, 1], or an argument is of another kind.

    >>> block = SwitchedBranch(nn.Linear(2, 2), 1.0)
    >>> block(torch.ones(1, 2))
    tensor([[1., 1.]], grad_fn=<AddBackward0>)
    """

    def __init__(self, branch: nn.Module, p: Rate = 0.1, *, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.branch = check_kind("branch", branch, nn.Module, "wrap the branch itself, without the sum")
        check_kind("scale_by_keep", scale_by_keep, bool, "write True or False")
        self.gate = DropPath(p, per="batch", scale_by_keep=scale_by_keep)

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
            *arguments: further arguments of the branch, e.g. a mask.
            key: the address of the decision.
            generator: where the key is taken from; eager mode only.
            **options: further named arguments of the branch, but for `key` and `generator`.
        """
        if self.skipped(key=key, generator=generator):
            return with_zero_gradients(input, [self.branch])
        y: Tensor = self.branch(input, *arguments, **options)
        if self.drawing and self.gate.p > 0 and self.gate.description.scale == "train":
            y = y / (1 - self.gate.p)
        return input + y
