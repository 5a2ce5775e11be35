"""DroQ: dropout, then layer norm, in every hidden layer of a Q-function."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "dro_q"]


def dro_q(rate: Any) -> Drop:
    """Return the dropout of a DroQ network: that of every unit, between a linear layer and its layer norm.

    Args:
        rate: the probability that a unit is dropped, in [0, 1]; the authors take 0.0001 to 0.1.

    >>> dro_q(0.01).rate
    0.01
    """
    return Drop(rate)


METHOD = Method(
    name="dro_q",
    title="DroQ",
    summary="Puts dropout and then layer norm into every hidden layer of a small ensemble of Q-functions, in "
    "place of a large one.",
    formula="each hidden layer: ReLU(LayerNorm(dropout(W h + b))), at a low rate; the last layer is linear; "
    "the target networks drop as well. The target is the least of the two Q-functions, the policy climbs "
    "their mean",
    paper=Paper(
        title="Dropout Q-Functions for Doubly Efficient Reinforcement Learning",
        authors=(
            "Hiraoka, Takuya",
            "Imagawa, Takahisa",
            "Hashimoto, Taisei",
            "Onishi, Takashi",
            "Tsuruoka, Yoshimasa",
        ),
        year=2022,
        venue="ICLR",
        url="https://arxiv.org/abs/2110.02034",
        bibtex="""@inproceedings{hiraoka2022dropout,
  title     = {Dropout Q-Functions for Doubly Efficient Reinforcement Learning},
  author    = {Hiraoka, Takuya and Imagawa, Takahisa and Hashimoto, Taisei and Onishi, Takashi and
               Tsuruoka, Yoshimasa},
  booktitle = {International Conference on Learning Representations},
  year      = {2022},
  url       = {https://openreview.net/forum?id=xCVJMsPv3RT}
}""",
        checked="the authors' own code and its readme (TakuyaHiraoka's repository of the paper's name) for "
        "the order of the layers, the rates, the use of the two Q-functions (code/agent.py) and the "
        "reference",
    ),
    site="activation",
    fields=("rl",),
    good_for="Off-policy reinforcement learning with many updates for each step in the environment, where a "
    "large ensemble of Q-functions would be too slow. Tune the rate for each environment.",
    bad_for="Few updates for each step, where there is little to regularize; runs whose rate cannot be "
    "tuned; libraries that switch Q-functions to evaluation for their targets, which ends the dropout.",
    describe=dro_q,
    variant_of="dropout",
    example=Example(
        shape=(16, 32),
        axes="b d",
        arguments={"rate": 0.1},
        usage={
            "torch": "from dropkit.torch import dro_q\n"
            "q = dro_q(observations=8, actions=2, hidden=(32, 32), p={rate})\n"
            "assert isinstance(q[1], Dropout)\n"
            "value = q(torch.cat([torch.randn(16, 8), torch.randn(16, 2)], 1))"
        },
    ),
    evidence="Hiraoka et al. 2022 report the sample efficiency of REDQ at the cost of SAC (abstract). The "
    "readme of their code names two limits: results depend highly on the rate, and many updates a step are "
    "needed.",
    aliases=("droq", "dr_q", "dropout_q_functions"),
    old_names={
        "target_drop_rate (the authors' code)": "the rate of all Q-functions, not of the targets alone"
    },
    layers={"torch": "Dropout", "keras": "Dropout"},
)
