import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION
from dropkit.experiments.scoring import DivergedError, Target, fitted, outputs_of, score, score_rows

LOGITS = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]]))
CLASSES = np.array([0, 1, 1])


def test_rows_of_classes() -> None:
    errors, nlls = score_rows(CLASSIFICATION, LOGITS, CLASSES, Target())
    assert errors.tolist() == [0, 1, 0]
    assert nlls == pytest.approx(-np.log([0.7, 0.1, 0.4]))
    found = score(CLASSIFICATION, LOGITS, CLASSES, Target())
    assert (found.error, found.nll) == (errors.mean(), nlls.mean())


def test_rows_of_a_regression_are_in_units_of_the_target() -> None:
    outputs, y = torch.tensor([[0.0], [1.0], [-2.0]]), np.array([1010.0, 1190.0, 640.0])
    target = fitted(Target(1000.0, 200.0), outputs, y)
    errors, nlls = score_rows(REGRESSION, outputs, y, target)
    assert errors.tolist() == [100, 100, 1600]
    assert target.variance == 600
    assert nlls == pytest.approx(-stats.norm.logpdf(y, [1000, 1200, 600], math.sqrt(600)))
    assert score(REGRESSION, outputs, y, target).error == pytest.approx(math.sqrt(600))


def test_a_perfect_fit_has_a_finite_likelihood() -> None:
    outputs, y = torch.zeros(3, 1), np.full(3, 5.0)
    assert math.isfinite(score(REGRESSION, outputs, y, fitted(Target(5.0, 2.0), outputs, y)).nll)


def test_several_models_are_the_mean_of_their_probabilities() -> None:
    x = torch.eye(3)
    models = [nn.Linear(3, 4) for _ in range(3)]
    each = torch.stack([model(x).softmax(1) for model in models])
    together = outputs_of(models, x, CLASSIFICATION)
    assert together.dtype == torch.float32
    assert torch.allclose(together.exp(), each.mean(0), atol=1e-6)
    means = outputs_of(models, x, REGRESSION)
    assert torch.allclose(means, torch.stack([model(x) for model in models]).mean(0), atol=1e-6)


def test_outputs_are_those_of_eval_mode_whatever_the_number_of_rows() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.9))
    x = torch.randn(5000, 2)
    assert torch.allclose(outputs_of([model], x, CLASSIFICATION), model[0](x))


def test_an_own_metric_takes_the_place_of_the_error() -> None:
    def per_row(y: Any, shown: Any) -> Any:
        return 1 - shown[np.arange(len(y)), y]

    errors, nlls = score_rows(CLASSIFICATION, LOGITS, CLASSES, Target(), per_row)
    assert errors == pytest.approx([0.3, 0.9, 0.6])
    assert nlls == pytest.approx(-np.log([0.7, 0.1, 0.4]))
    assert score(CLASSIFICATION, LOGITS, CLASSES, Target(), per_row).error == pytest.approx(0.6)


def test_an_own_metric_may_be_one_number_for_all_rows() -> None:
    def worst(y: Any, shown: Any) -> float:
        return float(np.abs(shown - y).max())

    outputs, y, target = torch.tensor([[0.0], [1.0]]), np.array([10.0, 13.0]), Target(10.0, 2.0)
    assert score_rows(REGRESSION, outputs, y, target, worst)[0].tolist() == [1.0, 1.0]
    assert score(REGRESSION, outputs, y, target, worst).error == pytest.approx(1.0)


def test_a_metric_of_another_shape_is_refused() -> None:
    with pytest.raises(
        DropkitError, match=r"metric must give one number, or one for each of 3 rows, got \(3, 3"
    ):
        score(CLASSIFICATION, LOGITS, CLASSES, Target(), lambda y, shown: shown)


def test_a_score_that_is_no_number_is_an_error() -> None:
    with pytest.raises(DivergedError):
        score(CLASSIFICATION, LOGITS * math.nan, CLASSES, Target())


class Doubles(nn.Module):
    """Changes what it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(2)


def test_a_model_that_changes_its_input_leaves_the_data_alone() -> None:
    x = torch.ones(5, 2)
    assert torch.equal(outputs_of([Doubles()] * 2, x, REGRESSION), 2 * torch.ones(5, 2))
    assert torch.equal(x, torch.ones(5, 2))


def test_a_metric_whose_squares_cannot_be_summed_is_refused() -> None:
    with pytest.raises(DropkitError, match=r"metric must stay below 1e\+100.*got 1e\+308; give it in"):
        score(CLASSIFICATION, LOGITS, CLASSES, Target(), lambda y, p: -1e308)
