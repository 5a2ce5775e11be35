"""What `dropkit.drop` and `dropkit.mode` call for torch."""

from __future__ import annotations

import torch

from dropkit.core.bind import Window
from dropkit.core.drop import Drop
from dropkit.core.mode import Mode
from dropkit.torch.functional import drop
from dropkit.torch.keys import AnyKey
from dropkit.torch.mode import switch

__all__ = ["apply", "switch"]

_WHOLE_ARRAY = Window()


# A description is built in each call, which Dynamo cannot follow: here a graph breaks, layers compile whole.
@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch.compiler is untyped
def apply(
    x: torch.Tensor,
    description: Drop,
    key: AnyKey | None = None,
    mode: Mode = "train",
    window: Window = _WHOLE_ARRAY,
    fill: torch.Tensor | None = None,
) -> torch.Tensor:
    """Drop entries of a tensor: `dropkit.drop` for torch."""
    return drop(x, description, mode=mode, key=key, window=window, fill=fill)
