"""What of training is the user's own: the loss, the optimizer, the step, the metric."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dropkit.core.check import DropkitError
from dropkit.experiments.held import held, shown, written
from dropkit.experiments.models import code_text
from dropkit.experiments.sites import fed
from dropkit.experiments.user_file import load_function, name_of, split_spec
from dropkit.report.plan import Arm

__all__ = ["PLAIN", "Batch", "Configured", "Recipe", "Step"]

Batch = tuple[Tensor, Tensor]
Step = Callable[[nn.Module, Batch, Optimizer], Any]
Piece = str | Callable[..., Any]

_MEND = {
    "loss": "write a function of (outputs, y) that returns a scalar",
    "optimizer": "write a function of (parameters, lr, weight_decay) that returns a torch.optim.Optimizer",
    "step": "write a function of (model, batch, optimizer) that trains on one batch and returns its loss",
    "metric": "write a function of (y, outputs) that returns a number, or one a row; smaller is better",
}

_UNUSED = vars(Arm("", ""))  # what every field of an arm is where nobody asks for it


@dataclass(frozen=True)
class Configured:
    """An optimizer that is made from the whole model, with settings of its own.

    An arm's learning rate scales those of all its groups, so that the first one gets it; its weight decay is
    that of every group. The baseline `as brought` changes neither.

    Args:
        make: gets the model, returns its optimizer.
    """

    make: Callable[[nn.Module], Optimizer]

    def __call__(self, model: nn.Module, arm: Arm) -> Optimizer:
        """The optimizer of a model under an arm."""
        optimizer = self.make(model)
        if arm.keeps_own and arm.learning_rate is None:
            return optimizer
        first = optimizer.param_groups[0]["lr"]
        for group in optimizer.param_groups:
            group["lr"] *= 1 if arm.learning_rate is None else arm.learning_rate / first
            group["weight_decay"] = arm.weight_decay
        return optimizer


@dataclass(frozen=True)
class Recipe:
    """The user's own pieces of training; what is None is dropkit's. Each is a callable or `FILE.py:NAME`.

    Args:
        loss: of (outputs, y), a scalar to be made small. Outputs are (rows, classes) with class numbers, or
            (rows,) with a target of mean 0 and variance 1 in the training part.
        optimizer: of (parameters, lr=, weight_decay=), such as `torch.optim.SGD`, or a `Configured`.
        step: of (model, batch, optimizer): zeroes gradients, goes forward and back, steps, returns the loss.
        metric: of (y, outputs), smaller is better: a number, or one a row. NumPy arrays: probabilities
            (rows, classes), or values (rows,) in units of the target. It takes the place of the error.
        leaves_out: fields of an arm that mean nothing here, such as `input_rate` where inputs are numbers of
            words.

    >>> Recipe(optimizer=torch.optim.SGD).refusal(Arm("a", "label smoothing", label_smoothing=0.1))
    ''
    """

    loss: Piece | None = None
    optimizer: Piece | None = None
    step: Piece | None = None
    metric: Piece | None = None
    leaves_out: tuple[str, ...] = ()

    def piece(self, name: str) -> Callable[..., Any] | None:
        """A piece by its name, loaded from its file if need be.

        Raises:
            DropkitError: it is no function, or its file has none of that name.
        """
        given = vars(self)[name]
        if isinstance(given, str):
            return load_function(name, given, _MEND[name])
        if given is not None and not callable(given):
            raise DropkitError(name, "must be a function", given, _MEND[name])
        return given  # type: ignore[no-any-return]  # looked up by name

    def check(self) -> None:
        """Load every piece, or say what is wrong with it; raises what `piece` does."""
        for name in _MEND:
            self.piece(name)

    def make_optimizer(self, model: nn.Module, arm: Arm, learning_rate: float) -> Optimizer:
        """The optimizer of a model: AdamW unless there is an own one.

        Args:
            model: whose parameters it moves.
            arm: its learning rate, if it has one, and its weight decay.
            learning_rate: where the arm has none.

        Raises:
            DropkitError: the own one is no torch.optim.Optimizer.
        """
        make = self.piece("optimizer")
        if isinstance(make, Configured):
            return _checked(make(fed(model)[1], arm))
        rate = learning_rate if arm.learning_rate is None else arm.learning_rate
        if make is None:
            return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=arm.weight_decay, fused=True)
        return _checked(make(model.parameters(), lr=rate, weight_decay=arm.weight_decay))

    def refusal(self, arm: Arm) -> str:
        """Why an arm cannot be tried with these pieces, empty where it can."""
        without = [name for name in self.leaves_out if vars(arm)[name] != _UNUSED[name]]
        if without:
            return f"{without[0]} means nothing for this model"
        if arm.label_smoothing and (self.loss or self.step):
            return "label smoothing changes the loss, which is your own"
        if arm.r_drop and self.step:
            return "R-Drop passes every batch twice, and the training step is your own"
        return ""

    def names(self) -> dict[str, str]:
        """What each piece is called, by its kind.

        >>> Recipe(loss="focal.py:loss", optimizer=torch.optim.SGD).names()
        {'loss': 'focal.py:loss', 'optimizer': 'SGD'}
        """
        return {name: _name(piece) for name in _MEND if (piece := vars(self)[name])}

    def digest(self) -> str:
        """Hash of the texts and settings of all pieces, empty where there are none.

        Of what defaults, closures and attributes hold, numbers, texts and arrays are seen, and nothing else.
        """
        texts = [f"{name} {_text(piece)}" for name in _MEND if (piece := vars(self)[name])]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] if texts else ""


PLAIN = Recipe()
"""Nothing of the user's own."""


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise DropkitError("optimizer", "must return a torch.optim.Optimizer", optimizer, _MEND["optimizer"])
    return optimizer


def _name(piece: Any) -> str:
    if isinstance(piece, str):
        return piece
    while isinstance(piece, Configured | functools.partial):
        piece = piece.make if isinstance(piece, Configured) else piece.func
    return name_of(piece, type(piece).__name__)


def _text(piece: Piece) -> str:
    if isinstance(piece, str):
        path, name = split_spec(piece)
        return name + path.read_text(encoding="utf-8", errors="replace")
    if isinstance(piece, Configured):
        return _text(piece.make)
    if isinstance(piece, functools.partial):
        return f"{written(piece.args, shown)} {written(piece.keywords, shown)} {_text(piece.func)}"
    if isinstance(piece, nn.Module):
        return _settings(piece) + code_text(type(piece).forward)
    name = getattr(piece, "__qualname__", type(piece).__qualname__)
    return name + (code_text(piece) or code_text(type(piece))) + held(piece)


def _settings(module: nn.Module) -> str:
    """What a loss of torch's was made with: its repr does not say all."""
    plain = sorted((name, value) for name, value in vars(module).items() if not name.startswith("_"))
    values = [(name, value.tolist()) for name, value in module.state_dict().items()]
    return f"{type(module).__qualname__} {plain} {values}"
