"""What every module that draws has in common: whether it draws now, and from which stream."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from dropkit.core.key import Key
from dropkit.core.mode import MODE, Mode
from dropkit.torch.functional import Source

__all__ = ["Stochastic", "last_bias", "taken_over"]

_M = TypeVar("_M", bound=nn.Module)


class Stochastic(nn.Module):
    """A module that draws in training, and in evaluation where `dropkit.mode` asks for it.

    Layers that a `Drop` describes are `dropkit.torch.Layer`; those that look at values, learn their rate or
    hold other modules stand on this class directly. A subclass asks `self.drawing`, and passes
    `**self.source(source)` on to whatever draws.
    """

    def __init__(self) -> None:
        nn.Module.__init__(self)  # a class of torch that stands behind this one would take its own arguments
        self.adopt()

    def adopt(self) -> None:
        """Begin to follow `train()` and `eval()`: for a module of torch that becomes one of ours."""
        self.forced_mode: Mode | None = None
        self.stream_key: Key | None = None
        self._hook: RemovableHandle | None = None

    @property
    def drawing(self) -> bool:
        """Whether the next call draws."""
        mode = self.forced_mode
        return self.training if mode is None else mode != "eval"

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: False at a rate of 0."""
        return True

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the input."""
        return False

    def force(self, mode: Mode | None) -> None:
        """Draw or do not draw whatever `train()` and `eval()` say; None follows them again."""
        self.forced_mode = mode if mode is None else MODE.check("mode", mode)  # type: ignore[assignment]  # a word of the list
        self.stand_out()

    def stand_out(self) -> None:
        """Be seen by `nn.TransformerEncoderLayer`: its fused path skips dropout unless it finds a hook."""
        acts = self.acts_in_eval if self.forced_mode is None else self.forced_mode != "eval"
        if acts and self._hook is None:
            self._hook = self.register_forward_pre_hook(_no_operation)
        elif not acts and self._hook is not None:
            self._hook.remove()
            self._hook = None

    @property
    def has_own_hook(self) -> bool:
        """Whether one of the layer's hooks is there for that and does nothing."""
        return self._hook is not None

    def source(self, source: Source) -> Source:
        """Return where a call draws from: what was given, or else the stream of `under_key`."""
        if self.stream_key is not None and source.get("key") is None:
            source["key"] = self.stream_key
        return source

    def rate_layer(self) -> Stochastic | None:
        """Return the module whose `p` is the rate of this one, where one plain rate says all; else None."""
        return None

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that alone set a rate: no weight decay for them; see `parameter_groups`.

        They are logits of rates, and the last bias of a network that computes some from the input: pulled to
        0, they would bring a rate of their own. The weights of such a network decay as others do.
        """
        return iter(())

    @property
    def penalty_of_batch(self) -> bool:
        """Whether the penalty follows from the last batch, and so goes into its loss before `backward`."""
        return False

    def penalty(self) -> torch.Tensor | None:
        """Return what the layer adds to the loss of the whole data set per row, or None."""
        return None


def last_bias(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the bias of the last module inside that has one, or nothing.

    >>> [tuple(bias.shape) for bias in last_bias(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1), nn.Tanh()))]
    [(1,)]
    """
    biases = [getattr(part, "bias", None) for part in module.modules()]
    yield from [bias for bias in biases if isinstance(bias, nn.Parameter)][-1:]


def taken_over(old: nn.Module, kind: type[_M]) -> _M:
    """Return a module of a subclass of the old one's class, with its parameters and everything else of it."""
    new = kind.__new__(kind)
    # The parameters lie in the same table, for either of the two; children and hooks in tables of its own.
    shared = ("_parameters", "_buffers")
    new.__dict__ = {
        name: copy.copy(value) if isinstance(value, dict) and name not in shared else value
        for name, value in vars(old).items()
    }
    return new


def _no_operation(module: nn.Module, arguments: Any) -> None:
    """Do nothing: that it is there is enough."""
