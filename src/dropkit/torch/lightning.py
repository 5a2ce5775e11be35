"""Schedules, max-norm and penalties in Lightning: callbacks that act once an optimizer step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from dropkit.core.check import try_import
from dropkit.torch.max_norm import RADIUS, max_norm_
from dropkit.torch.penalties import PenaltyHook
from dropkit.torch.schedule import Stepper

__all__ = ["MaxNormCallback", "PenaltyCallback", "ScheduleCallback"]

_Callback: Any = try_import("lightning.pytorch", extra="lightning").Callback


class ScheduleCallback(_Callback):  # type: ignore[misc]  # an optional base is not known to mypy
    """Keeps the schedules of a model's dropout at the step of a `lightning.pytorch.Trainer`.

    The step is `trainer.global_step`, which a checkpoint brings back: one for each update, however many
    batches `accumulate_grad_batches` puts into it. With several optimizers it counts the steps of all. A
    model without a schedule is refused when training starts.

    >>> import lightning.pytorch as pl
    >>> trainer = pl.Trainer(callbacks=[ScheduleCallback()], logger=False)
    """

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Bring the layers to the step where training starts."""
        self._stepper = Stepper(pl_module, step=trainer.global_step)

    def on_train_batch_end(self, trainer: Any, pl_module: nn.Module, *_: Any) -> None:
        """Follow the optimizer if it took a step."""
        if self._stepper.now != trainer.global_step:
            self._stepper.move_to(trainer.global_step)


class MaxNormCallback(_Callback):  # type: ignore[misc]  # as above
    """Applies `dropkit.torch.max_norm_` after each optimizer step of a `lightning.pytorch.Trainer`.

    Args:
        c: the radius, above 0.
        skip: names of submodules of the LightningModule that are left alone.

    Raises:
        DropkitError: c is not above 0.
    """

    def __init__(self, c: float, skip: Iterable[str] = ()) -> None:
        super().__init__()
        self.c, self.skip, self._clipped_at = RADIUS.check("c", c), tuple(skip), 0

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Clip what training starts from."""
        self._clip(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: nn.Module, *_: Any) -> None:
        """Clip what the optimizer changed, if it took a step."""
        if self._clipped_at != trainer.global_step:
            self._clip(trainer, pl_module)

    def _clip(self, trainer: Any, model: nn.Module) -> None:
        max_norm_(model, self.c, skip=self.skip)
        self._clipped_at = trainer.global_step


class PenaltyCallback(_Callback):  # type: ignore[misc]  # as above
    """Adds the penalty of learned rates before each optimizer step of a `lightning.pytorch.Trainer`.

    A model without a learned rate is refused when training starts.

    Args:
        weight: the factor of `dropkit.torch.penalty`, at least 0.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Look for the layers that learn."""
        self._hook = PenaltyHook(pl_module, self.weight)

    def on_before_optimizer_step(self, trainer: Any, pl_module: nn.Module, *_: Any) -> None:
        """Add the gradient of the penalty."""
        self._hook.add()
