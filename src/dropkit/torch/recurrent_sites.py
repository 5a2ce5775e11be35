"""Where a recurrent network drops, and what a plain rate stands for there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.pattern import ELLIPSIS
from dropkit.core.rate import check as check_rate
from dropkit.methods.gal_dropout import gal_dropout
from dropkit.methods.locked_dropout import locked_dropout
from dropkit.methods.rnn_drop import rnn_drop
from dropkit.methods.semeniuta_dropout import semeniuta_dropout
from dropkit.methods.zoneout import zoneout

__all__ = ["Sites", "describe_site", "is_gated"]

_FRESH = "b t d -> b t d"
_AXES = ("b", "t", "d")
_GATED_AXES = ("b", "t", "g", "d")
_GATED_SITES = ("input", "between", "state")
_ZONED = ("zoneout", "cell_zoneout")

_LAWS: Mapping[str, Callable[[Any], Drop]] = {
    "input": locked_dropout,
    "between": locked_dropout,
    "output": locked_dropout,
    "state": lambda rate: gal_dropout(rate)["state"],
    "candidate": lambda rate: semeniuta_dropout(rate)["candidate"],
    "cell": lambda rate: rnn_drop(rate)["cell"],
    "zoneout": zoneout,
    "cell_zoneout": zoneout,
}
"""What a plain rate stands for at each site."""


class Sites(TypedDict, total=False):
    """Where a recurrent network drops: a rate, a schedule, or a description over (b, t, d), at each site.

    Args:
        input: what enters the first layer. A rate draws one mask a sequence (locked dropout).
        between: what one layer gives to the next. Likewise.
        output: what the last layer gives. Likewise.
        state: h[t - 1] where it enters the gates (`gal_dropout`). A rate draws one mask a sequence.
        candidate: what an LSTM or a GRU is about to write (`semeniuta_dropout`). A rate draws at each step.
        cell: the cell state of an LSTM (`rnn_drop`). A rate draws one mask a sequence.
        zoneout: h keeps its previous value (`zoneout`), drawn at each step.
        cell_zoneout: c of an LSTM keeps its previous value, drawn at each step.
    """

    input: Any
    between: Any
    output: Any
    state: Any
    candidate: Any
    cell: Any
    zoneout: Any
    cell_zoneout: Any


def describe_site(name: str, value: Any) -> Drop:
    """Return what is drawn at a site, with its axes named.

    Args:
        name: of the site, as in `Sites`.
        value: a rate, a schedule or a description.

    Raises:
        DropkitError: the rate is out of range, or the description goes with other axes or another noise.

    >>> describe_site("zoneout", 0.1).groups.pattern
    'b t d -> b t d'
    """
    drop = value if isinstance(value, Drop) else _LAWS[name](check_rate(value, name))
    labels = drop.groups.parsed.labels
    if labels == (ELLIPSIS,):
        drop = Drop(drop.rate, _FRESH, drop.noise, drop.scale)
    elif labels != _AXES and not (labels == _GATED_AXES and name in _GATED_SITES):
        rule = "names the axes b t d, or b t g d where gates have masks of their own"
        raise DropkitError(name, rule, drop.groups.pattern, 'write e.g. "b t d -> b d"')
    if name in _ZONED and (drop.noise.name, drop.scale) != ("bernoulli", "eval"):
        raise DropkitError(name, "is a rate, or a description that zoneout makes", drop, "write e.g. 0.1")
    if drop.noise.name == "alpha":
        raise DropkitError(name, "multiplies, so it has no noise 'alpha'", drop, "take 'bernoulli'")
    return drop


def is_gated(drop: Drop) -> bool:
    """Return whether each gate has masks of its own.

    >>> is_gated(gal_dropout(0.1, untied=True)["state"])
    True
    """
    return bool(drop.groups.parsed.labels == _GATED_AXES)
