"""Drop path of FractalNet for PyTorch: the join of parallel paths, and the column that global drop keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack

import torch

from dropkit.core.check import RATE, DropkitError, OneOf, Whole
from dropkit.core.schedule import Schedule
from dropkit.methods.fractal_drop_path import LUCKY, shares, survivors
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen

__all__ = ["FractalDropPath", "global_column"]

Tensor = torch.Tensor

_PER = OneOf(("sample", "batch"))
_COLUMNS = Whole(1, "give the number of columns of the network, e.g. 4")


class FractalDropPath(Rated):
    """The join of parallel paths: y = mean of the kept ones, of which one at least is left.

    Local drop (Larsson et al. 2017): each path falls with probability p, and where all would fall one at
    random stays. Global drop keeps one column in the whole network: `global_column` draws its number for a
    batch, and each join gets it as `column`. Evaluation takes the mean of all paths.

    Args:
        p: the probability that a path falls, in [0, 1], or a schedule; the paths of a join of k are
            dropped with probability p - p**k / k.
        per: one draw a `"sample"`, or one for the `"batch"`, as in the authors' code.

    Shape:
        a list of tensors of one shape, (N, ...); the output has that shape.

    Raises:
        DropkitError: p lies outside [0, 1], or `per` is neither word.

    >>> join = FractalDropPath(0.5).eval()
    >>> join([torch.tensor([1.0]), torch.tensor([3.0])])
    tensor([2.])
    """

    def __init__(self, p: float | Schedule = 0.15, per: Literal["sample", "batch"] = "batch") -> None:
        super().__init__(p)
        self.per = _PER.check("per", per)

    def forward(
        self, paths: Sequence[Tensor], *, column: int | None = None, **source: Unpack[Source]
    ) -> Tensor:
        """Join the paths.

        Args:
            paths: what is joined, in the order of the columns.
            column: the path that global drop keeps while the layer draws; None drops locally.
            **source: `key` and `generator` as in every layer.
        """
        _check_paths(paths)
        if not self.drawing:
            return _mean(paths, torch.ones(len(paths), 1, device=paths[0].device))
        if column is not None:
            rule = Whole(0, "give the number of a path of this join", below=len(paths))
            return paths[rule.check("column", column)]
        return _mean(paths, self._kept(paths, self.source(source)))

    def _kept(self, paths: Sequence[Tensor], source: Source) -> Tensor:
        """Return which paths are kept: (paths, samples), or (paths, 1) for the batch."""
        first = paths[0]
        like = first.new_empty(len(paths), len(first) if self.per == "sample" and first.ndim else 1)
        gone = draws.below(like, self.p, **source)
        u = draws.unit(like, like.shape[1:], **draws.fold(LUCKY, source))
        numbers = torch.arange(len(paths), device=like.device)[:, None]
        kept: Tensor = survivors(gone, u, numbers)
        return kept

    def extra_repr(self) -> str:
        """Show the rate and what shares a draw."""
        return f"p={self.p}, per={self.per!r}"


def global_column(columns: int, share: float = 0.5, **source: Unpack[Source]) -> int | None:
    """Return the column that a batch goes through alone, or None for a batch with local drops.

    Args:
        columns: how many columns the network has, at least 1.
        share: the share of batches with global drop, in [0, 1].
        **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

    Raises:
        DropkitError: an argument is out of its range.

    >>> global_column(4, share=0.0) is None, global_column(1, share=1.0)
    (True, 0)
    """
    columns, share = _COLUMNS.check("columns", columns), RATE.check("share", share)
    alone, place = draws.numbers(draws.unit(torch.empty(2), **source))
    return int(place * columns) if alone < share else None


def _mean(paths: Sequence[Tensor], kept: Tensor) -> Tensor:
    wide = [widen(path) for path in paths]
    weights = shares(kept.to(wide[0].dtype))
    parts = [_part(path, weight) for path, weight in zip(wide, weights, strict=True)]
    return sum(parts[1:], parts[0]).to(paths[0].dtype)


def _part(path: Tensor, weight: Tensor) -> Tensor:
    weight = weight.reshape(-1, *(1,) * (path.ndim - 1)) if path.ndim else weight[0]
    return torch.where(weight == 0, 0.0, weight * path)


def _check_paths(paths: Any) -> None:
    if isinstance(paths, Tensor) or not isinstance(paths, Sequence) or not paths:
        raise DropkitError("paths", "is a list of tensors, one at least", paths, "write join([a, b])")
    for path in paths:
        check_tensor(path, "paths")
        if path.shape != paths[0].shape:
            rule = f"have one shape, that of the first, {tuple(paths[0].shape)}"
            raise TensorError("paths", rule, tuple(path.shape), "project them to one shape first")
