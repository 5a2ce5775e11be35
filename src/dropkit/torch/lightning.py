"""Schedules, max-norm, penalties and losses in Lightning, as callbacks."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError, try_import
from dropkit.torch.extra import Extra, check_extra, term
from dropkit.torch.max_norm import RADIUS, max_norm_
from dropkit.torch.penalties import PenaltyHook
from dropkit.torch.schedule import Stepper
from dropkit.torch.two_passes import WEIGHT, Distance, two_passes

__all__ = ["LossCallback", "MaxNormCallback", "PenaltyCallback", "ScheduleCallback", "TwoPassesCallback"]

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


class _StepCallback(_Callback, ABC):  # type: ignore[misc]  # as above
    """Puts a step of its own before `training_step`, until training ends or breaks off."""

    alternative: str

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put the own step before that of the module."""
        if stage != "fit":
            return
        if not pl_module.automatic_optimization:
            rule, mend = "lets Lightning optimize", f"{self.alternative} in training_step itself"
            raise DropkitError("pl_module", rule, "automatic_optimization=False", mend)
        pl_module.training_step = functools.partial(self._step, pl_module, pl_module.training_step)

    def teardown(self, trainer: Any, pl_module: nn.Module, stage: str) -> None:
        """Give the module its own step back."""
        vars(pl_module).pop("training_step", None)

    def on_exception(self, trainer: Any, pl_module: nn.Module, exception: BaseException) -> None:
        """Give the module its own step back, too, where training breaks off."""
        self.teardown(trainer, pl_module, "fit")

    @abstractmethod
    def _step(self, module: nn.Module, step: Callable[..., Any], *batch: Any, **rest: Any) -> Any: ...


class LossCallback(_StepCallback):
    """Adds a term to the loss that `training_step` returns, for each batch.

    The loss becomes loss + weight extra(module, batch). The term is computed behind the step, so that it may
    read what the step has left: `lambda module, batch: penalty(module)` adds a penalty that follows from the
    batch, as those of `InformationDropout` and `ContextualDropout` do. Likewise for `ct_gan`,
    `grand_consistency`, `jensen_shannon` and `dropout_distillation`. Until training ends the method of the
    module is replaced by one that adds the term.

    Args:
        extra: takes the module and the batch, and returns a number as a tensor.
        weight: the factor of the term, at least 0.

    Raises:
        DropkitError: the weight is out of range or `extra` cannot be called. When training starts: the module
            optimizes by hand; at the first step: there is no loss, or the term is not one number.

    >>> import lightning.pytorch as pl
    >>> from dropkit.torch import penalty
    >>> callback = LossCallback(lambda module, batch: penalty(module), 0.1)
    >>> trainer = pl.Trainer(callbacks=[callback], logger=False)
    """

    alternative = "add the term to the loss"

    def __init__(self, extra: Extra, weight: float = 1.0) -> None:
        super().__init__()
        self.extra, self.weight = check_extra(extra), WEIGHT.check("weight", weight)

    def _step(self, module: nn.Module, step: Callable[..., Any], *batch: Any, **rest: Any) -> Any:
        result = step(*batch, **rest)
        if result is None:
            return None  # so a step leaves a batch out
        given = batch[0] if batch else rest.get("batch")
        if isinstance(result, torch.Tensor):
            return result + self.weight * term(self.extra, module, given)
        loss = _look(result, "loss") + self.weight * term(self.extra, module, given)
        return {**result, "loss": loss}


class TwoPassesCallback(_StepCallback):
    """Runs `training_step` twice for each batch and adds how far the outputs lie apart: R-Drop and its kin.

    The loss becomes (loss + loss') / 2 + weight mean(distance(outputs, outputs')). `training_step` returns a
    dict with "loss" and the outputs; what it logs is logged by both passes. It must not overwrite the batch.
    Until training ends the method of the module is replaced by one that calls it twice.

    Args:
        distance: how far two outputs lie apart, a number a row, e.g. `dropkit.torch.symmetric_kl`.
        weight: the factor of the distance, at least 0.
        outputs: the key under which `training_step` returns the outputs.
        mask: the key under which it returns which rows count; None where all do.

    Raises:
        DropkitError: the weight is out of range. When training starts: the module optimizes by hand; at the
            first step: a key is missing.

    >>> import lightning.pytorch as pl
    >>> from dropkit.torch import symmetric_kl
    >>> trainer = pl.Trainer(callbacks=[TwoPassesCallback(symmetric_kl, 1.0)], logger=False)
    """

    alternative = "call dropkit.torch.two_passes"

    def __init__(
        self, distance: Distance, weight: float = 1.0, outputs: str = "outputs", mask: str | None = None
    ) -> None:
        super().__init__()
        self.distance, self.weight = distance, WEIGHT.check("weight", weight)
        self.outputs, self.mask = outputs, mask

    def _step(self, module: nn.Module, step: Callable[..., Any], *batch: Any, **rest: Any) -> Any:
        results: list[dict[str, Any]] = []

        def run() -> tuple[torch.Tensor, torch.Tensor]:
            results.append(step(*batch, **rest))
            return _look(results[-1], "loss"), _look(results[-1], self.outputs)

        def distance(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
            rows = self.distance(p, q)
            return rows if self.mask is None else rows[_look(results[0], self.mask)]

        loss = two_passes(module, run, distance, self.weight)
        return {**results[0], "loss": loss}


def _look(result: Any, key: str) -> Any:
    if not isinstance(result, dict) or key not in result:
        rule = f"returns a dict with {key!r}"
        found = sorted(result) if isinstance(result, dict) else type(result).__name__
        raise DropkitError("training_step", rule, found, "return {'loss': loss, 'outputs': logits}")
    return result[key]
