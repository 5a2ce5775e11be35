"""What networks give for rows in eval mode, and how good that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import REGRESSION
from dropkit.report.messages import Note
from dropkit.report.record import Scores

__all__ = ["DivergedError", "Target", "fitted", "outputs_of", "score", "score_rows"]

Doubles = npt.NDArray[np.float64]
_CHUNK = 2048
_LEAST_VARIANCE = 1e-12
_LARGEST = 1e100


class DivergedError(ArithmeticError):
    """A loss or a score became NaN or infinite, as its note says."""

    def __init__(self, note: Note) -> None:
        super().__init__(note)
        self.note = note


@dataclass(frozen=True)
class Target:
    """How outputs of a regression become values: unit x output + centre, with the variance of its error.

    `variance` is in squared units of the target. A classification needs none of these.
    """

    centre: float = 0.0
    unit: float = 1.0
    variance: float = 1.0


@torch.no_grad()
def outputs_of(models: Sequence[nn.Module], x: Tensor, task: str) -> Tensor:
    """Outputs (rows, n_outputs) in eval mode, in chunks.

    Those of several models together are the log of their mean probability, or their mean for a regression.
    """
    each = [_outputs(model, x) for model in models]
    if len(each) == 1:
        return each[0]
    stacked = torch.stack(each).double()
    if task == REGRESSION:
        return stacked.mean(0).float()
    return (stacked.log_softmax(2).logsumexp(0) - math.log(len(each))).float()


def _outputs(model: nn.Module, x: Tensor) -> Tensor:
    model.eval()
    # A part of the data set is a view of it, and some models change what they are given.
    return torch.cat([model(chunk.clone()) for chunk in torch.split(x, _CHUNK)])


def fitted(target: Target, outputs: Tensor, y: npt.NDArray[Any]) -> Target:
    """The target with the mean squared error of these rows as its variance."""
    variance = float(np.mean((_values(outputs, target) - y) ** 2))
    return Target(target.centre, target.unit, max(variance, _LEAST_VARIANCE * target.unit**2))


def score_rows(
    task: str,
    outputs: Tensor,
    y: npt.NDArray[Any],
    target: Target,
    metric: Callable[..., Any] | None = None,
) -> tuple[Doubles, Doubles]:
    """The error and the NLL of every row, in float64.

    Args:
        task: `classification` or `regression`.
        outputs: (rows, n_outputs), as `outputs_of` gives them.
        y: class numbers, or values in units of the target.
        target: of a regression, with the variance of the Gaussian likelihood.
        metric: the user's own, in place of the error.

    Returns:
        errors: 0 or 1 for classes, squared errors for a regression, values of an own metric; where that gives
            one number for all rows, it stands in each. nlls: in nats; for a regression the Gaussian's.
    """
    errors, nlls = _rows(task, outputs, y, target)
    if metric is None:
        return errors, nlls
    return np.broadcast_to(_measured(metric, y, _shown(task, outputs, target)), len(y)), nlls


def _rows(task: str, outputs: Tensor, y: npt.NDArray[Any], target: Target) -> tuple[Doubles, Doubles]:
    if task == REGRESSION:
        squares: Doubles = (_values(outputs, target) - y) ** 2
        return squares, (math.log(2 * math.pi * target.variance) + squares / target.variance) / 2
    classes = torch.from_numpy(y)
    wrong = (outputs.argmax(1) != classes).double()
    return wrong.numpy(), F.cross_entropy(outputs.double(), classes, reduction="none").numpy()


def score(
    task: str,
    outputs: Tensor,
    y: npt.NDArray[Any],
    target: Target,
    metric: Callable[..., Any] | None = None,
) -> Scores:
    """Mean error (its root for a regression) and mean NLL; arguments as for `score_rows`.

    Raises:
        DivergedError: one of them is not finite.
    """
    errors, nlls = _rows(task, outputs, y, target)
    error = float(errors.mean())
    if metric is not None:
        error = float(_measured(metric, y, _shown(task, outputs, target)).mean())
    elif task == REGRESSION:
        error = math.sqrt(error)
    scores = Scores(error, float(nlls.mean()))
    if not (math.isfinite(scores.error) and math.isfinite(scores.nll)):
        raise DivergedError(Note("failure.score"))
    return scores


def _shown(task: str, outputs: Tensor, target: Target) -> Doubles:
    """What a metric of the user's sees: probabilities, or values in units of the target."""
    return _values(outputs, target) if task == REGRESSION else outputs.double().softmax(1).numpy()


def _values(outputs: Tensor, target: Target) -> Doubles:
    values: Doubles = outputs.double().squeeze(1).numpy() * target.unit + target.centre
    return values


def _measured(metric: Callable[..., Any], y: npt.NDArray[Any], shown: Doubles) -> Doubles:
    found = np.asarray(metric(y, shown), dtype=np.float64)
    if found.shape not in ((), (len(y),)):
        mend = "write a function of (y, outputs) that returns a number, or one a row"
        raise DropkitError(
            "metric", f"must give one number, or one for each of {len(y)} rows", found.shape, mend
        )
    largest = np.abs(found).max()
    if not math.isfinite(largest) and np.isfinite(shown).all():
        mend = "give a finite number wherever outputs are finite, also for few rows or one class"
        raise DropkitError("metric", "must give finite numbers", float(largest), mend)
    if _LARGEST < largest < math.inf:
        rule = f"must stay below {_LARGEST:g}, so that squares of it can be summed"
        raise DropkitError("metric", rule, float(largest), "give it in a larger unit")
    return found
