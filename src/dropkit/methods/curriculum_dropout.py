"""Curriculum dropout: training begins without dropout, whose rate rises to its full value."""

from __future__ import annotations

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import masks
from dropkit.core.schedule import Curriculum

__all__ = ["METHOD", "curriculum_dropout"]


def curriculum_dropout(rate: float, gamma: float) -> Drop:
    """Return dropout whose rate rises from 0: rate(step) = rate (1 - exp(-gamma step)).

    The paper (Morerio et al. 2017) writes the probability of keeping: (1 - q) exp(-gamma step) + q, where
    q = 1 - rate.

    Args:
        rate: the probability that an entry is dropped in the end, in [0, 1].
        gamma: how fast it gets there, a number above 0: 1e-3 for MNIST and 1e-4 for double MNIST in the
            authors' configurations, for a final rate of 0.1 on the input, 0.25 on convolutions and 0.5 on
            linear layers. `dropkit.curriculum_schedule` takes a number of steps instead: gamma = 10 / steps.

    Raises:
        DropkitError: an argument is out of range.

    >>> [round(curriculum_dropout(0.5, 0.1).at(step).rate, 3) for step in (0, 10, 100)]
    [0.0, 0.316, 0.5]
    """
    return Drop(Curriculum(rate, gamma))


def _sketch(key: Key) -> Array:
    return masks(key, (32,), curriculum_dropout(0.5, 0.3), steps=16)


METHOD = Method(
    name="curriculum_dropout",
    title="Curriculum dropout",
    summary="Begins without dropout and raises its rate quickly at first, then ever more slowly, to its full "
    "value.",
    formula="rate(step) = rate (1 - exp(-gamma step)); at each step dropout at that rate",
    paper=Paper(
        title="Curriculum Dropout",
        authors=(
            "Morerio, Pietro",
            "Cavazza, Jacopo",
            "Volpi, Riccardo",
            "Vidal, René",
            "Murino, Vittorio",
        ),
        year=2017,
        venue="ICCV",
        url="https://arxiv.org/abs/1703.06229",
        bibtex="""@inproceedings{morerio2017curriculum,
  title     = {Curriculum Dropout},
  author    = {Morerio, Pietro and Cavazza, Jacopo and Volpi, Riccardo and Vidal, Ren{\\'e} and
               Murino, Vittorio},
  booktitle = {Proceedings of the IEEE International Conference on Computer Vision (ICCV)},
  pages     = {3544--3552},
  year      = {2017}
}""",
        checked="the conference's page and the arXiv abstract for the reference, the authors' own code "
        "(mnist/evaluate_mnist.py) for the law, its configurations for gamma: 1e-3 (MNIST) or 1e-4 (double "
        "MNIST), with p = 0.9, 0.75 and 0.5 kept in the end (input, convolutions, linear layers). That "
        "curriculum_schedule takes gamma = 10 / steps stands in none of these files",
    ),
    site="activation",
    fields=("vision", "tabular"),
    good_for="Training from scratch where dropout at its full rate slows the first epochs: the task starts "
    "easy and grows harder. It replaces a constant rate without further change.",
    bad_for="Models that underfit, which need no dropout late; very short runs, in which the rate never gets "
    "anywhere.",
    sketch=_sketch,
    variant_of="dropout",
    evidence="Morerio et al. 2017 report on seven image data sets that it often generalizes better than a "
    "constant rate and at worst as well (abstract).",
    example=Example(
        shape=(16, 32),
        axes="step d",
        arguments={"rate": 0.5, "gamma": 0.3},
        usage={
            "torch": "import dropkit\n"
            "from dropkit.torch import Stepper\n\n"
            "model = torch.nn.Sequential(\n"
            "    torch.nn.Linear(8, 8), Dropout(dropkit.curriculum_schedule({rate}, 1000))\n"
            ")\n"
            "schedule = Stepper(model)\n"
            "schedule.step()  # after each optimizer.step()"
        },
    ),
    aliases=("scheduled_dropout",),
    layers={"torch": "Dropout", "keras": "Dropout"},
)
