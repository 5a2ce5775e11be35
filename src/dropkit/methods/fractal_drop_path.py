"""Drop path of FractalNet: a join loses some of its inputs, never all, and takes the mean of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws, unit

__all__ = ["LUCKY", "METHOD", "shares", "survivors"]

Array = np.ndarray[Any, Any]

_SHAPE = (3, 32)
LUCKY = "fractal_drop_path.lucky"
"""By which name a key is folded for the draw of the path that is kept where all would fall."""


def survivors(gone: Any, u: Any, numbers: Any) -> Any:
    """Return which paths of a join are kept: those that did not fall, or one at random where all fell.

    Args:
        gone: which paths fall, a bool array `(paths, joins)`.
        u: a uniform draw in (0, 1) for each join: the path number floor(u paths) is kept where all fell.
        numbers: 0 ... paths - 1, as an array `(paths, 1)`.

    >>> import numpy
    >>> gone = numpy.array([[True, True], [False, True]])
    >>> survivors(gone, numpy.array([0.1, 0.6]), numpy.arange(2)[:, None]).astype(int)
    array([[0, 0],
           [1, 1]])
    """
    place = u * len(gone)
    lucky = (numbers <= place) & (place < numbers + 1)
    return ~gone | (gone.all(0) & lucky)


def shares(kept: Any) -> Any:
    """Return the weights of the paths in their join: equal among the kept, 0 for the others.

    >>> import numpy
    >>> shares(numpy.array([1.0, 0.0, 1.0]))
    array([0.5, 0. , 0.5])
    """
    return kept / kept.sum(0)


def _sketch(key: Key) -> Array:
    """Draw the weights of three paths for each sample."""
    u = unit(key.fold(LUCKY), _SHAPE[1:])
    return np.asarray(shares(survivors(draws(key, _SHAPE).below(0.5), u, np.arange(3)[:, None])))


METHOD = Method(
    name="fractal_drop_path",
    title="Drop path (FractalNet)",
    summary="Drops inputs of a join between parallel paths, but never all, and averages those that are left.",
    formula="local: each path falls with probability rate, one at random stays where all would fall; global: "
    "one column stays alone in the whole network; y = mean of the kept paths",
    paper=Paper(
        title="FractalNet: Ultra-Deep Neural Networks without Residuals",
        authors=("Larsson, Gustav", "Maire, Michael", "Shakhnarovich, Gregory"),
        year=2017,
        venue="ICLR",
        url="https://arxiv.org/abs/1605.07648",
        bibtex="""@inproceedings{larsson2017fractalnet,
  title     = {FractalNet: Ultra-Deep Neural Networks without Residuals},
  author    = {Larsson, Gustav and Maire, Michael and Shakhnarovich, Gregory},
  booktitle = {International Conference on Learning Representations},
  year      = {2017},
  url       = {https://openreview.net/forum?id=S1VaB4cex}
}""",
        checked="the authors' own code (fractal_join_layer.cpp) for the law; OpenReview's page for the "
        "reference",
    ),
    site="branch",
    fields=("vision",),
    good_for="Networks with joins of parallel paths and no skip connection: every path learns to do alone, "
    "so that a column can be cut out and used by itself. Mix local and global drops from batch to batch.",
    bad_for="Residual networks, whose skip is always there: take drop_path. Joins that add up instead of "
    "averaging; joins of very unlike paths, whose mean says little.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="k b",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = FractalDropPath({rate})\n"
            "shallow, middle, deep = torch.randn(3, 32, 8)\n"
            "y = layer([shallow, middle, deep])"
        },
    ),
    evidence="Larsson et al. 2017 say in their abstract that it allows high-performance subnetworks of a "
    "fixed depth to be taken out of the trained network.",
    aliases=("fractalnet_drop_path", "local_drop_path", "global_drop_path"),
    old_names={
        "drop_path": "FractalNet's own name for it; nearly everywhere else that is stochastic depth",
        "undrop_path_ratio": "the authors' code: how probable it is that a path is the one that global drop "
        "KEEPS",
    },
    layers={"torch": "FractalDropPath"},
    waived={
        "rate": "fractal_join_layer.cpp: one of k paths stays where all fell, so a path is dropped with "
        "probability rate - rate^k / k",
        "independence": "fractal_join_layer.cpp: the weights of the kept paths add up to 1",
        "moments": "fractal_join_layer.cpp: a kept path has the weight 1 / (number of kept paths)",
        "edges": "fractal_join_layer.cpp: at rate 1 one path is left",
    },
)
