"""R-Drop: two passes of a batch under two masks, whose predictions must agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import TRAITS, Example, Method, Paper
from dropkit.core.reference import passes

__all__ = ["METHOD", "divergence"]


def divergence(log_p: Any, log_q: Any, xp: Any = np) -> Any:
    """Return (KL(p || q) + KL(q || p)) / 2 of the classes along the last axis: a number a row.

    It is sum (p - q) (log p - log q) / 2. A class that both exclude, whose logarithms are minus infinity,
    adds nothing.

    Args:
        log_p: logarithms of probabilities, of shape (..., classes).
        log_q: those of the other pass, of the same shape.
        xp: the module of the arrays: numpy, torch or the like.

    >>> round(float(divergence(np.log([0.5, 0.5]), np.log([0.25, 0.75]))), 4)
    0.1373
    """
    difference = xp.where(log_p == log_q, 0.0, log_p - log_q)
    return xp.sum((xp.exp(log_p) - xp.exp(log_q)) * difference, -1) / 2


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    return passes(key, 2, (8, 32), Drop(0.3))


METHOD = Method(
    name="r_drop",
    title="R-Drop",
    summary="Sends every batch through the model twice and adds to the loss how far the two predictions lie "
    "apart, as their dropout masks differ.",
    formula="p, q = predictions of two passes under two masks; loss = (loss(p) + loss(q)) / 2 + "
    "alpha (KL(p || q) + KL(q || p)) / 2",
    paper=Paper(
        title="R-Drop: Regularized Dropout for Neural Networks",
        authors=(
            "Liang, Xiaobo",
            "Wu, Lijun",
            "Li, Juntao",
            "Wang, Yue",
            "Meng, Qi",
            "Qin, Tao",
            "Chen, Wei",
            "Zhang, Min",
            "Liu, Tie-Yan",
        ),
        year=2021,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2106.14448",
        bibtex="""@inproceedings{liang2021rdrop,
  title     = {R-Drop: Regularized Dropout for Neural Networks},
  author    = {Liang, Xiaobo and Wu, Lijun and Li, Juntao and Wang, Yue and Meng, Qi and Qin, Tao and
               Chen, Wei and Zhang, Min and Liu, Tie-Yan},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021}
}""",
        checked="the abstract and a citing summary for the reference; the readme of the authors' code "
        "(dropreg/R-Drop) for the divergence. Whether the two losses are summed or averaged differs within "
        "the authors' code (its issue 6); here they are averaged, which halves the alpha of a sum",
    ),
    site="output",
    fields=("text", "vision"),
    good_for="Fine-tuning and training of classifiers, translators and language models that already use "
    "dropout: it wants no change of the model, only a second pass. Try alpha between 0.5 and 5.",
    bad_for="Runs whose time is short, as every step costs two passes; models without dropout, whose two "
    "passes are alike; regressions, whose outputs are no probabilities (there: fraternal dropout).",
    sketch=_sketch,
    example=Example(
        shape=(2, 8, 32),
        axes="pass b d",
        arguments={"rate": 0.3},
        usage={
            "torch": "model = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(32, 4))\n"
            "x, y = torch.randn(8, 32), torch.randint(4, (8,))\n"
            "loss = r_drop(model, x, y, alpha=1.0)\n"
            "loss.backward()"
        },
    ),
    evidence="Liang et al. 2021 report 30.91 BLEU on WMT14 English-German and 43.95 on English-French with a "
    "plain Transformer (abstract). In issue 12 of their code a user found a falling BLEU with it; the "
    "authors answer that rate and alpha matter much, and that training takes longer.",
    aliases=("rdrop", "regularized_dropout"),
    old_names={
        "--reg-alpha (R-Drop, fairseq)": "alpha, beside a sum of both losses or a mean: files differ",
    },
    layers={"torch": "r_drop", "keras": "RDrop"},
    waived=dict.fromkeys(
        TRAITS, "Liang et al. 2021 change the loss of training alone; what is dropped is up to the model"
    ),
)
