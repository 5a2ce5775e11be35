"""Dropout distillation: a student learns to predict what a network with dropout says on average."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import TRAITS, Example, Method, Paper
from dropkit.core.reference import passes

__all__ = ["METHOD", "gap"]


def gap(p: Any, log_q: Any, xp: Any = np) -> Any:
    """Return KL(p || q) of the classes along the last axis: a number a row.

    The mean of it over the predictions p of all dropout masks is least where q is their mean, whatever the
    student is. A class with probability 0 under p adds nothing.

    Args:
        p: probabilities of the teacher, of shape (..., classes).
        log_q: logarithms of those of the student, of the same shape.
        xp: the module of the arrays, numpy or torch.

    >>> round(float(gap(np.array([0.5, 0.5, 0.0]), np.log([0.25, 0.5, 0.25]))), 4)
    0.3466
    """
    some = p > 0
    return (p * (xp.log(xp.where(some, p, 1.0)) - xp.where(some, log_q, 0.0))).sum(-1)


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    return passes(key, 4, (8, 32), Drop(0.5))


METHOD = Method(
    name="dropout_distillation",
    title="Dropout distillation",
    summary="Trains a student to predict in one pass what a network with dropout predicts on average over "
    "its masks.",
    formula="p = mean over K of the teacher's predictions under masks of their own; loss = mean over inputs "
    "of KL(p || student), or of the squared difference; no labels are needed",
    paper=Paper(
        title="Dropout distillation",
        authors=("Rota Bulò, Samuel", "Porzi, Lorenzo", "Kontschieder, Peter"),
        year=2016,
        venue="ICML",
        url="https://proceedings.mlr.press/v48/bulo16.html",
        bibtex="""@inproceedings{rotabulo2016dropout,
  title     = {Dropout distillation},
  author    = {Rota Bul{\\`o}, Samuel and Porzi, Lorenzo and Kontschieder, Peter},
  booktitle = {Proceedings of The 33rd International Conference on Machine Learning},
  volume    = {48},
  pages     = {99--107},
  year      = {2016}
}""",
        checked="the proceedings' page and first page for the reference and the aim; ICML's published "
        "reviews for the algorithm in words. The divergences of the paper could not be read: that the mean "
        "is the best student holds for any Bregman divergence, and is tested here for KL and squares",
    ),
    site="output",
    fields=("vision", "text", "tabular"),
    good_for="Networks whose Monte Carlo mean is better than their plain evaluation, but that must answer in "
    "one pass. Begin the student with the weights of the teacher.",
    bad_for="Networks for which both agree already: look at that first. The spread between the passes is "
    "lost, so uncertainty needs another method.",
    sketch=_sketch,
    example=Example(
        shape=(4, 8, 32),
        axes="pass b d",
        arguments={"rate": 0.5},
        usage={
            "torch": "import copy\n"
            "import dropkit\n"
            "from dropkit.torch import Dropout\n\n"
            "teacher = torch.nn.Sequential(Dropout(0.5), torch.nn.Linear(32, 4)).eval()\n"
            "student = copy.deepcopy(teacher).train()\n"
            'with dropkit.mode(student, "eval"):  # it learns to answer without dropout\n'
            "    loss = dropout_distillation(student, teacher, torch.randn(8, 32), samples=4)\n"
            "loss.backward()"
        },
    ),
    evidence="Rota Bulò et al. 2016 report consistent gains over scaled evaluation on standard sets "
    "(abstract); a reviewer at ICML notes that the student rarely reaches the Monte Carlo mean itself.",
    aliases=("distilled_dropout",),
    layers={"torch": "dropout_distillation"},
    waived=dict.fromkeys(
        TRAITS, "Rota Bulò et al. 2016 train a student; what is dropped is up to the teacher"
    ),
)
