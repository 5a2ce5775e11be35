"""Which entries share one draw: a pattern, or a geometry over named axes."""

from __future__ import annotations

import functools
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dropkit.core import rate as rates
from dropkit.core.address import Words
from dropkit.core.bind import WHOLE, Shape, Sizes, Window, bind, strides
from dropkit.core.check import DropkitError, Whole, suggest
from dropkit.core.layout import Layout
from dropkit.core.pattern import ELLIPSIS, Parsed, parse

__all__ = ["Blocks", "Draws", "Groups", "KofN", "Pattern", "from_json", "share"]

_SIDE = Whole(1, "give a number of entries, e.g. 7")
_COUNT = Whole(0, "give the number of groups to drop, e.g. 3")


def share(gone: Any) -> float:
    """Return the share of true entries in a bool array, as a number of the host.

    >>> import numpy
    >>> share(numpy.array([True, False]))
    0.5
    """
    size: int = math.prod(gone.shape)
    return float(gone.sum()) / max(size, 1)


class Draws:
    """What is drawn for the groups of one call: u, a second uniform, and the comparison that decides.

    A backend with a kernel for the comparison overrides `below`.

    Args:
        xp: the module whose arrays are wanted, numpy or torch.
        layout: the layout of the draws.
        words: the numbers of the key.
        device: where the arrays live; None for the module's default.
    """

    def __init__(self, xp: Any, layout: Layout, words: Words[Any], device: Any = None) -> None:
        self.xp, self.layout, self.words, self.device = xp, layout, words, device

    @functools.cached_property
    def u(self) -> Any:
        """The draw u of every group, int64 below 2**32."""
        return self.layout.uniform(self.xp, self.words, self.device)

    def second(self) -> Any:
        """Return the second uniform of every group, int64 below 2**32."""
        return self.layout.second(self.xp, self.words, self.device)

    def below(self, rate: Any) -> Any:
        """Return which groups fall at this rate."""
        return self.falls(self.u, rate)

    def falls(self, word: Any, rate: Any) -> Any:
        """Return which draws lie below the threshold of a rate."""
        return word < rates.threshold(rate, self.xp)


class Groups(ABC):
    """A rule that says which entries share a draw and which are dropped: frozen, plain data in JSON."""

    kind: ClassVar[str]
    pattern: str
    sizes: Sizes | Mapping[str, int]

    @property
    def parsed(self) -> Parsed:
        """The pattern, read."""
        return parse(self.pattern)

    def split(self, shape: Shape) -> Shape:
        """Return the shape with bracketed axes split."""
        return tuple(axis.size for axis in bind(self.parsed, self._sizes, shape))

    @abstractmethod
    def layout(self, shape: Shape, window: Window = WHOLE) -> Layout:
        """Return the layout of the draws for an array of this shape; refuse shapes that do not fit."""

    @abstractmethod
    def decide(self, draws: Draws, rate: Any) -> Any:
        """Return which entries are dropped: a bool array that broadcasts to `split(shape)`."""

    def rate(self, rate: Any, shape: Shape) -> Any:
        """Return the probability that an entry is dropped."""
        return rate

    def happened(self, gone: Any, rate: Any, share: Callable[[Any], Any] = share) -> Any:
        """Return the rate that the factor of kept entries follows: the one written, whatever fell."""
        return rate

    def to_json(self) -> dict[str, Any]:
        """Return the rule as plain data."""
        sizes = {"sizes": dict(self._sizes)} if self.sizes else {}
        return {"kind": self.kind, "pattern": self.pattern} | sizes

    @property
    def _sizes(self) -> Sizes:
        return tuple(sorted(dict(self.sizes).items()))

    def _check_sizes(self) -> None:
        try:
            dict(self.sizes)
        except (TypeError, ValueError):
            mend = "give them by name, e.g. {'h': 4}"
            raise DropkitError("sizes", "are numbers by name of the axis", self.sizes, mend) from None
        names = [name for name in self.parsed.names if name != ELLIPSIS]
        for name, size in dict(self.sizes).items():
            if name not in names:
                mend = suggest(name, names)
                raise DropkitError("sizes", "name axes of the pattern", name, mend)
            _SIDE.check(f"size of axis {name!r}", size)
        object.__setattr__(self, "sizes", self._sizes)


@dataclass(frozen=True)
class Pattern(Groups):
    """Groups written as a pattern.

    Args:
        pattern: e.g. `"b c h w -> b c"`; the language is told in `dropkit.core.pattern`.
        sizes: sizes of axes by name, where brackets leave one open.

    Raises:
        PatternError: at construction if the text is wrong, at the first array if its shape does not fit.

    >>> Pattern("b c h w -> b c").layout((2, 3, 4, 5)).collapse()
    Layout(sizes=(6, 20), strides=(1, 0), base=0)
    """

    kind: ClassVar[str] = "pattern"
    pattern: str = ELLIPSIS
    sizes: Sizes | Mapping[str, int] = ()

    def __post_init__(self) -> None:
        self._check_sizes()

    def layout(self, shape: Shape, window: Window = WHOLE) -> Layout:
        """Return the layout of the draws."""
        return strides(self.parsed, self._sizes, shape, window)

    def decide(self, draws: Draws, rate: Any) -> Any:
        """Return which entries are dropped."""
        return draws.below(rate)


