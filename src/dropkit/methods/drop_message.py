"""DropMessage: entries of the messages that travel along the edges of a graph are dropped."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "drop_message"]


def drop_message(rate: Any, scale: Scale = "train") -> Drop:
    """Return DropMessage for a message matrix `(edges, channels)`: y = m kept / (1 - rate).

    It is dropout between the gathering of messages and their sum (Fang et al. 2022): a node sends each
    neighbour another part of itself.

    Args:
        rate: the probability that an entry of a message is dropped, in [0, 1].
        scale: where the factor 1 / (1 - rate) goes.

    >>> drop_message(0.3).groups.pattern
    '...'
    """
    return Drop(rate, scale=scale)


METHOD = Method(
    name="drop_message",
    title="DropMessage",
    summary="Drops single entries of the messages along the edges of a graph, between gathering and summing.",
    formula="kept ~ Bernoulli(1 - rate) for each edge and channel; m' = m kept / (1 - rate); h_i = sum over "
    "the edges (j, i) of m'_ji",
    paper=Paper(
        title="DropMessage: Unifying Random Dropping for Graph Neural Networks",
        authors=(
            "Fang, Taoran",
            "Xiao, Zhiqing",
            "Wang, Chunping",
            "Xu, Jiarong",
            "Yang, Xuan",
            "Yang, Yang",
        ),
        year=2023,
        venue="AAAI",
        url="https://arxiv.org/abs/2204.10037",
        bibtex="""@inproceedings{fang2023dropmessage,
  title     = {DropMessage: Unifying Random Dropping for Graph Neural Networks},
  author    = {Fang, Taoran and Xiao, Zhiqing and Wang, Chunping and Xu, Jiarong and Yang, Xuan and
               Yang, Yang},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year      = {2023}
}""",
        checked="the authors' own code (src/backbone.py) for the law, pages that list abstract, authors and "
        "AAAI 2023 for the reference",
    ),
    site="message",
    fields=("graphs",),
    good_for="Message-passing networks of any kind, inside their message function, where dropout of "
    "features or edges is too coarse.",
    bad_for="Layers that fuse gathering and summing into one sparse product and so never hold the messages: "
    "the matrix of edges times channels costs memory.",
    evidence="Fang et al. show that dropout, DropEdge and DropNode are its special cases, and report better "
    "accuracy on citation and industrial graphs with several backbones; no independent replication was "
    "looked up.",
    variant_of="dropout",
    describe=drop_message,
    example=Example(
        shape=(12, 24),
        axes="e d",
        arguments={"rate": 0.3},
        usage={
            "torch": "layer = Dropout({rate})\n"
            "x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])\n"
            "messages = layer(x[edge_index[0]])  # in message() of torch_geometric: layer(x_j)\n"
            "y = torch.zeros_like(x).index_add(0, edge_index[1], messages)"
        },
    ),
    aliases=("message_dropout",),
    layers={"torch": "Dropout", "keras": "Dropout"},
)
