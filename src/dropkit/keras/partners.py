"""Whether a dropout layer of Keras and one of PyTorch drop alike, whatever their rates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dropkit.core.groups import Blocks, Groups, KofN
from dropkit.core.pattern import ELLIPSIS, Axis
from dropkit.keras.layer import Drop

__all__ = ["difference"]

_ANY_RANK = 4


def difference(layer: Any, module: Any) -> str:
    """Return what a PyTorch layer would have if it dropped as its Keras partner, or "" where it does.

    The names of axes do not count, nor whether channels stand last or first, where both layers' classes
    leave it open which axis that is.

    Args:
        layer: of `dropkit.keras`, with a description.
        module: of `dropkit.torch`, with a description.

    >>> import dropkit.torch
    >>> from dropkit.keras.layers import SpatialDropout2D
    >>> difference(SpatialDropout2D(0.1), dropkit.torch.Dropout2d(0.5))
    ''
    >>> difference(SpatialDropout2D(0.1), dropkit.torch.Dropout(0.5))
    "the groups of its partner, 'b ... c -> b c'"
    """
    ours, theirs = layer.description, module.description
    if ours.noise != theirs.noise:
        return f"the noise of its partner, {ours.noise.name!r}"
    if ours.scale != theirs.scale:
        return f"the scale of its partner, {ours.scale!r}"
    if not _share_groups(layer, module):
        return f"the groups of its partner, {_shown(ours.groups)}"
    return "no entries that it never drops" if _spares(module) else ""


def _spares(module: Any) -> bool:
    return any(getattr(module, name, ()) for name in ("keep", "prefix"))


def _shown(groups: Groups) -> str:
    return str(groups) if isinstance(groups, Blocks | KofN) else repr(groups.pattern)


def _share_groups(layer: Any, module: Any) -> bool:
    ours, theirs = layer.description.groups, module.description.groups
    if _kind(ours) != _kind(theirs):
        return False
    rank = _rank(layer, ours, theirs)
    mine, other = _marks(ours, rank), _marks(theirs, rank)
    if not len(mine) == len(other) == rank:
        return False
    at, there = _features(layer, rank), _features(module, rank)
    return any(
        [mine[axis] for axis in order] == other
        for order in _orders(rank)
        if at is None or there is None or order[there] == at
    )


def _kind(groups: Groups) -> tuple[str, bool]:
    return groups.kind, getattr(groups, "published", False)


def _rank(layer: Any, *both: Groups) -> int:
    written = [len(groups.parsed.left) for groups in both if ELLIPSIS not in groups.parsed.names]
    taken = [len(tensor.shape) for node in layer._inbound_nodes for tensor in node.input_tensors]
    return [*written, *taken, _ANY_RANK][0]


def _spread(groups: Groups, rank: int) -> list[tuple[Axis, ...]]:
    """The axes of an array of this rank, each as what it is split into."""
    left = groups.parsed.left
    repeats = {True: rank - len(left) + 1, False: 1}
    return [axes for axes in left for _ in range(repeats[axes[0].name == ELLIPSIS])]


def _marks(groups: Groups, rank: int) -> list[list[tuple[Any, ...]]]:
    """For every axis whether it has coins of its own, how long its blocks are, and how it is split."""
    return [[_mark(groups, axis, len(axes) > 1) for axis in axes] for axes in _spread(groups, rank)]


def _mark(groups: Groups, axis: Axis, split: bool) -> tuple[Any, ...]:
    own = axis.label in groups.parsed.right
    size = (axis.size or dict(groups.sizes).get(axis.label)) if split else None
    if isinstance(groups, Blocks):
        return own, size, groups.sides.get(axis.label, 1)
    if isinstance(groups, KofN):
        return own, size, axis.label == groups.over, groups.k
    return own, size


def _features(layer: Any, rank: int) -> int | None:
    """The axis of channels or features, where the class of a layer says so in its pattern."""
    from dropkit.torch import Drop as TorchDrop

    # Here the letters are the caller's, or say nothing.
    if isinstance(layer, Drop | TorchDrop) or getattr(layer, "noise_shape", None) is not None:
        return None
    spread = _spread(layer.description.groups, rank)
    names = [{axis.name for axis in axes} for axes in spread]
    found = [at for name in ("c", "d") for at, axes in enumerate(names) if name in axes]
    return found[0] if found else None


def _orders(rank: int) -> Iterator[tuple[int, ...]]:
    """PyTorch's order of Keras's axes: the same, channels first, or time before the batch."""
    alike = tuple(range(rank))
    yield alike
    if rank > 2:
        yield (0, rank - 1, *alike[1:-1])
        yield (1, 0, *alike[2:])
