"""Graph DropConnect: every channel has an adjacency matrix of its own, with edges of its own left out."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.groups import Pattern
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "graph_drop_connect"]


def graph_drop_connect(rate: Any, blocks: int | None = None, scale: Scale = "train") -> Drop:
    """Return graph DropConnect for a message matrix `(edges, channels)`: y = m kept / (1 - rate).

    One coin for each edge and channel, or for each edge and block of neighbouring channels (Hasanzadeh et
    al. 2020). With one block an edge falls whole, as in DropEdge; with a block for each channel its law is
    that of DropMessage.

    Args:
        rate: the probability that an edge is dropped for a channel, in [0, 1].
        blocks: the number of equal blocks of channels, at least 1; None for a coin for each channel.
        scale: where the factor 1 / (1 - rate) goes. The authors' code has the expected mask at evaluation:
            "eval".

    Raises:
        DropkitError: `blocks` is not a whole number of at least 1; at the first array, if it does not divide
            the channels.

    >>> graph_drop_connect(0.3, blocks=4).groups
    Pattern(pattern='e (k c) -> e k', sizes=(('k', 4),))
    """
    if blocks is None:
        return Drop(rate, "e c -> e c", scale=scale)
    return Drop(rate, Pattern("e (k c) -> e k", {"k": blocks}), scale=scale)


METHOD = Method(
    name="graph_drop_connect",
    title="Graph DropConnect (GDC)",
    summary="Gives every block of channels its own random subgraph: an edge may carry some channels and "
    "drop others.",
    formula="kept ~ Bernoulli(1 - rate) for each edge and block of channels; block k: H'_k = (A kept_k) H_k "
    "W_k, summed over k; with A normalised; kept / (1 - rate) where scale is 'train'",
    paper=Paper(
        title="Bayesian Graph Neural Networks with Adaptive Connection Sampling",
        authors=(
            "Hasanzadeh, Arman",
            "Hajiramezanali, Ehsan",
            "Boluki, Shahin",
            "Zhou, Mingyuan",
            "Duffield, Nick",
            "Narayanan, Krishna",
            "Qian, Xiaoning",
        ),
        year=2020,
        venue="ICML",
        url="https://arxiv.org/abs/2006.04064",
        bibtex="""@inproceedings{hasanzadeh2020bayesian,
  title     = {Bayesian Graph Neural Networks with Adaptive Connection Sampling},
  author    = {Hasanzadeh, Arman and Hajiramezanali, Ehsan and Boluki, Shahin and Zhou, Mingyuan and
               Duffield, Nick and Narayanan, Krishna and Qian, Xiaoning},
  booktitle = {International Conference on Machine Learning},
  year      = {2020}
}""",
        checked="the authors' own code (bbgdc_arm_code/model.py) for the law with blocks of input channels "
        "and for the expected mask at evaluation, their readme for the reference. The learned rates of the "
        "paper are not part of this method",
    ),
    site="message",
    fields=("graphs",),
    good_for="Graph networks whose uncertainty is wanted from several passes, and deep ones in which "
    "DropEdge alone is too coarse. A few blocks cost little more than one.",
    bad_for="Layers that fuse gathering and summing into one sparse product: each block needs a product of "
    "its own. Few channels, of which a block takes a large part.",
    evidence="Hasanzadeh et al. report that rates learned with the weights prevent over-smoothing and "
    "improve node classification; the fixed rate here is the simpler case, for which no number was read.",
    describe=graph_drop_connect,
    example=Example(
        shape=(12, 24),
        axes="e c",
        arguments={"rate": 0.3, "blocks": 6},
        usage={
            "torch": "layer = GraphDropConnect({rate}, blocks=4)\n"
            "x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])\n"
            "messages = layer(x[edge_index[0]])  # in message() of torch_geometric: layer(x_j)\n"
            "y = torch.zeros_like(x).index_add(0, edge_index[1], messages)"
        },
    ),
    aliases=("gdc", "graph_dropconnect"),
    old_names={"GDC": "also the name of graph diffusion convolution, another method"},
    layers={"torch": "GraphDropConnect", "keras": "GraphDropConnect"},
)
