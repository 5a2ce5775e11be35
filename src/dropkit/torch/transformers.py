"""Schedules, max-norm, penalties and losses in transformers' Trainer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError, try_import
from dropkit.torch.extra import Extra, check_extra, term
from dropkit.torch.max_norm import RADIUS, max_norm_
from dropkit.torch.penalties import PenaltyHook
from dropkit.torch.schedule import Stepper
from dropkit.torch.two_passes import WEIGHT, Distance, two_passes

__all__ = ["MaxNormCallback", "PenaltyCallback", "ScheduleCallback", "two_passes_trainer", "with_loss"]

_Callback: Any = try_import("transformers", extra="transformers").TrainerCallback
_IGNORED = -100
"""The label of a place that no loss of transformers counts."""


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


def two_passes_trainer(distance: Distance, weight: float = 1.0, base: Any = None) -> Any:
    """Return a `transformers.Trainer` that runs each batch twice and adds how far the logits lie apart.

    The loss becomes (loss + loss') / 2 + weight mean(distance(logits, logits')): R-Drop with `symmetric_kl`,
    fraternal dropout with `squared_difference`. Where the labels have one number for each row of the logits,
    rows that are labelled -100 do not count in the mean. Evaluation runs once.

    Args:
        distance: how far two outputs lie apart, a number a row, e.g. `dropkit.torch.symmetric_kl`.
        weight: the factor of the distance, at least 0.
        base: the class to extend; by default `transformers.Trainer`.

    Raises:
        DropkitError: the weight is out of range; at the first step: the model returns no logits.

    >>> from dropkit.torch import symmetric_kl
    >>> two_passes_trainer(symmetric_kl, 1.0).__name__
    'TwoPassesTrainer'
    """
    weight = WEIGHT.check("weight", weight)
    parent: Any = base or try_import("transformers", extra="transformers").Trainer

    class TwoPassesTrainer(parent):  # type: ignore[misc]  # as above
        def compute_loss(
            self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **rest: Any
        ) -> Any:
            if not model.training:
                return super().compute_loss(model, inputs, return_outputs=return_outputs, **rest)
            found: list[Any] = []

            def run() -> tuple[torch.Tensor, torch.Tensor]:
                # The trainer takes the labels out of what it is given.
                loss, outputs = super(TwoPassesTrainer, self).compute_loss(
                    model, dict(inputs), return_outputs=True, **rest
                )
                found.append(outputs)
                return loss, _logits(outputs)

            share = weight / _micro_batches(self, rest)
            loss = two_passes(model, run, _counted(distance, inputs.get("labels")), share)
            return (loss, found[0]) if return_outputs else loss

    return TwoPassesTrainer


def with_loss(extra: Extra, weight: float = 1.0, base: Any = None) -> Any:
    """Return a `transformers.Trainer` that adds a term to the loss of each batch.

    The loss becomes loss + weight extra(model, inputs). The term is computed behind the pass of the batch, so
    that it may read what the pass has left: `lambda model, inputs: penalty(model)` adds a penalty that
    follows from the batch, as those of `InformationDropout` and `ContextualDropout` do. Likewise for
    `ct_gan`, `grand_consistency`, `jensen_shannon` and `dropout_distillation`. Evaluation goes without it.

    Args:
        extra: takes the model and the inputs by name, labels too, and returns a number as a tensor.
        weight: the factor of the term, at least 0.
        base: the class to extend; by default `transformers.Trainer`.

    Raises:
        DropkitError: the weight is out of range or `extra` cannot be called; at the first step: the term is
            not one number.

    >>> from dropkit.torch import penalty
    >>> with_loss(lambda model, inputs: penalty(model), 0.1).__name__
    'LossTrainer'
    """
    extra, weight = check_extra(extra), WEIGHT.check("weight", weight)
    parent: Any = base or try_import("transformers", extra="transformers").Trainer

    class LossTrainer(parent):  # type: ignore[misc]  # as above
        def compute_loss(
            self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **rest: Any
        ) -> Any:
            # The trainer takes the labels out of what it is given.
            loss, outputs = super().compute_loss(model, dict(inputs), return_outputs=True, **rest)
            if model.training:
                loss = loss + weight / _micro_batches(self, rest) * term(extra, model, inputs)
            return (loss, outputs) if return_outputs else loss

    return LossTrainer


def _logits(outputs: Any) -> Any:
    if not isinstance(outputs, dict) or "logits" not in outputs:
        found = sorted(outputs) if isinstance(outputs, dict) else type(outputs).__name__
        raise DropkitError(
            "model", "returns a dict with 'logits'", found, "return {'loss': ..., 'logits': ...}"
        )
    return outputs["logits"]


def _counted(distance: Distance, labels: Any) -> Distance:
    def rows(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        each = distance(p, q)
        if not isinstance(labels, torch.Tensor) or labels.shape != each.shape or labels.is_floating_point():
            return each
        return each[labels != _IGNORED]

    return rows


def _micro_batches(trainer: Any, rest: dict[str, Any]) -> int:
    """By how many the distance is divided: the trainer itself divides a loss that is a mean of one batch."""
    scaled: bool | None = trainer.loss_is_scaled_for_ga
    if scaled is None:
        counted = trainer.model_accepts_loss_kwargs and rest.get("num_items_in_batch") is not None
        scaled = counted or trainer.compute_loss_func is not None
    return int(trainer.current_gradient_accumulation_steps) if scaled else 1
