"""When a dropout draws, and where its factor 1 / (1 - rate) goes."""

from __future__ import annotations

from typing import Literal, get_args

from dropkit.core.check import OneOf

__all__ = ["MODE", "SCALE", "Mode", "Scale"]

Mode = Literal["train", "eval", "mc"]
"""train draws; eval applies the noise's eval map; mc (Monte Carlo) draws although the model is in eval."""

Scale = Literal["train", "eval", "none"]
"""train: kept entries grow by 1 / (1 - rate) (inverted dropout, the default); eval: all entries shrink by
1 - rate at evaluation (Srivastava et al. 2014); none: nowhere."""

MODE = OneOf(get_args(Mode))
SCALE = OneOf(get_args(Scale))
