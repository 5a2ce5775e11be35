"""GRAND for torch: random propagation, and the loss that asks its views to agree."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import DropkitError, Interval, Whole, check_kind
from dropkit.core.mode import Scale
from dropkit.core.schedule import Schedule
from dropkit.methods.grand import disagreement, drop_rows, mixed_order, sharpen
from dropkit.torch import draws, functional
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.graph import check_attribute, check_edges, gcn_norm, spread
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic

__all__ = ["RandomPropagation", "grand_consistency"]

Tensor = torch.Tensor
_ORDER = Whole(0, "give the number of hops, e.g. 4")
_SAMPLES = Whole(1, "give the number of views, e.g. 4")
_TEMPERATURE = Interval(0, float("inf"), "give a temperature, e.g. 0.5", open_low=True, open_high=True)


class RandomPropagation(Rated):
    """Features of random nodes are dropped whole, then averaged over the graph (Feng et al. 2020).

    X'' = (X' + A X' + ... + A^order X') / (order + 1) with X' = X kept / (1 - p), one coin a node and view.
    In evaluation X' = X, and there is one view.

    Args:
        p: the probability that a node loses its features, in [0, 1], or a schedule.
        order: the number of hops, at least 0: 2 to 8 in the authors' scripts.
        samples: the number of views in training, at least 1: 2 or 4 in the authors' scripts.
        normalize: whether A is `gcn_norm` of the edges and weights; otherwise the weights as they are.
        scale: where the factor 1 / (1 - p) goes; "eval" in the authors' code.

    Shape:
        x (N, d) and edge_index (2, E) become (samples, N, d), or (1, N, d) where nothing is drawn.

    Raises:
        DropkitError: an argument is out of its range, or the tensors are no graph.

    >>> layer = RandomPropagation(0.5, order=1, samples=2)
    >>> layer(torch.ones(2, 1), torch.tensor([[0, 1], [1, 0]]), key=1).flatten(1)
    tensor([[0., 0.],
            [2., 2.]])
    """

    def __init__(
        self,
        p: float | Schedule = 0.5,
        order: int = 5,
        samples: int = 4,
        *,
        normalize: bool = True,
        scale: Scale = "train",
    ) -> None:
        Stochastic.__init__(self)  # the rate comes after the scale, which its description needs
        self.scale = scale
        self.take_rate(p)
        self.order, self.samples = _ORDER.check("order", order), _SAMPLES.check("samples", samples)
        self.normalize = check_kind("normalize", normalize, bool, "write True or False")

    def rate_moved(self) -> None:
        """Describe the draws at another rate."""
        self.description = drop_rows(self.p, self.scale)

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the input."""
        return True

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None, **source: Unpack[Source]
    ) -> Tensor:
        """Return the views of the features, spread over the graph.

        Args:
            x: features of the nodes (N, d), floating.
            edge_index: whole numbers (2, E): from where, to where.
            edge_weight: (E,), floating; 1 for each edge by default.
            **source: `key` and `generator` as in every layer.

        Raises:
            DropkitError: the tensors are no graph.
        """
        check_tensor(x, "x")
        if x.ndim != 2:
            raise TensorError("x", "has shape (N, d)", tuple(x.shape), "give one row for each node")
        check_edges(edge_index, x.shape[0])
        check_attribute(edge_weight, edge_index, "edge_weight")
        views = torch.stack([self._view(x, i, source) for i in range(self.samples if self.drawing else 1)], 1)
        if self.normalize:
            edge_index, edge_weight = gcn_norm(edge_index, edge_weight, x.shape[0])
        elif edge_weight is None:
            edge_weight = torch.ones(edge_index.shape[1], device=x.device)
        # Views stand beside the features: one pass over the edges serves them all.
        flat = mixed_order(widen(views).flatten(1), lambda y: spread(y, edge_index, edge_weight), self.order)
        spreads: Tensor = flat.to(x.dtype).view(views.shape).transpose(0, 1)
        return spreads

    def _view(self, x: Tensor, i: int, source: Source) -> Tensor:
        if not self.drawing:
            return functional.drop(x, self.description, mode="eval")
        own = draws.fold("view", self.source(source.copy()), i)
        return functional.drop(x, self.description, **own)

    def extra_repr(self) -> str:
        """Show the rate, the hops and the views."""
        return f"p={self.p}, order={self.order}, samples={self.samples}, normalize={self.normalize}"


def grand_consistency(logits: Tensor, temperature: float = 0.5) -> Tensor:
    """Return how far the views of `RandomPropagation` are from agreeing (Feng et al. 2020).

    The mean over views and nodes of |p - sharp|^2, where p = softmax(logits) and sharp is the mean of p over
    the views, sharpened: m^(1 / T) / sum m^(1 / T). No gradient passes through sharp. The whole loss is that
    of the labelled nodes, averaged over the views, plus this times a weight, 0.7 or 1 in the authors'
    scripts. For trainers there are `dropkit.torch.lightning.LossCallback` and
    `dropkit.torch.transformers.with_loss`.

    Args:
        logits: (views, nodes, classes), floating.
        temperature: T > 0; below 1 the agreed prediction becomes more certain than the mean. The authors'
            scripts have 0.2 to 0.5.

    Returns:
        a scalar, to be added to the loss of the labelled nodes with a weight; 0 where there is no node.

    Raises:
        DropkitError: the logits have another shape, or the temperature is not above 0.

    >>> grand_consistency(torch.zeros(2, 3, 4))
    tensor(0.)
    """
    check_tensor(logits, "logits")
    temperature = _TEMPERATURE.check("temperature", temperature)
    if logits.ndim != 3:
        mend = "give the logits of each view"
        raise DropkitError("logits", "has shape (views, nodes, classes)", tuple(logits.shape), mend)
    if logits.numel() == 0:
        return logits.sum()  # 0, with a gradient
    p = torch.softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32))
    loss: Tensor = disagreement(p, sharpen(p.detach().mean(0), temperature))
    return loss.to(logits.dtype)
