"""The fused layers draw, follow modes and schedules, and keep state as the layers do that they stand for."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import dropkit
from dropkit import DropkitError
from dropkit.torch import (
    Dropout,
    DropoutAdd,
    DropoutAddLayerNorm,
    LinearActDropout,
    Stepper,
    fused,
    under_key,
)

X, RESIDUAL = torch.randn(2, 40, 6, generator=torch.Generator().manual_seed(0)).unbind()
Make = Callable[[Any], nn.Module]


class Composed(nn.Module):
    """What a fused layer stands for, with its weights."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer, self.dropout = layer, Dropout(layer.p)

    def forward(self, x: Tensor, *residual: Tensor) -> Any:
        layer: Any = self.layer
        if isinstance(layer, LinearActDropout):
            return self.dropout(fused.ACTIVATIONS[layer.activation](F.linear(x, layer.weight, layer.bias)))
        added = residual[0] + self.dropout(x)
        if isinstance(layer, DropoutAdd):
            return added
        normed = F.layer_norm(added, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
        return (normed, added) if layer.prenorm else normed


MAKE: dict[str, tuple[Make, tuple[Tensor, ...]]] = {
    **{name: (partial(LinearActDropout, 6, 9, activation=name), (X,)) for name in fused.ACTIVATIONS},
    "no bias": (lambda p: LinearActDropout(6, 9, p, "gelu", bias=False), (X,)),
    "add": (DropoutAdd, (X, RESIDUAL)),
    "norm": (lambda p: DropoutAddLayerNorm(6, p), (X, RESIDUAL)),
    "prenorm": (lambda p: DropoutAddLayerNorm(6, p, prenorm=True, bias=False), (X, RESIDUAL)),
}


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MAKE)
def test_a_layer_is_its_composition(name: str, training: bool, rate: float) -> None:
    make, inputs = MAKE[name]
    layer = make(rate)
    found: list[Tensor] = []
    expected: list[Tensor] = []
    for each, into in ((layer, found), (Composed(layer), expected)):
        torch.manual_seed(3)
        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        y = each.train(training)(*leaves)
        outputs = y if isinstance(y, tuple) else (y,)
        wanted = [*leaves, *layer.parameters()]
        total = sum(output.square().sum() for output in outputs)
        into += [*outputs, *torch.autograd.grad(total, wanted, allow_unused=True)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", MAKE)
def test_the_mode_the_key_and_the_schedule_rule(name: str) -> None:
    make, inputs = MAKE[name]
    layer: Any = make(dropkit.linear_schedule(0.0, 0.5, 10))

    def first() -> Tensor:
        y: Any = layer(*inputs)
        last: Tensor = y[-1] if isinstance(y, tuple) else y
        return last

    assert torch.equal(first(), first())
    Stepper(layer).move_to(10)
    assert layer.p == 0.5
    assert not torch.equal(first(), first())
    with under_key(layer, 5):
        assert torch.equal(first(), first())
    layer.eval()
    assert torch.equal(first(), first())
    with dropkit.mode(layer, "mc"):
        assert not torch.equal(first(), first())


@pytest.mark.parametrize("name", MAKE)
def test_a_compiled_layer_has_no_graph_break(name: str) -> None:
    make, inputs = MAKE[name]
    layer = make(0.3)
    torch.manual_seed(3)
    expected = layer(*inputs)
    torch.manual_seed(3)
    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="aot_eager")(*inputs), expected)


@pytest.mark.parametrize("name", ["relu", "add", "norm", "prenorm"])
def test_a_schedule_moves_on_in_one_graph_and_draws_as_dropout_does(name: str) -> None:
    make, inputs = MAKE[name]
    layer = make(dropkit.linear_schedule(0.0, 1.0, 10))
    composed: Any = Composed(layer)
    composed.dropout = Dropout(dropkit.linear_schedule(0.0, 1.0, 10))
    torch._dynamo.reset()
    graphs: list[Any] = []

    def counting(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(layer, fullgraph=True, backend=counting)
    stepper = Stepper(composed)
    for _ in range(11):
        found: list[Any] = []
        for each in (layer, composed, compiled):
            torch.manual_seed(3)
            found.append((each(*inputs), torch.rand(())))  # the generator stands alike too
        for other in found[1:]:
            torch.testing.assert_close(found[0], other)
        stepper.step()
    assert layer.p == 1.0
    assert len(graphs) == 1


def test_the_threshold_of_a_schedule_follows_a_state_and_a_device() -> None:
    layer: Any = DropoutAdd(dropkit.linear_schedule(0.0, 0.5, 10))
    Stepper(layer).move_to(10)
    copy = DropoutAdd(dropkit.linear_schedule(0.0, 0.5, 10))
    copy.load_state_dict(layer.state_dict())
    assert copy.threshold == layer.threshold == 2**31
    layer.to("meta").to_empty(device="cpu")
    assert layer.threshold == 0
    layer.p = 0.3
    assert layer.threshold is None
    assert list(layer.state_dict()) == []


def test_the_parameters_are_those_of_torch() -> None:
    layer = LinearActDropout(6, 9, 0.1)
    layer.load_state_dict(nn.Linear(6, 9).state_dict())
    norm = DropoutAddLayerNorm(6, 0.1)
    norm.load_state_dict(nn.LayerNorm(6).state_dict())
    assert repr(layer) == (
        "LinearActDropout(in_features=6, out_features=9, bias=True, activation='relu', p=0.1)"
    )
    assert repr(norm).startswith("DropoutAddLayerNorm((6,), eps=1e-05")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearActDropout(6, 9, 1.5), "p must"),
        (lambda: LinearActDropout(6, 9, activation="tanh"), "activation"),
        (lambda: DropoutAdd(-0.1), "p must"),
        (lambda: DropoutAddLayerNorm(6, float("nan")), "p must"),
    ],
)
def test_what_does_not_fit_is_refused_at_construction(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(DropkitError, match=words):
        make()
