"""The fused layers of a transformer are torch's: its outputs in eval, the unfused masks in training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import dropkit
from dropkit import DropkitError
from dropkit.surgery import use_dropkit
from dropkit.torch import (
    Dropout,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    fused,
    native,
    under_key,
)
from dropkit.torch.stochastic import taken_over

SIZES = 16, 4, 24
X, MEMORY = (
    torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0)),
    torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(1)),
)
KINDS: dict[str, tuple[type[Any], type[Any]]] = {
    "encoder": (nn.TransformerEncoderLayer, TransformerEncoderLayer),
    "decoder": (nn.TransformerDecoderLayer, TransformerDecoderLayer),
}


def call(layer: nn.Module, x: Tensor = X, **masks: Any) -> Tensor:
    inputs = (x, MEMORY) if isinstance(layer, nn.TransformerDecoderLayer) else (x,)
    return layer(*inputs, **masks)  # type: ignore[no-any-return]  # modules are untyped


def pair(kind: str, **settings: Any) -> tuple[nn.Module, nn.Module]:
    """Torch's layer and ours with the same weights."""
    theirs, ours = KINDS[kind]
    torch.manual_seed(0)
    before, after = theirs(*SIZES, **settings), ours(*SIZES, **settings)
    after.load_state_dict(before.state_dict())
    return before, after


def unfused(layer: nn.Module) -> nn.Module:
    """The same layer with its dropouts, computed by torch's own code."""
    theirs: type[nn.Module] = next(theirs for theirs, ours in KINDS.values() if type(layer) is ours)
    return taken_over(layer, theirs)


