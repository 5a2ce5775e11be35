"""Feature masking: columns, rows or entries of a graph's feature matrix are set to zero."""

from __future__ import annotations

from typing import Any, Literal

from dropkit.core.check import OneOf
from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "Per", "feature_mask"]

Per = Literal["column", "row", "entry"]
_PATTERNS = {"column": "n d -> d", "row": "n d -> n", "entry": "n d -> n d"}
_PER = OneOf(tuple(_PATTERNS))


def feature_mask(rate: Any, per: Per = "column", scale: Scale = "none") -> Drop:
    """Return feature masking of a matrix `(nodes, features)`: y = x kept.

    Args:
        rate: the probability that an entry is masked, in [0, 1].
        per: one coin a `"column"`, so that a feature is hidden in all nodes (Zhu et al. 2020), a `"row"`, so
            that a node is hidden, or an `"entry"`.
        scale: where the factor 1 / (1 - rate) goes; the paper has none.

    Raises:
        DropkitError: `per` is none of the words.

    >>> feature_mask(0.2).groups.pattern
    'n d -> d'
    """
    return Drop(rate, _PATTERNS[_PER.check("per", per)], scale=scale)


METHOD = Method(
    name="feature_mask",
    title="Feature masking",
    summary="Sets random columns of a graph's feature matrix to zero, so that a feature is hidden in every "
    "node at once.",
    formula="kept ~ Bernoulli(1 - rate) for each column (or row, or entry); y = x kept",
    paper=Paper(
        title="Deep Graph Contrastive Representation Learning",
        authors=("Zhu, Yanqiao", "Xu, Yichen", "Yu, Feng", "Liu, Qiang", "Wu, Shu", "Wang, Liang"),
        year=2020,
        venue="ICML Workshop on Graph Representation Learning and Beyond",
        url="https://arxiv.org/abs/2006.04131",
        bibtex="""@inproceedings{zhu2020deep,
  title     = {Deep Graph Contrastive Representation Learning},
  author    = {Zhu, Yanqiao and Xu, Yichen and Yu, Feng and Liu, Qiang and Wu, Shu and Wang, Liang},
  booktitle = {ICML Workshop on Graph Representation Learning and Beyond},
  year      = {2020}
}""",
        checked="public copies of the authors' drop_feature for the law, a citing readme for the reference",
    ),
    site="node",
    fields=("graphs", "tabular"),
    good_for="Two views of a graph for contrastive learning, and node features of which many say the same. "
    "Use it beside edge dropping, each with a rate of its own.",
    bad_for="Graphs with few features, where a hidden column takes most of the signal away; a supervised "
    "network that needs the size of its input unchanged, unless scale is 'train'.",
    describe=feature_mask,
    evidence="Zhu et al. 2020 (GRACE) hide columns of the features, beside edges, in both views that their "
    "contrastive learning compares. No comparison of this mask alone was read.",
    example=Example(shape=(12, 24), axes="n d", arguments={"rate": 0.3, "per": "column"}),
    aliases=("mask_feature", "attribute_masking"),
    old_names={"mode='col', 'row', 'all'": "torch_geometric's words for per='column', 'row', 'entry'"},
    layers={"torch": "FeatureMask", "keras": "FeatureMask"},
    waived={"mean": "Zhu et al. 2020, drop_feature of the authors' code: what is not masked stays as it is"},
)
