"""LoRA for PyTorch with its dropouts: a frozen linear layer and a low-rank update that is trained."""

from __future__ import annotations

import copy
import math
from typing import Unpack

import torch
from torch import nn
from torch.nn import functional as F

from dropkit.core.check import Interval, Whole
from dropkit.core.mode import Mode, Scale
from dropkit.methods.lora_dropout import lora_dropout
from dropkit.torch.draws import fold
from dropkit.torch.functional import Source
from dropkit.torch.layer import Drop, Rate, rate_of
from dropkit.torch.layers import Dropout
from dropkit.torch.noisy import Wrapper
from dropkit.torch.stochastic import Stochastic

__all__ = ["LoRALinear"]

Tensor = torch.Tensor
_RANK = Whole(1, "give the rank of the update, e.g. 8")
_ALPHA = Interval(0, math.inf, "give the numerator of alpha / rank, e.g. 16", open_low=True, open_high=True)


class LoRALinear(Wrapper):
    """A frozen linear layer with an update of low rank, and dropout of the update.

    y = W x + b + (alpha / rank) B' A' x with A' = A diag(m_A), B' = diag(m_B) B: whole inputs and outputs of
    the update are dropped, for the whole batch alike, with probability p each (Lin et al. 2024). `input_p`
    drops entries of the update's input instead, as the argument `lora_dropout` of PEFT does. A begins at
    random and B at 0, so that the layer begins as what it was.

    Args:
        module: the trained layer, which is frozen; it stands under `module`.
        rank: the rank of the update, at least 1.
        p: the probability that an input, and that an output, of the update is dropped, in [0, 1], or a
            schedule.
        alpha: the update is scaled by alpha / rank; by default alpha is the rank.
        input_p: the probability that an entry of the update's input is dropped, in [0, 1], or a schedule.
        scale: `"train"` grows what is kept by 1 / (1 - p), `"none"` does not.

    Shapes:
        those of the module.

    Raises:
        DropkitError: the module is no `nn.Linear`, or a number is out of its range.

    >>> layer = LoRALinear(nn.Linear(4, 3), rank=2, p=0.3)
    >>> x = torch.ones(2, 4)
    >>> bool((layer(x) == layer.module(x)).all())
    True
    >>> sum(part.numel() for part in layer.parameters() if part.requires_grad)
    14
    """

    def __init__(
        self,
        module: nn.Linear,
        rank: int = 8,
        p: Rate = 0.0,
        *,
        alpha: float | None = None,
        input_p: Rate = 0.0,
        scale: Scale = "train",
    ) -> None:
        super().__init__(module, (nn.Linear,), "wrap linear layers alone")
        self.rank = _RANK.check("rank", rank)
        self.alpha = _ALPHA.check("alpha", self.rank if alpha is None else alpha)
        columns, rows = lora_dropout(rate_of(p), scale)
        self.columns, self.rows = Drop(columns), Drop(rows)
        self.input_drop = Dropout(input_p, scale=scale)
        module.requires_grad_(False)
        self.lora_A = nn.Parameter(module.weight.new_empty(self.rank, module.in_features))
        self.lora_B = nn.Parameter(module.weight.new_zeros(module.out_features, self.rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.stand_out()

    @property
    def p(self) -> float:
        """The probability that an input, and that an output, of the update is dropped, now."""
        return self.columns.p

    @property
    def drawing(self) -> bool:
        """Whether the next call draws."""
        return self.columns.drawing

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything."""
        return any(part.can_draw for part in self._drops)

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation differs from the module's own: it has the update."""
        return True

    def force(self, mode: Mode | None) -> None:
        """Draw or do not draw whatever `train()` and `eval()` say; None follows them again."""
        super().force(mode)
        for part in self._drops:
            part.force(mode)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Compute the layer and its update.

        Args:
            input: what the module takes.
            **source: `key` and `generator` as in every layer.
        """
        source = self.source(source)
        x = self.input_drop(input, **fold("input", source))
        a = self.columns(self.lora_A, **fold("lora_A", source))
        b = self.rows(self.lora_B, **fold("lora_B", source))
        y: Tensor = self.module(input) + self.alpha / self.rank * F.linear(F.linear(x, a), b)
        return y

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return a plain layer that computes what this one does in evaluation."""
        plain: nn.Linear = copy.deepcopy(self.module).requires_grad_(True)
        plain.weight += self.alpha / self.rank * self.lora_B @ self.lora_A
        return plain

    def extra_repr(self) -> str:
        """Show rank and scale of the update."""
        return f"rank={self.rank}, alpha={self.alpha}"

    @property
    def _drops(self) -> tuple[Stochastic, ...]:
        return self.columns, self.rows, self.input_drop
