"""Zoneout: units of a recurrent state keep their previous value."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "zoneout"]


def zoneout(rate: Any) -> Drop:
    """Return zoneout, to be applied to the new state with the previous state as `fill`.

    Training: h = previous where dropped, new where kept. Evaluation: h = rate previous + (1 - rate) new, its
    expected value (Krueger et al. 2017). Nothing is scaled in training, hence scale="eval".

    Args:
        rate: the probability that a unit keeps its previous value, in [0, 1].

    >>> import numpy
    >>> from dropkit.core.reference import apply
    >>> apply(numpy.ones(4), zoneout(0.25), mode="eval", fill=numpy.zeros(4))
    array([0.75, 0.75, 0.75, 0.75])
    """
    return Drop(rate, scale="eval")


METHOD = Method(
    name="zoneout",
    title="Zoneout",
    summary="Lets random units of a recurrent state keep their previous value instead of setting them to "
    "zero.",
    formula="kept ~ Bernoulli(1 - rate) for each unit; training: h = kept new + (1 - kept) previous; "
    "evaluation: h = (1 - rate) new + rate previous",
    paper=Paper(
        title="Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations",
        authors=(
            "Krueger, David",
            "Maharaj, Tegan",
            "Kramár, János",
            "Pezeshki, Mohammad",
            "Ballas, Nicolas",
            "Ke, Nan Rosemary",
            "Goyal, Anirudh",
            "Bengio, Yoshua",
            "Courville, Aaron",
            "Pal, Chris",
        ),
        year=2017,
        venue="ICLR",
        url="https://arxiv.org/abs/1606.01305",
        bibtex="""@inproceedings{krueger2017zoneout,
  title     = {Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations},
  author    = {Krueger, David and Maharaj, Tegan and Kram{\\'a}r, J{\\'a}nos and Pezeshki, Mohammad and
               Ballas, Nicolas and Ke, Nan Rosemary and Goyal, Anirudh and Bengio, Yoshua and
               Courville, Aaron and Pal, Chris},
  booktitle = {International Conference on Learning Representations},
  year      = {2017},
  url       = {https://openreview.net/forum?id=rJqBEPcxe}
}""",
        checked="OpenReview's page for the reference; the authors' own code (zoneout_tensorflow.py) for the "
        "law",
    ),
    site="state",
    fields=("text", "speech"),
    good_for="Hidden and cell states of LSTM and GRU cells: information and gradients flow on through the "
    "units that keep their value. The authors' code starts with 0.05 on cells.",
    bad_for="Fused recurrent kernels that hide their steps; layers without a previous state; high rates, "
    "under which a state hardly moves.",
    describe=zoneout,
    instead="the previous state",
    example=Example(
        shape=(16, 32),
        axes="b d",
        arguments={"rate": 0.15},
        usage={
            "torch": "layer = Zoneout({rate})\n"
            "new, previous = torch.randn(2, 16, 32)\n"
            "state = layer(new, previous)"
        },
    ),
    evidence="Krueger et al. 2017 report gains across tasks, the best character-level result of its time "
    "on the Penn Treebank among them, and competitive ones on words and on permuted digits.",
    study=True,
    aliases=("zone_out",),
    old_names={
        "zoneout_prob": "the probability that a unit keeps its previous value: the rate",
    },
    layers={"torch": "Zoneout", "keras": "DropRNN"},
    waived={
        "mean": "Krueger et al. 2017, zoneout_tensorflow.py: the expected state is (1 - rate) new + rate "
        "previous, which is the eval map",
    },
)
