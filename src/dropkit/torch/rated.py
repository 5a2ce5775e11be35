"""What methods that decide by themselves at one rate have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from dropkit.core.check import RATE
from dropkit.core.schedule import Schedule
from dropkit.torch.functional import number
from dropkit.torch.stochastic import Stochastic

__all__ = ["Rated"]


class Rated(Stochastic):
    """A module that draws at one rate, which may be changed between calls: `layer.p = 0.2`.

    A schedule in its place begins at step 0 and is moved by `dropkit.torch.Stepper`. Its step is a buffer, so
    a state_dict resumes it. A compiled model is compiled again where the rate has changed.

    Args:
        p: the rate, in [0, 1], or a schedule.

    Raises:
        DropkitError: p lies outside [0, 1].

    >>> import dropkit
    >>> layer = Rated(0.1)
    >>> layer.p = dropkit.linear_schedule(0.0, 0.4, 100)
    >>> dropkit.torch.Stepper(layer).move_to(50)
    >>> layer
    Rated(p=0.2)
    """

    schedule: Schedule | None
    step: Tensor | None

    def __init__(self, p: float | Schedule = 0.0) -> None:
        super().__init__()
        self.take_rate(p)  # an assignment would make a child of what is a module

    @property
    def p(self) -> float:
        """The rate, now."""
        return self._p

    @p.setter
    def p(self, p: Any) -> None:
        self.take_rate(p)

    def take_rate(self, p: Any) -> None:
        """Take another rate, a number or a schedule, which begins at step 0."""
        # A number in a tensor is taken too, as in every layer.
        schedule = p if isinstance(p, Schedule) else None
        rate = schedule(0) if schedule else RATE.check("p", number(p))
        self.schedule = schedule
        if "step" not in self._buffers:
            self.register_buffer("step", None)
        self.step = torch.zeros((), dtype=torch.int64, device=self._place()) if schedule else None
        self._p = rate
        self.rate_moved()

    @property
    def scheduled(self) -> bool:
        """Whether the rate is a schedule."""
        return self.schedule is not None

    def move_to(self, step: int) -> None:
        """Bring the schedule to a step."""
        assert self.schedule is not None
        assert self.step is not None
        self._p = self.schedule(step)
        self.step.fill_(step)
        self.rate_moved()

    def rate_moved(self) -> None:
        """Do what follows from another rate: for subclasses that keep more than the number."""

    def rate_layer(self) -> Stochastic | None:
        """Return what holds the rate: the module itself."""
        return self

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: False at a rate of 0."""
        return self.p > 0

    def extra_repr(self) -> str:
        """Show the rate and what forces the mode."""
        return f"p={self.p}" + (f", mode={self.forced_mode!r}" if self.forced_mode else "")

    def _place(self) -> torch.device:
        return next((parameter.device for parameter in self.parameters()), torch.get_default_device())

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        if self.step is not None:
            self.move_to(int(self.step))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        unborn = self.step is not None and self.step.is_meta
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # it is untyped
        if unborn and self.step is not None and not self.step.is_meta:
            self.move_to(0)  # memory that `to_empty` has just given holds no step
        return self
