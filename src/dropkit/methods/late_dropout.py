"""Late dropout: dropout begins when the first part of training is over, against overfitting."""

from __future__ import annotations

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import masks
from dropkit.core.schedule import Late

__all__ = ["METHOD", "late_dropout"]


def late_dropout(rate: float, steps: int) -> Drop:
    """Return dropout in the later steps only: rate(step) = 0 while step < steps, then rate.

    Args:
        rate: the probability that an entry is dropped in the later steps, in [0, 1].
        steps: the number of optimizer steps without dropout, at least 1.

    Raises:
        DropkitError: an argument is out of range.

    >>> [late_dropout(0.1, 50).at(step).rate for step in (0, 49, 50)]
    [0.0, 0.0, 0.1]
    """
    return Drop(Late(rate, steps))


def _sketch(key: Key) -> Array:
    return masks(key, (32,), late_dropout(0.5, 4), steps=16)


METHOD = Method(
    name="late_dropout",
    title="Late dropout",
    summary="Trains without dropout at first and begins to drop when the first part of training is over.",
    formula="rate(step) = 0 while step < steps, else rate; at each step dropout at that rate",
    paper=Paper(
        title="Dropout Reduces Underfitting",
        authors=("Liu, Zhuang", "Xu, Zhiqiu", "Jin, Joseph", "Shen, Zhiqiang", "Darrell, Trevor"),
        year=2023,
        venue="ICML",
        url="https://arxiv.org/abs/2303.01500",
        bibtex="""@inproceedings{liu2023dropout,
  title     = {Dropout Reduces Underfitting},
  author    = {Liu, Zhuang and Xu, Zhiqiu and Jin, Joseph and Shen, Zhiqiang and Darrell, Trevor},
  booktitle = {Proceedings of the 40th International Conference on Machine Learning},
  volume    = {202},
  pages     = {22233--22248},
  year      = {2023}
}""",
        checked="PMLR's page for the reference; the abstract there and the commands in the authors' "
        "repository (facebookresearch/dropout) for the law",
    ),
    site="activation",
    fields=("vision", "text"),
    good_for="Models that overfit, and whose first epochs are slowed by dropout. The authors' commands begin "
    "after 50 of 300 epochs.",
    bad_for="Models that underfit; runs so short that nothing is left after the first part.",
    sketch=_sketch,
    variant_of="dropout",
    evidence="The published gains are those of stochastic depth that begins late: ViT-B 82.3 % against "
    "81.6 % on ImageNet with stochastic depth all along (README of facebookresearch/dropout).",
    example=Example(
        shape=(16, 32),
        axes="step d",
        arguments={"rate": 0.5, "steps": 4},
        usage={
            "torch": "import dropkit\n"
            "from dropkit.torch import Stepper\n\n"
            "model = torch.nn.Sequential(\n"
            "    torch.nn.Linear(8, 8), Dropout(dropkit.late_schedule({rate}, 1000))\n"
            ")\n"
            "schedule = Stepper(model)\n"
            "schedule.step()  # after each optimizer.step()"
        },
    ),
    aliases=("late_schedule",),
    layers={"torch": "Dropout", "keras": "Dropout"},
)
