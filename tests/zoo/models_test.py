"""Every dropout in models of timm and torchvision becomes ours: `make zoo`, in an environment with both."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from dropkit.surgery import use_dropkit
from dropkit.torch import DropPath, replace_functional, under_key
from dropkit.torch.stochastic import Stochastic

timm: Any = pytest.importorskip("timm", reason="make zoo has an environment with timm and torchvision")
torchvision: Any = pytest.importorskip("torchvision", reason="make zoo has one")

TIMM = [
    "coatnet_nano_rw_224",
    "convnext_atto",
    "deit_tiny_distilled_patch16_224",
    "efficientnet_b0",
    "levit_128s",
    "mixer_s32_224",
    "mobilenetv3_small_050",
    "poolformerv2_s12",
    "regnety_002",
    "resnet18",
    "swin_tiny_patch4_window7_224",
    "vit_tiny_patch16_224",
]
TORCHVISION = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "swin_t",
    "vgg11",
    "vit_b_32",
]
PATHS = "DropPath", "StochasticDepth"
X = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def of_timm(name: str) -> nn.Module:
    return timm.create_model(name, pretrained=False, drop_rate=0.1, drop_path_rate=0.2)  # type: ignore[no-any-return]  # untyped


def of_torchvision(name: str) -> nn.Module:
    settings: dict[str, Any] = {"drop_rate": 0.1} if name == "densenet121" else {}
    settings |= {"aux_logits": False} if name == "googlenet" else {}
    return torchvision.models.get_model(name, weights=None, **settings)  # type: ignore[no-any-return]  # untyped


MODELS: dict[str, tuple[Callable[[str], nn.Module], str]] = {
    **{f"timm {name}": (of_timm, name) for name in TIMM},
    **{f"torchvision {name}": (of_torchvision, name) for name in TORCHVISION},
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    make, name = MODELS[request.param]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say of their own initialisation
        model = make(name)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)  # a head of zeros would hide what is random before it
    return model


def sources(model: nn.Module) -> dict[str, nn.Module]:
    """Modules that drop, by what they are."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _DropoutNd | Stochastic) or type(module).__name__ in PATHS
    }


def rate(module: Any) -> float:
    return float(next(getattr(module, name) or 0.0 for name in ("drop_prob", "p") if hasattr(module, name)))


def called(model: nn.Module) -> Tensor:
    out: Any = model(X)
    return out[0] if isinstance(out, tuple) else out  # type: ignore[no-any-return]  # of distilled models


def test_every_dropout_is_ours_with_its_rate_and_eval_is_the_same_bit_for_bit(model: nn.Module) -> None:
    before = sources(model)
    changed = use_dropkit(model)
    after = sources(changed.model)
    assert after.keys() == before.keys()
    assert {swap.name for swap in changed.swaps} == before.keys()
    for name, module in after.items():
        assert isinstance(module, Stochastic)
        assert rate(module) == rate(before[name])
        old: Any = before[name]
        if type(old).__name__ == "DropPath":
            assert isinstance(module, DropPath)
            assert (module.description.scale == "train") == old.scale_by_keep
    with torch.no_grad():
        assert torch.equal(called(changed.model.eval()), called(model.eval()))
    assert list(changed.model.state_dict()) == list(model.state_dict())


def test_all_that_is_random_in_training_is_ours(model: nn.Module) -> None:
    changed = use_dropkit(model, inplace=True)
    drops = any(rate(module) > 0 for module in sources(model).values()) or changed.kept

    def trained(key: int, seed: int = 0) -> Tensor:
        streams = under_key(model, key) if sources(model) else nullcontext()
        with torch.no_grad(), replace_functional(), streams:
            torch.manual_seed(seed)
            return called(model)

    model.train()
    # Functions have no stream of their own. Where none is left, what still follows the seed is not ours.
    other = 0 if changed.kept else 1
    assert torch.equal(trained(5), trained(5, other))
    if any(rate(module) > 0 for module in sources(model).values()):
        assert not torch.equal(trained(5), trained(6))
    if drops:
        with torch.no_grad(), replace_functional():
            torch.manual_seed(0)
            first = called(model)
            assert not torch.equal(first, called(model))


def test_undo_puts_every_module_back(model: nn.Module) -> None:
    kinds = [type(module) for module in model.modules()]
    parameters = list(model.parameters())
    changed = use_dropkit(model, inplace=True)
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))
    changed.undo()
    assert [type(module) for module in model.modules()] == kinds


def test_what_calls_functions_is_told() -> None:
    told = {kept.module for kept in use_dropkit(of_timm("resnet18")).kept}
    assert "ResNet" in told
    told = {kept.module for kept in use_dropkit(of_torchvision("densenet121")).kept}
    assert told == {"_DenseLayer"}