SETTINGS = [
    {"batch_first": True},
    {"norm_first": True},
    {"activation": F.gelu, "batch_first": True, "bias": False},
    {"activation": nn.SiLU(), "norm_first": True, "batch_first": True},
    {"activation": nn.GELU("tanh")},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_training_is_that_of_the_unfused_layer(kind: str, settings: dict[str, Any]) -> None:
    _, layer = pair(kind, dropout=0.3, **settings)
    outputs, gradients = [], []
    for each in (layer, unfused(layer)):
        torch.manual_seed(7)
        x = X.clone().requires_grad_()
        y = call(each, x)
        outputs.append(y)
        gradients.append(torch.autograd.grad(y.square().sum(), [x, *each.parameters()]))
    torch.testing.assert_close(*outputs)
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_draws_takes_the_fused_forms(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    def noted(name: str) -> Any:
        form = getattr(fused, name)

        def call(*arguments: Any, **settings: Any) -> Any:
            used.append(name)
            return form(*arguments, **settings)

        return call

    for name in fused.__all__:
        monkeypatch.setattr(fused, name, noted(name))
    branches = 2 if kind == "encoder" else 3
    call(pair(kind, norm_first=True)[1])
    assert sorted(used) == ["bias_act_dropout", "dropout_add", *["dropout_add_layer_norm"] * (branches - 1)]
    used.clear()
    call(pair(kind)[1].eval())
    assert not used


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_eval_is_torchs_bit_for_bit(kind: str, settings: dict[str, Any]) -> None:
    before, after = (each.eval() for each in pair(kind, **settings))
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            assert torch.equal(call(after), call(before))


@pytest.mark.parametrize("rate", [0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_rates_at_both_ends(kind: str, rate: float) -> None:
    before, after = pair(kind, dropout=rate, batch_first=True)
    torch.testing.assert_close(call(after), call(before))


def test_masks_reach_attention() -> None:
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    padding = torch.tensor([[False] * 4 + [True]] * 3)
    before, after = pair("encoder", dropout=0.0, batch_first=True)
    added = torch.zeros(padding.shape).masked_fill(padding, -torch.inf)
    masks = {"src_mask": causal, "src_key_padding_mask": added}
    torch.testing.assert_close(call(after, is_causal=True, **masks), call(before, is_causal=True, **masks))
    before, after = pair("decoder", dropout=0.0, batch_first=True)
    masks = {"tgt_mask": causal, "memory_mask": causal, "memory_key_padding_mask": added}
    masks["tgt_key_padding_mask"] = added
    torch.testing.assert_close(call(after, **masks), call(before, **masks))


def test_the_mode_and_the_key_rule_as_in_every_layer() -> None:
    layer = pair("encoder", dropout=0.3)[1]
    with under_key(layer, 5):
        assert torch.equal(call(layer), call(layer))
    layer.eval()
    assert torch.equal(call(layer), call(layer))
    with dropkit.mode(layer, "mc"):
        assert not torch.equal(call(layer), call(layer))


def listened(layer: Any, heard: list[int]) -> None:
    layer.linear1.register_forward_hook(lambda *_: heard.append(1))


def own_norm(layer: Any, heard: list[int]) -> None:
    class Norm(nn.LayerNorm):
        def forward(self, x: Tensor) -> Tensor:
            heard.append(1)
            return super().forward(x)

    layer.norm2 = Norm(16)


def own_activation(layer: Any, heard: list[int]) -> None:
    def activation(x: Tensor) -> Tensor:
        heard.append(1)
        return F.relu(x)

    layer.activation = activation


def own_forward(layer: Any, heard: list[int]) -> None:
    old = layer.dropout.forward

    def forward(x: Tensor) -> Any:
        heard.append(1)
        return old(x)

    layer.dropout.forward = forward


@pytest.mark.parametrize("change", [listened, own_norm, own_activation, own_forward])
def test_a_part_that_was_changed_is_called(change: Callable[[Any, list[int]], None]) -> None:
    layer, heard = pair("encoder")[1], list[int]()
    change(layer, heard)
    call(layer)
    assert heard == [1]


def test_schedules_and_scales_of_the_parts_count() -> None:
    layer: Any = pair("encoder", dropout=0.0)[1]
    expected = call(layer)
    layer.dropout1 = Dropout(dropkit.linear_schedule(0.0, 1.0, 10))
    assert torch.equal(call(layer), expected)
    dropkit.torch.Stepper(layer).move_to(10)
    assert not torch.equal(call(layer), expected)
    layer.dropout1 = Dropout(0.5, scale="eval")
    torch.manual_seed(1)
    y = call(layer)
    torch.manual_seed(1)
    torch.testing.assert_close(y, call(unfused(layer)))


def test_a_compiled_layer_has_no_graph_break_and_the_same_masks() -> None:
    layer = pair("encoder", dropout=0.3, batch_first=True)[1]
    torch.manual_seed(3)
    expected = call(layer)
    torch.manual_seed(3)
    found = torch.compile(layer, fullgraph=True, backend="aot_eager")(X)
    torch.testing.assert_close(found, expected)


def test_half_types_of_autocast() -> None:
    layer = pair("encoder", dropout=0.3, batch_first=True)[1]
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(3)
        found = call(layer)
        torch.manual_seed(3)
        expected = call(unfused(layer))
    assert found.dtype == expected.dtype
    eps = torch.finfo(torch.bfloat16).eps
    torch.testing.assert_close(found, expected, rtol=8 * eps, atol=8 * eps)


def test_a_stack_is_exchanged_undone_and_stays_torchs_in_eval() -> None:
    torch.manual_seed(0)
    model = nn.Transformer(16, 4, 2, 2, 24, 0.1, batch_first=True)
    changed = use_dropkit(model)
    ours: Any = changed.model
    assert [type(each) for each in ours.encoder.layers] == [TransformerEncoderLayer] * 2
    assert [type(each) for each in ours.decoder.layers] == [TransformerDecoderLayer] * 2
    with torch.no_grad():
        assert torch.equal(ours.eval()(X, MEMORY), model.eval()(X, MEMORY))
    ours.train().encoder.layers[0].dropout1.eval()
    back: Any = changed.undo()
    assert not [each for each in back.modules() if type(each).__module__.startswith("dropkit")]
    assert back.training
    assert not back.encoder.layers[0].dropout1.training


def test_copies_keep_an_activation_that_is_a_module() -> None:
    before, after = (each.eval() for each in pair("decoder", activation=nn.SiLU()))
    assert torch.equal(call(copy.deepcopy(after)), call(before))
    assert torch.equal(call(use_dropkit(before).model), call(before))


def test_in_place_a_layer_by_itself_stays_the_object_that_it_is() -> None:
    layer: Any = nn.TransformerEncoderLayer(*SIZES)
    assert use_dropkit(layer, inplace=True).model is layer
    assert type(layer.dropout1) is Dropout


def test_a_hooked_layer_keeps_its_class_and_its_parts_change() -> None:
    layer = nn.TransformerEncoderLayer(*SIZES)
    layer.register_forward_hook(lambda *_: None)
    changed: Any = use_dropkit(layer).model
    assert type(changed) is nn.TransformerEncoderLayer
    assert type(changed.dropout1) is Dropout


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_out_of_range_is_refused(kind: str) -> None:
    with pytest.raises(DropkitError, match=r"dropout.*1\.5"):
        KINDS[kind][1](*SIZES, dropout=1.5)
    with pytest.raises(DropkitError, match=r"nhead.*divides"):
        KINDS[kind][1](10, 3)
    with pytest.raises(DropkitError, match="nhead"):
        KINDS[kind][1](10, 0)


@pytest.mark.skipif(not native.AVAILABLE, reason="needs the native loops")
@pytest.mark.parametrize("batch_first", [False, True])
def test_no_form_takes_the_plain_road(batch_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[bool] = []
    found = fused._served

    def noted(*tensors: Any) -> bool:
        served.append(found(*tensors))
        return served[-1]

    monkeypatch.setattr(fused, "_served", noted)
    call(pair("decoder", dropout=0.1, batch_first=batch_first)[1])
    assert served
    assert all(served)
