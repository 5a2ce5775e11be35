"""The margin of equivalence: how small a difference must be to count as none."""

from __future__ import annotations

import re

from dropkit.core.check import DropkitError

__all__ = ["MARGIN", "parse_margin"]

MARGIN = "0.5%"
"""Half a point of error, or half a per cent of none's RMSE or NLL (for a regression, the nats that as
much RMSE adds to the NLL).

Two trainings of one network with two seeds differ by about as much on a few thousand test rows, so that less
is seldom worth another setting to look after; a study that cares for less, or more, says so.
"""

_FORM = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%")


def parse_margin(margin: str) -> float | None:
    """The share that a margin means, None for `off`.

    Args:
        margin: `off`, or a number in (0, 100) with a sign of per cent.

    Raises:
        DropkitError: it is neither.

    >>> parse_margin("0.5%"), parse_margin("off")
    (0.005, None)
    """
    if margin == "off":
        return None
    found = _FORM.fullmatch(margin) if isinstance(margin, str) else None
    share = float(found[1]) / 100 if found else 0.0
    if not 0 < share < 1:
        rule = "must be 'off', or a number above 0 and below 100 with a sign of per cent"
        raise DropkitError("margin", rule, margin, "write e.g. 0.5%")
    return share
