import itertools

import numpy as np
import pytest

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.reference import mask
from dropkit.methods.dropout_distillation import METHOD, gap

X = np.array([0.5, -1.0, 2.0])
WEIGHTS = np.array([[1.0, 2.0, -1.0], [0.3, 0.1, 0.7], [-1.0, 0.5, 0.2]])
MASKS = np.array(list(itertools.product([0.0, 2.0], repeat=3)))  # of rate 0.5: all are equally likely
LOGITS = MASKS * X @ WEIGHTS.T
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


def test_over_all_masks_the_mean_is_the_best_student() -> None:
    """The mean gap to any student is that to the mean prediction, and a number that no student changes."""
    rest = gap(P, np.log(P.mean(0))).mean()
    for q in (P[0], P[3], np.full(3, 1 / 3), P.mean(0)):
        assert gap(P, np.log(q)).mean() == pytest.approx(gap(P.mean(0), np.log(q)) + rest, rel=1e-12)
    assert gap(P.mean(0), np.log(P.mean(0))) == pytest.approx(0, abs=1e-15)


def test_the_mean_is_not_what_evaluation_says() -> None:
    plain = np.exp(WEIGHTS @ X) / np.exp(WEIGHTS @ X).sum()
    assert gap(P.mean(0), np.log(plain)) > 0.01


def test_a_class_that_the_teacher_excludes_adds_nothing() -> None:
    with np.errstate(divide="ignore"):
        assert gap(np.array([0.5, 0.5, 0.0]), np.log([0.5, 0.5, 0.0])) == 0


def test_the_picture_shows_the_masks_of_the_passes() -> None:
    drawn = METHOD.picture(3)
    for i, each in enumerate(drawn):
        assert np.array_equal(each, mask(Key(3).fold("pass", i), each.shape, Drop(0.5)))
