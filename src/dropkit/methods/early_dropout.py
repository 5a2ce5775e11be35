"""Early dropout: only the first part of training has dropout, against underfitting."""

from __future__ import annotations

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import masks
from dropkit.core.schedule import Early

__all__ = ["METHOD", "early_dropout"]


def early_dropout(rate: float, steps: int) -> Drop:
    """Return dropout in the first steps only: rate(step) = rate while step < steps, then 0.

    The authors' commands lower the rate linearly inside of these steps: that is `annealed_dropout` with the
    same arguments.

    Args:
        rate: the probability that an entry is dropped in the first steps, in [0, 1].
        steps: the number of optimizer steps with dropout, at least 1.

    Raises:
        DropkitError: an argument is out of range.

    >>> [early_dropout(0.1, 50).at(step).rate for step in (0, 49, 50)]
    [0.1, 0.1, 0.0]
    """
    return Drop(Early(rate, steps))


def _sketch(key: Key) -> Array:
    return masks(key, (32,), early_dropout(0.5, 4), steps=16)


METHOD = Method(
    name="early_dropout",
    title="Early dropout",
    summary="Drops in the first part of training alone, where it makes the gradients of mini-batches agree "
    "more.",
    formula="rate(step) = rate while step < steps, else 0; at each step dropout at that rate",
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
    good_for="Models that underfit: large data, small networks, few passes. The authors' commands take a "
    "rate of 0.1 in the first 50 of 300 epochs, falling linearly.",
    bad_for="Models that overfit, for which `late_dropout` or a constant rate is meant; language models in "
    "one pass, for which a later study found that early dropout costs accuracy too.",
    sketch=_sketch,
    variant_of="dropout",
    evidence="For: ImageNet accuracy of ViT-T 74.3 % against 73.9 % without dropout and 67.9 % with dropout "
    "all along (README of facebookresearch/dropout). Against: arXiv 2505.24788 finds that it hurts "
    "single-epoch language model pretraining.",
    example=Example(
        shape=(16, 32),
        axes="step d",
        arguments={"rate": 0.5, "steps": 4},
        usage={
            "torch": "import dropkit\n"
            "from dropkit.torch import Stepper\n\n"
            "model = torch.nn.Sequential(\n"
            "    torch.nn.Linear(8, 8), Dropout(dropkit.early_schedule({rate}, 1000))\n"
            ")\n"
            "schedule = Stepper(model)\n"
            "schedule.step()  # after each optimizer.step()"
        },
    ),
    aliases=("early_schedule",),
    layers={"torch": "Dropout", "keras": "Dropout"},
)
