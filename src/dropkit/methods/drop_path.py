"""Drop path, or stochastic depth: whole residual branches are dropped."""

from __future__ import annotations

from typing import Any, Literal

from dropkit.core.check import OneOf
from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "drop_path"]

_PATTERNS = {"sample": "b ... -> b", "batch": "... ->"}
_PER = OneOf(tuple(_PATTERNS))


def drop_path(rate: Any, per: Literal["sample", "batch"] = "sample", scale_by_keep: bool = True) -> Drop:
    """Return drop path for the output of a residual branch: y = x + branch(x) kept / (1 - rate).

    The paper (Huang et al. 2016) draws one coin for the whole mini-batch and multiplies the branch by
    (1 - rate) at test time. One coin a sample and inverted scaling are what later networks use. Let the rate
    grow with depth: `dropkit.depth_rates`.

    Args:
        rate: the probability that the branch is dropped, in [0, 1].
        per: `"sample"` for one coin a sample, `"batch"` for one coin in all.
        scale_by_keep: whether a kept branch grows by 1 / (1 - rate). If not, nothing is scaled at evaluation
            either.

    Raises:
        DropkitError: `per` is neither word.

    >>> drop_path(0.1).groups.pattern
    'b ... -> b'
    """
    return Drop(rate, _PATTERNS[_PER.check("per", per)], scale="train" if scale_by_keep else "none")


METHOD = Method(
    name="drop_path",
    title="Stochastic depth (drop path)",
    summary="Drops whole residual branches, so that a deep network trains as a mixture of shallower ones.",
    formula="kept ~ Bernoulli(1 - rate) for each sample (or once for the batch); "
    "y = x + branch(x) kept / (1 - rate)",
    paper=Paper(
        title="Deep Networks with Stochastic Depth",
        authors=("Huang, Gao", "Sun, Yu", "Liu, Zhuang", "Sedra, Daniel", "Weinberger, Kilian Q."),
        year=2016,
        venue="ECCV",
        url="https://arxiv.org/abs/1603.09382",
        bibtex="""@inproceedings{huang2016deep,
  title     = {Deep Networks with Stochastic Depth},
  author    = {Huang, Gao and Sun, Yu and Liu, Zhuang and Sedra, Daniel and Weinberger, Kilian Q.},
  booktitle = {European Conference on Computer Vision},
  pages     = {646--661},
  year      = {2016},
  doi       = {10.1007/978-3-319-46493-0_39}
}""",
        checked="the authors' own code (ResidualDrop.lua) for the law, citing bibliographies for the "
        "reference",
    ),
    site="branch",
    fields=("vision", "text", "speech"),
    good_for="Deep residual networks and transformers trained for many passes. Rates that grow linearly "
    "from 0 at the first block to 0.1 to 0.5 at the last one are usual.",
    bad_for="Networks without skip connections, where nothing is left; shallow networks; the first blocks "
    "at a high rate. Without scale_by_keep the branch is larger at evaluation than in training on average.",
    describe=drop_path,
    example=Example(shape=(12, 6, 6), axes="b t d", arguments={"rate": 0.3}),
    evidence="Huang et al. 2016 report an error of 4.91 % on CIFAR-10 with 1,202 layers. Liu et al. 2023 "
    "(arXiv 2303.01500) gain 0.7 points for ViT-B by beginning with it late. DeiT trains with it "
    "and without dropout (Touvron et al. 2021).",
    study=True,
    aliases=("stochastic_depth", "droppath"),
    old_names={
        "drop_connect_rate": "EfficientNet's word for stochastic depth; DropConnect proper drops weights",
        "drop_connect (EfficientNet)": "stochastic depth of its blocks; DropConnect proper drops weights",
        "drop_path_rate": "the rate of the last block in timm, see dropkit.depth_rates",
        "stochastic_depth_prob": "torchvision's rate of the last block, see dropkit.depth_rates",
        "survival_prob": "the probability that a branch is kept: rate = 1 - survival_prob",
    },
    layers={"torch": "DropPath", "keras": "DropPath"},
)
