"""Annealed dropout: training begins at a high rate, which falls linearly to 0."""

from __future__ import annotations

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import masks
from dropkit.core.schedule import Linear

__all__ = ["METHOD", "annealed_dropout"]


def annealed_dropout(rate: float, steps: int) -> Drop:
    """Return dropout whose rate falls linearly: rate(step) = rate max(0, 1 - step / steps).

    Args:
        rate: the probability that an entry is dropped at step 0, in [0, 1].
        steps: the number of optimizer steps after which nothing is dropped any more, at least 1.

    Raises:
        DropkitError: an argument is out of range.

    >>> [annealed_dropout(0.5, 100).at(step).rate for step in (0, 50, 100, 500)]
    [0.5, 0.25, 0.0, 0.0]
    """
    return Drop(Linear(rate, 0.0, steps))


def _sketch(key: Key) -> Array:
    return masks(key, (32,), annealed_dropout(0.5, 16), steps=16)


METHOD = Method(
    name="annealed_dropout",
    title="Annealed dropout",
    summary="Lowers the rate of dropout from a high start to zero over training, so that the whole network "
    "fits the end of it.",
    formula="rate(step) = rate max(0, 1 - step / steps); at each step dropout at that rate",
    paper=Paper(
        title="Annealed dropout training of deep networks",
        authors=("Rennie, Steven J.", "Goel, Vaibhava", "Thomas, Samuel"),
        year=2014,
        venue="IEEE Spoken Language Technology Workshop",
        url="https://research.ibm.com/publications/annealed-dropout-training-of-deep-networks",
        bibtex="""@inproceedings{rennie2014annealed,
  title     = {Annealed dropout training of deep networks},
  author    = {Rennie, Steven J. and Goel, Vaibhava and Thomas, Samuel},
  booktitle = {IEEE Spoken Language Technology Workshop},
  pages     = {159--164},
  year      = {2014}
}""",
        checked="IBM's page and two citing bibliographies for the reference, the abstract there for the fall "
        "from a high rate to 0, public code of that name for the straight line; the paper was not read",
    ),
    site="activation",
    fields=("speech", "text", "vision"),
    good_for="Networks that gain from dropout early and are held back by it late, with data enough to train "
    "at full size at the end. Give the whole length of training as `steps`, or a little less.",
    bad_for="Small data that the network learns by heart as soon as dropout ends; fine-tuning runs too short "
    "for a schedule.",
    sketch=_sketch,
    variant_of="dropout",
    evidence="Rennie et al. 2014 report significantly fewer word errors in speech recognition than dropout "
    "at a constant rate (abstract).",
    example=Example(
        shape=(16, 32),
        axes="step d",
        arguments={"rate": 0.5, "steps": 16},
        usage={
            "torch": "import dropkit\n"
            "from dropkit.torch import Stepper\n\n"
            "model = torch.nn.Sequential(\n"
            "    torch.nn.Linear(8, 8), Dropout(dropkit.linear_schedule({rate}, 0.0, 1000))\n"
            ")\n"
            "schedule = Stepper(model)\n"
            "schedule.step()  # after each optimizer.step()"
        },
    ),
    aliases=("dropout_annealing",),
    layers={"torch": "Dropout", "keras": "Dropout"},
)
