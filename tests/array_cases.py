"""What the arrays of every framework are tried on, against NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.bind import Window
from dropkit.core.groups import Blocks, KofN
from dropkit.core.key import Key
from dropkit.core.rate import PerAxis

Array = np.ndarray[Any, Any]

SHAPE = (4, 6, 8, 9)
KEY = Key(2**63 + 7).fold("drop", 3)
ULP = 2.0**-24
ALONG = PerAxis((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), over="c")
DECIDED: list[tuple[Any, Any]] = [
    (0.5, "..."),
    (0.0, "..."),
    (1.0, "..."),
    (0.3, "b c ... -> b c"),
    (0.3, "... -> "),
    (0.3, "b c h w -> w b"),
    (0.3, "b c h w -> w b c"),
    (0.3, "b c (h 4) w -> c h"),
    (0.2, Blocks((3, 4), over="h w")),
    (0.2, Blocks(3, over="h w", published=True)),
    (None, KofN(3, over="c", pattern="b c h w -> b c")),
    (0.4, KofN(over="w")),
    (ALONG, "b c h w -> b c"),
]
WINDOWS = [
    (Window((2**33 + 2**26 - 5, 3), (2**34, 16, 8, 9)), "bernoulli"),
    (Window((100, 3), (2**34, 16, 8, 9)), "alpha"),
    (Window((2**40 + 5,)), "bernoulli"),
    (Window((2**29 - 1,), None), "bernoulli"),
    (Window((1, 1, 1, 1), (9, 9, 9, 99)), "gaussian"),
]


def some(shape: tuple[int, ...] = SHAPE) -> Array:
    """Normal numbers."""
    return np.random.default_rng(0).standard_normal(shape).astype("float32")
