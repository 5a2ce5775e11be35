"""The consistency term of CT-GAN: a critic must say the same of a real sample under two dropout masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import TRAITS, Example, Method, Paper
from dropkit.core.reference import passes

__all__ = ["METHOD", "consistency"]


def consistency(scores: tuple[Any, Any], features: tuple[Any, Any] | None, factor: Any, bound: Any) -> Any:
    """Return max(0, (D' - D'')^2 + factor mean((F' - F'')^2) - bound): a number a row.

    Args:
        scores: of the two passes, a number a row.
        features: of the layer before them, of shape (rows, features), or None.
        factor: of the difference between the features.
        bound: what costs nothing.

    >>> one, other = np.array([1.0]), np.array([3.0])
    >>> consistency((one, other), None, 0.1, 1.0).tolist()
    [3.0]
    """
    gap = (scores[0] - scores[1]) ** 2 - bound
    if features is not None:
        gap = gap + factor * ((features[0] - features[1]) ** 2).mean(-1)
    return gap * (gap > 0)


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    return passes(key, 2, (8, 32), Drop(0.5))


METHOD = Method(
    name="ct_gan",
    title="CT-GAN consistency term",
    summary="Sends real samples through a critic with dropout twice and adds to its loss how far the two "
    "scores, and the features before them, lie apart.",
    formula="D', D'' and F', F'' = scores and last features of two passes under two masks; term = weight "
    "mean(max(0, (D' - D'')^2 + 0.1 mean((F' - F'')^2) - M'))",
    paper=Paper(
        title="Improving the Improved Training of Wasserstein GANs: A Consistency Term and Its Dual Effect",
        authors=("Wei, Xiang", "Gong, Boqing", "Liu, Zixia", "Lu, Wei", "Wang, Liqiang"),
        year=2018,
        venue="ICLR",
        url="https://arxiv.org/abs/1803.01541",
        bibtex="""@inproceedings{wei2018improving,
  title     = {Improving the Improved Training of Wasserstein GANs: A Consistency Term and Its Dual Effect},
  author    = {Wei, Xiang and Gong, Boqing and Liu, Zixia and Lu, Wei and Wang, Liqiang},
  booktitle = {International Conference on Learning Representations},
  year      = {2018}
}""",
        checked="the abstract and pages that list the authors for the reference; the authors' own code "
        "(biuyq/CT-GAN, CT_gan_cifar_resnet.py) for the squares, the factor 0.1, the clamp, weight 2, M' = 0 "
        "and the rates 0.2, 0.5, 0.5. In that code M' is taken off after the weight; here before it",
    ),
    site="output",
    fields=("gans",),
    good_for="Critics of Wasserstein GANs beside the gradient penalty, which does not look at the "
    "neighbourhood of real samples; little data. The authors drop 0.2 and then 0.5 in the critic.",
    bad_for="Critics without dropout, whose two passes are alike; tight budgets, as the critic runs twice on "
    "real samples; tables, for which another method is called CTGAN.",
    sketch=_sketch,
    example=Example(
        shape=(2, 8, 32),
        axes="pass b d",
        arguments={"rate": 0.5},
        usage={
            "torch": "from dropkit.torch import Dropout\n\n"
            "class Critic(torch.nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        layers = torch.nn.Linear(32, 16), torch.nn.ReLU(), Dropout(0.5)\n"
            "        self.body = torch.nn.Sequential(*layers)\n"
            "        self.last = torch.nn.Linear(16, 1)\n\n"
            "    def forward(self, x):\n"
            "        features = self.body(x)\n"
            "        return self.last(features), features\n\n\n"
            "term = ct_gan(Critic(), torch.randn(8, 32))"
        },
    ),
    evidence="Wei et al. 2018 report an inception score above 5.0 with 1,000 images of CIFAR-10, and more "
    "than 90 % accuracy with 4,000 labels (abstract).",
    aliases=("consistency_term",),
    old_names={"CTGAN": "a generator of tables (Xu et al. 2019), which has nothing to do with this term"},
    layers={"torch": "ct_gan"},
    waived=dict.fromkeys(
        TRAITS, "Wei et al. 2018 change the loss of the critic alone; what is dropped is up to the critic"
    ),
)