@dataclass(frozen=True)
class Blocks(Groups):
    """Contiguous blocks over named axes, as in DropBlock, with the written rate at every entry.

    A seed is a block's first corner. Seeds live on a map that is larger than the array by the block less one
    and fall with probability 1 - (1 - rate)**(1 / entries of a block): corner and centre are dropped alike.

    Args:
        size: side of a block in entries: one number for every axis in `over`, or one for each.
        over: the axes that a block covers.
        pattern: names the axes. By default the last ones are those of `over` and all others have blocks of
            their own; `"b c h w -> b h w"` shares the blocks over channels.
        sizes: sizes of axes by name, where brackets leave one open.
        published: draw as Ghiasi et al. 2018, equation (1): seeds only where a whole block fits, at the
            first-order rate. For repeating a paper's run: the rate that happens is not quite the one written,
            and even at rate 1 some entries stay. What stays is divided by the share that stays, counted over
            the whole mask.

    >>> Blocks(2, over="h w").layout((1, 5, 6)).sizes
    (1, 6, 7)
    """

    kind: ClassVar[str] = "blocks"
    size: int | tuple[int, ...] = 7
    over: str = "h w"
    pattern: str = ""
    sizes: Sizes | Mapping[str, int] = ()
    published: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", self.pattern or f"{ELLIPSIS} {self.over}")
        self._check_sizes()
        axes = _own_axes(self, self.over)
        sides = (self.size,) * len(axes) if not isinstance(self.size, tuple | list) else tuple(self.size)
        if len(sides) != len(axes):
            rule = f"has one side for each axis of {self.over!r}"
            raise DropkitError("block_size", rule, sides, "or is one number")
        object.__setattr__(self, "size", tuple(_SIDE.check("block_size", side) for side in sides))

    @property
    def sides(self) -> dict[str, int]:
        """The side of a block by axis name."""
        sides = self.size if isinstance(self.size, tuple) else ()
        return dict(zip(self.over.split(), sides, strict=True))

    def layout(self, shape: Shape, window: Window = WHOLE) -> Layout:
        """Return the layout of the draws."""
        grow = tuple((name, side - 1) for name, side in self.sides.items())
        if self.published:
            self._refuse_published(shape, window)
        return strides(self.parsed, self._sizes, shape, window, grow)

    def decide(self, draws: Draws, rate: Any) -> Any:
        """Return which entries are dropped."""
        places = {_place(self, name, len(draws.layout.sizes)): side for name, side in self.sides.items()}
        hit = self._published_seeds(draws, rate, places) if self.published else self._seeds(draws, rate)
        for axis, side in places.items():
            size = hit.shape[axis] - side + 1
            hit = functools.reduce(operator.or_, (hit[_cut(axis, i, i + size)] for i in range(side)))
        return hit

    def happened(self, gone: Any, rate: Any, share: Callable[[Any], Any] = share) -> Any:
        """Return the rate that the factor of kept entries follows: as published, the share that fell."""
        return share(gone) if self.published else rate

    def to_json(self) -> dict[str, Any]:
        """Return the rule as plain data."""
        published = {"published": True} if self.published else {}
        return super().to_json() | {"size": list(self.sides.values()), "over": self.over} | published

    def _seeds(self, draws: Draws, rate: Any) -> Any:
        root = rates.root(rate, math.prod(self.sides.values()), draws.xp)
        return draws.below(root)

    def _published_seeds(self, draws: Draws, rate: float, places: dict[int, int]) -> Any:
        entries = {axis: draws.layout.sizes[axis] - side + 1 for axis, side in places.items()}
        gamma = rate
        for axis, side in places.items():
            gamma *= entries[axis] / (side * (entries[axis] - side + 1))
        hit = draws.below(min(gamma, 1.0))
        for axis, side in places.items():
            place = draws.xp.arange(hit.shape[axis], device=draws.device)
            fits = (place >= side - 1) & (place < entries[axis])
            hit = hit & draws.xp.reshape(fits, (-1,) + (1,) * (hit.ndim - axis - 1))
        return hit

    def _refuse_published(self, shape: Shape, window: Window) -> None:
        if window != WHOLE:
            raise DropkitError("window", "does not go with published=True", window, "leave published out")
        sizes = {axis.name: axis.size for axis in bind(self.parsed, self._sizes, shape)}
        for name, side in self.sides.items():
            if side > sizes[name]:
                rule = f"must fit into axis {name!r} of {sizes[name]} entries where published=True"
                raise DropkitError("block_size", rule, side, "take a smaller block, or leave published out")


