from typing import Any

import pytest
import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.torch.weighted import check_linear, weighted

LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (nn.Linear(6, 3), (2, 6)),
    (nn.Conv1d(4, 6, 3, padding=1, padding_mode="circular"), (2, 4, 9)),
    (nn.Conv2d(4, 6, 3, stride=2, groups=2), (2, 4, 9, 9)),
    (nn.Conv3d(2, 3, 2, dilation=2), (1, 2, 5, 5, 5)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_its_own_weight_gives_the_layer_less_its_bias(layer: Any, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    bias = layer.bias.reshape(-1, *(1,) * (len(shape) - 2))
    assert torch.allclose(weighted(layer, x, layer.weight) + bias, layer(x), atol=1e-6)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.ConvTranspose1d(1, 1, 1), None])
def test_what_has_no_such_weight_is_refused(layer: Any) -> None:
    with pytest.raises(DropkitError, match=r"layer is a torch.nn.Linear, Conv1d, Conv2d or Conv3d, got"):
        check_linear(layer)
