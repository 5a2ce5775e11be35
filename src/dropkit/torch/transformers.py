"""Schedules, max-norm and penalties in transformers' Trainer: callbacks that act once an optimizer step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from dropkit.core.check import try_import
from dropkit.torch.max_norm import RADIUS, max_norm_
from dropkit.torch.penalties import PenaltyHook
from dropkit.torch.schedule import Stepper

__all__ = ["MaxNormCallback", "PenaltyCallback", "ScheduleCallback"]

_Callback: Any = try_import("transformers", extra="transformers").TrainerCallback


class ScheduleCallback(_Callback):  # type: ignore[misc]  # an optional base is not known to mypy
    """Keeps the schedules of a model's dropout at the step of a `transformers.Trainer`.

    The step is `state.global_step`, which `resume_from_checkpoint` brings back: one for each update, however
    many batches `gradient_accumulation_steps` puts into it. A model without a schedule is refused when
    training begins. Use: `transformers.Trainer(model, ..., callbacks=[ScheduleCallback()])`.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: nn.Module, **rest: Any) -> None:
        """Bring the layers to the step where training begins."""
        self._stepper = Stepper(model, step=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Follow the optimizer."""
        self._stepper.move_to(state.global_step)


class MaxNormCallback(_Callback):  # type: ignore[misc]  # as above
    """Applies `dropkit.torch.max_norm_` after each update of a `transformers.Trainer`.

    Args:
        c: the radius, above 0.
        skip: names of submodules that are left alone.

    Raises:
        DropkitError: c is not above 0.
    """

    def __init__(self, c: float, skip: Iterable[str] = ()) -> None:
        self.c, self.skip = RADIUS.check("c", c), tuple(skip)

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: nn.Module, **rest: Any) -> None:
        """Clip what training begins from."""
        max_norm_(model, self.c, skip=self.skip)

    def on_step_end(self, args: Any, state: Any, control: Any, *, model: nn.Module, **rest: Any) -> None:
        """Clip what the update changed."""
        max_norm_(model, self.c, skip=self.skip)


class PenaltyCallback(_Callback):  # type: ignore[misc]  # as above
    """Adds the penalty of learned rates before each update of a `transformers.Trainer`.

    The trainer clips gradients before that. A model without a learned rate is refused when training begins.

    Args:
        weight: the factor of `dropkit.torch.penalty`, at least 0.
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: nn.Module, **rest: Any) -> None:
        """Look for the layers that learn."""
        self._hook = PenaltyHook(model, self.weight)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Add the gradient of the penalty."""
        self._hook.add()
