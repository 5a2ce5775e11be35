import copy
from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.check import RATE
from dropkit.core.reference import mask
from dropkit.methods.lora_dropout import lora_dropout
from dropkit.torch import LoRALinear, Stepper, under_key

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def trained(**arguments: Any) -> LoRALinear:
    layer = LoRALinear(nn.Linear(6, 4), 2, **arguments)
    nn.init.normal_(layer.lora_B)
    return layer


def numpy_mask(key: Key, shape: tuple[int, ...], drop: dropkit.Drop) -> torch.Tensor:
    return torch.from_numpy(mask(key, shape, drop)).float()


@pytest.mark.parametrize("scale", ["train", "none"])
def test_a_pass_is_that_of_the_masked_matrices(scale: Any) -> None:
    layer, (columns, rows) = trained(p=0.4, alpha=6.0, scale=scale), lora_dropout(0.4, scale)
    a = layer.lora_A * numpy_mask(Key(3).fold("lora_A"), (2, 6), columns)
    b = layer.lora_B * numpy_mask(Key(3).fold("lora_B"), (4, 2), rows)
    torch.testing.assert_close(layer(X, key=3), layer.module(X) + 3.0 * X @ a.T @ b.T)


def test_the_dropout_of_peft_hits_entries_of_the_input_of_the_update_alone() -> None:
    layer = trained(input_p=0.4)
    x = X * numpy_mask(Key(3).fold("input"), (5, 6), dropkit.Drop(0.4))
    expected = layer.module(X) + x @ layer.lora_A.T @ layer.lora_B.T
    torch.testing.assert_close(layer(X, key=3), expected)


def test_a_fresh_layer_is_what_it_was_and_only_the_update_trains() -> None:
    layer = LoRALinear(nn.Linear(6, 4), 2, p=0.5)
    assert torch.equal(layer(X), layer.module(X))
    layer(X).sum().backward()
    trained = {name for name, part in layer.named_parameters() if part.requires_grad}
    assert trained == {"lora_A", "lora_B"}
    assert layer.module.weight.grad is None
    assert layer.lora_B.grad is not None


def test_gradients_are_zero_where_an_input_or_output_was_dropped() -> None:
    layer, (columns, rows) = trained(p=0.5), lora_dropout(0.5)
    layer(X, key=3).square().sum().backward()
    a, b = (
        numpy_mask(Key(3).fold(n), s, d)
        for n, s, d in (("lora_A", (2, 6), columns), ("lora_B", (4, 2), rows))
    )
    assert layer.lora_A.grad is not None
    assert layer.lora_B.grad is not None
    assert torch.equal(layer.lora_A.grad != 0, a != 0)
    assert torch.equal(layer.lora_B.grad != 0, b != 0)


@pytest.mark.parametrize("bias", [True, False])
def test_evaluation_is_the_merged_layer(bias: bool) -> None:
    layer = LoRALinear(nn.Linear(6, 4, bias=bias), 2, 0.5, input_p=0.5).eval()
    nn.init.normal_(layer.lora_B)
    plain = layer.merged()
    assert type(plain) is nn.Linear
    torch.testing.assert_close(plain(X), layer(X))
    assert torch.equal(layer(X), layer(X))


def test_monte_carlo_passes_are_the_ensemble() -> None:
    layer = trained(p=0.5).eval()
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), layer.train()(X, key=1))
        assert not torch.equal(layer(X), layer(X))
    layer.eval().force("mc")
    assert layer.drawing
    assert not torch.equal(layer(X), layer(X))


def test_the_ends() -> None:
    none = trained(p=0.0)
    torch.testing.assert_close(none(X), none.eval()(X))
    assert not none.can_draw
    whole = trained(p=1.0)
    assert torch.equal(whole(X), whole.module(X))


def test_a_stream_gives_each_matrix_a_mask_of_its_own() -> None:
    model = nn.Sequential(trained(p=0.5, input_p=0.5))
    with under_key(model, 5):
        assert torch.equal(model(X), model[0](X, key=Key(5).fold("0")))


def test_a_schedule_moves_both_sides() -> None:
    layer = trained(p=dropkit.linear_schedule(0.0, 1.0, 4))
    Stepper(layer, 4)
    assert layer.p == 1.0
    assert torch.equal(layer(X), layer.module(X))


def test_a_copy_and_a_loaded_layer_are_the_same() -> None:
    layer, fresh = trained(p=0.5), LoRALinear(nn.Linear(6, 4), 2, p=0.5)
    assert list(layer.state_dict()) == ["lora_A", "lora_B", "module.weight", "module.bias"]
    fresh.load_state_dict(layer.state_dict())
    for other in (fresh, copy.deepcopy(layer)):
        assert torch.equal(other(X, key=2), layer(X, key=2))


def test_a_graph_draws_afresh_at_each_call_and_evaluates_alike() -> None:
    layer = trained(p=0.5)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))
    layer.eval()
    torch.testing.assert_close(compiled(X), layer(X))


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (nn.Conv2d(2, 2, 1), {}, "module is one of nn.Linear, got 'Conv2d'"),
        (nn.Linear(2, 2), {"rank": 0}, "rank must be a whole number"),
        (nn.Linear(2, 2), {"alpha": 0.0}, r"alpha must be a number in \(0, inf\)"),
        (nn.Linear(2, 2), {"input_p": 1.5}, "p must be a number"),
        (nn.Linear(2, 2), {"scale": "test"}, "scale must be one of"),
    ],
)
def test_what_is_wrong_is_said_at_construction(module: Any, arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        LoRALinear(module, **arguments)


@pytest.mark.parametrize("p", RATE.bad())
def test_a_rate_out_of_range_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match=r"(p|rate) must be a number"):
        LoRALinear(nn.Linear(2, 2), 2, p)
