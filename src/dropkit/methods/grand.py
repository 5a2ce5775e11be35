"""GRAND: whole rows of node features are dropped, then spread over the graph; several views must agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale
from dropkit.core.reference import mask

__all__ = ["METHOD", "disagreement", "drop_rows", "mixed_order", "sharpen"]

_SHAPE, _RATE = (16, 24), 0.5


def drop_rows(rate: Any, scale: Scale = "train") -> Drop:
    """Return what falls before features `(nodes, features)` are spread: one coin a node, every edge stays.

    >>> drop_rows(0.5).groups.pattern
    'n d -> n'
    """
    return Drop(rate, "n d -> n", scale=scale)


def mixed_order(x: Any, spread: Callable[[Any], Any], order: int) -> Any:
    """Return (x + A x + ... + A^order x) / (order + 1), where `spread(x)` is A x.

    >>> mixed_order(4.0, lambda x: x / 2, 2)
    2.3333333333333335
    """
    total = x
    for _ in range(order):
        x = spread(x)
        total = total + x
    return total / (order + 1)


def sharpen(probabilities: Any, temperature: float) -> Any:
    """Return p^(1 / T) / sum of p^(1 / T) over the classes, the last axis: T = 1 changes nothing.

    >>> import numpy
    >>> sharpen(numpy.array([0.8, 0.2]), 0.5).round(4)
    array([0.9412, 0.0588])
    """
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(-1)[..., None]


def disagreement(probabilities: Any, centre: Any) -> Any:
    """Return the mean over views and nodes of |p - centre|^2, for `(views, nodes, classes)`."""
    return ((probabilities - centre) ** 2).sum(-1).mean()


def _sketch(key: Key) -> Any:
    return mask(key.fold("views"), _SHAPE, drop_rows(_RATE))


METHOD = Method(
    name="grand",
    title="GRAND (random propagation)",
    summary="Drops all features of random nodes, spreads the rest over the graph, and asks several such "
    "views to agree.",
    formula="kept_i ~ Bernoulli(1 - rate) for each node; X' = X kept / (1 - rate); X'' = (X' + A X' + ... + "
    "A^K X') / (K + 1), A normalised; mean loss of the views + weight mean over views s and nodes i of |p_si "
    "- sharp_i|^2, where sharp_i = mean_s(p_si)^(1 / T), normalised",
    paper=Paper(
        title="Graph Random Neural Networks for Semi-Supervised Learning on Graphs",
        authors=(
            "Feng, Wenzheng",
            "Zhang, Jie",
            "Dong, Yuxiao",
            "Han, Yu",
            "Luan, Huanbo",
            "Xu, Qian",
            "Yang, Qiang",
            "Kharlamov, Evgeny",
            "Tang, Jie",
        ),
        year=2020,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2005.11079",
        bibtex="""@inproceedings{feng2020graph,
  title     = {Graph Random Neural Networks for Semi-Supervised Learning on Graphs},
  author    = {Feng, Wenzheng and Zhang, Jie and Dong, Yuxiao and Han, Yu and Luan, Huanbo and Xu, Qian and
               Yang, Qiang and Kharlamov, Evgeny and Tang, Jie},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  year      = {2020}
}""",
        checked="the authors' own code (train_grand.py) for the law and the loss: it scales by 1 - rate at "
        "evaluation, which is scale='eval' here; its run scripts for the numbers; the conference's page for "
        "the reference",
    ),
    site="node",
    fields=("graphs",),
    good_for="Semi-supervised node classification with few labels. Spreading needs no weights: a plain "
    "network on the spread features is all that is trained. The authors take order 8, 4 views, T = 0.5 and "
    "weight 1 for Cora, 2, 2, 0.3 and 0.7 for CiteSeer, 5, 4, 0.2 and 1 for Pubmed.",
    bad_for="Graphs whose neighbours differ in class, since features are averaged over them; large graphs, "
    "where every view spreads the whole matrix order times.",
    evidence="The authors' repository reports 85.4, 75.4 and 82.7 % accuracy on the public splits of Cora, "
    "CiteSeer and Pubmed.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="n d",
        arguments={"rate": _RATE},
        usage={
            "torch": "from dropkit.torch import grand_consistency\n\n"
            "layer, mlp = RandomPropagation({rate}, order=5, samples=4), torch.nn.Linear(8, 3)\n"
            "x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])\n"
            "labelled, labels = torch.tensor([0, 2]), torch.tensor([1, 2])\n"
            "logits = mlp(layer(x, edge_index))  # (samples, nodes, classes)\n"
            "views = [torch.nn.functional.cross_entropy(view[labelled], labels) for view in logits]\n"
            "loss = torch.stack(views).mean() + 1.0 * grand_consistency(logits, temperature=0.5)"
        },
    ),
    aliases=("random_propagation", "graph_random_network"),
    old_names={"DropNode": "the paper's word for dropping rows of features; edges stay, unlike drop_node"},
    layers={"torch": "RandomPropagation"},
)