@dataclass(frozen=True)
class KofN(Groups):
    """Exactly k of the n groups along one axis, every choice of k equally likely.

    Give k, or leave it out and give the rate: then k is rate * n, rounded at random so that the rate holds.

    Args:
        k: how many are dropped, 0 <= k <= n.
        over: the axis along which k are chosen; it has coins of its own.
        pattern: names the axes; by default the last one is `over` and all others choose for themselves.
        sizes: sizes of axes by name, where brackets leave one open.

    >>> KofN(2, over="t").rate(None, (4, 8))
    0.25
    """

    kind: ClassVar[str] = "k_of_n"
    k: int | None = None
    over: str = "t"
    pattern: str = ""
    sizes: Sizes | Mapping[str, int] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", self.pattern or f"{ELLIPSIS} {self.over}")
        self._check_sizes()
        if len(_own_axes(self, self.over)) != 1:
            raise DropkitError("over", "is one axis", self.over, "name the axis along which k are chosen")
        if self.k is not None:
            _COUNT.check("k", self.k)

    def layout(self, shape: Shape, window: Window = WHOLE) -> Layout:
        """Return the layout of the draws."""
        layout = strides(self.parsed, self._sizes, shape, window)
        axis = _place(self, self.over, len(layout.sizes))
        self._refuse_window(shape, window)
        if self.k is not None and self.k > layout.sizes[axis]:
            rule = f"is at most the size of axis {self.over!r}, {layout.sizes[axis]}"
            raise DropkitError("k", rule, self.k, "drop fewer")
        return layout

    def decide(self, draws: Draws, rate: Any) -> Any:
        """Return which entries are dropped."""
        axis = _place(self, self.over, draws.u.ndim)
        n = draws.u.shape[axis]
        # Equal draws keep the order of their places.
        rank = draws.xp.argsort(draws.xp.argsort(draws.u, axis=axis, stable=True), axis=axis)
        if self.k is not None:
            return rank < self.k
        # Rounded at random, so that the rate holds.
        whole = rate * n // 1
        one_more = draws.falls(draws.second()[_cut(axis, 0, 1)], rate * n - whole)
        return (rank < whole) | (rank == whole) & one_more

    def rate(self, rate: Any, shape: Shape) -> Any:
        """Return the probability that an entry is dropped: k / n where k is given."""
        if self.k is None:
            return rate
        sizes = self.split(shape)
        return self.k / max(sizes[_place(self, self.over, len(sizes))], 1)

    def to_json(self) -> dict[str, Any]:
        """Return the rule as plain data."""
        return super().to_json() | {"over": self.over} | ({} if self.k is None else {"k": self.k})

    def _refuse_window(self, shape: Shape, window: Window) -> None:
        source = next(axis.source for axis in bind(self.parsed, self._sizes, shape) if axis.name == self.over)
        whole = shape if window.whole is None else window.whole
        if window.start[source : source + 1] > (0,) or whole[source] != shape[source]:
            raise DropkitError("window", f"leaves axis {self.over!r} whole", window, "cut along another axis")


_KINDS: dict[str, type[Groups]] = {cls.kind: cls for cls in (Pattern, Blocks, KofN)}


def from_json(data: Mapping[str, Any]) -> Groups:
    """Return the rule that `to_json` wrote.

    >>> from_json(Blocks(3).to_json()) == Blocks(3)
    True
    """
    fields = dict(data)
    kind = fields.pop("kind")
    if kind not in _KINDS:
        raise DropkitError("groups", "has a known kind", kind, suggest(kind, _KINDS))
    if "size" in fields:
        fields["size"] = tuple(fields["size"])
    return _KINDS[kind](**fields)


def _own_axes(groups: Groups, over: str) -> list[str]:
    """The axes in `over`, each of which must have coins of its own."""
    axes = over.split() if isinstance(over, str) else []
    if not axes or len(set(axes)) != len(axes):
        raise DropkitError("over", "names different axes", over, "write e.g. 'h w'")
    for name in axes:
        known = [right for right in groups.parsed.right if right != ELLIPSIS]
        if name not in known:
            mend = suggest(name, known)
            rule = f"names axes that stand right of '->' in {groups.pattern!r}"
            raise DropkitError("over", rule, name, mend)
    return axes


def _place(groups: Groups, name: str, rank: int) -> int:
    """The number of a named axis after splitting, where `...` takes what the others leave."""
    names = groups.parsed.labels
    place = names.index(name)
    return place if ELLIPSIS not in names[:place] else place + rank - len(names)


def _cut(axis: int, start: int, stop: int | None) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop),)
