"""Weight drop for PyTorch: around `nn.LSTM`, `nn.GRU`, `nn.RNN` and their cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.methods.weight_drop_lstm import weight_drop_lstm
from dropkit.torch.layer import Drop, Rate, rate_of
from dropkit.torch.noisy import NoisyWeights
from dropkit.torch.sequences import check_sequence

__all__ = ["WeightDrop"]


class WeightDrop(NoisyWeights):
    """A recurrent module whose hidden-to-hidden weights are dropped once a pass (Merity et al. 2018).

    U' = U kept / (1 - p), kept ~ Bernoulli(1 - p) for each entry; all time steps share the mask, layers and
    directions have masks of their own. In evaluation the module is called as it is. It is called as before:
    packed sequences, states and all; its weights keep their names under `module`.

    Args:
        module: an `nn.LSTM`, `nn.GRU`, `nn.RNN` or one of their cells.
        p: the probability that a weight is dropped, in [0, 1], or a schedule.
        names: which weights; by default all hidden-to-hidden ones.
        whole_rows: one coin for all weights into one gate of one unit.

    Shapes:
        those of the module.

    Raises:
        DropkitError: the module is not recurrent, it has no weight of such a name, or p lies outside [0, 1].

    >>> lstm = WeightDrop(nn.LSTM(4, 8, bidirectional=True), 0.5)
    >>> lstm.names
    ('weight_hh_l0', 'weight_hh_l0_reverse')
    >>> y, (h, c) = lstm(torch.zeros(5, 2, 4))
    >>> y.shape
    torch.Size([5, 2, 16])
    """

    def __init__(
        self,
        module: nn.Module,
        p: Rate = 0.5,
        names: Iterable[str] | None = None,
        *,
        whole_rows: bool = False,
    ) -> None:
        if not isinstance(module, nn.RNNBase | nn.RNNCellBase):
            mend = "for nn.Linear and convolutions: DropConnect"
            raise DropkitError("module", "is a recurrent module", type(module).__name__, mend)
        if names is None:
            names = [name for name, _ in module.named_parameters() if name.startswith("weight_hh")]
        super().__init__(module, Drop(weight_drop_lstm(rate_of(p), whole_rows)), names)

    def forward(
        self, *args: Any, key: Any = None, generator: torch.Generator | None = None, **kwargs: Any
    ) -> Any:
        """Call the module with the weights of this pass.

        Args:
            *args: what the module takes, `**kwargs` likewise.
            key: the address of the draws.
            generator: where the key is taken from, where none is given.

        Raises:
            DropkitError: the input has another shape than the module takes, or no step.
        """
        if isinstance(self.module, nn.RNNBase):
            given = args[0] if args else kwargs.get("input")
            check_sequence(given, self.module.input_size, self.module.batch_first)
        return super().forward(*args, key=key, generator=generator, **kwargs)
