"""What `dropkit.drop` and `dropkit.mode` call for torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dropkit.core.bind import Window
from dropkit.core.check import RATE, is_real
from dropkit.core.drop import Drop
from dropkit.core.mode import MODE, Mode, Scale
from dropkit.core.noise import Noise
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import carry_out
from dropkit.torch.keys import AnyKey
from dropkit.torch.mode import switch
from dropkit.torch.run import Call, constant, law_of

__all__ = ["drop", "switch"]


def drop(
    x: torch.Tensor,
    rate: Any,
    groups: Any,
    noise: str | Noise,
    scale: Scale,
    sizes: Mapping[str, int],
    mode: Mode,
    key: AnyKey | None,
    window: Window,
) -> torch.Tensor:
    """Drop entries of a tensor: `dropkit.drop` for torch."""
    check_tensor(x, "x")
    MODE.check("mode", mode)
    plain = is_real(rate)
    law = _law(0.0 if plain else rate, groups, noise, scale, sizes, window)
    return carry_out(x, Call(law, RATE.check("rate", rate) if plain else None), mode, key=key)


# A description cannot be built inside a graph, but the text of one is a constant there.
@constant
def _law(
    rate: Any, groups: Any, noise: str | Noise, scale: Scale, sizes: Mapping[str, int], window: Window
) -> str:
    return law_of(Drop.of(rate, groups, noise, scale, sizes), window)
