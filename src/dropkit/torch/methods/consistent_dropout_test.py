import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.reference import mask
from dropkit.methods.consistent_dropout import consistent_dropout
from dropkit.testing import Declared, Subject, layer_subject, shapes_for
from dropkit.torch import ConsistentDropout, under_key


class Pooled(ConsistentDropout):
    """What mode "mc" draws, in training too: so that the contract can examine it."""

    pooled = True


def subject(channels: bool) -> Subject:
    def declare(rate: float, shape: tuple[int, ...]) -> Declared:
        return Declared.of(consistent_dropout(rate, channels), shape)

    shapes = shapes_for(consistent_dropout(0.5, channels).groups)
    name = f"channels={channels}"
    return layer_subject(lambda p: Pooled(p, channels=channels), name, declare=declare, shapes=shapes)


SUBJECTS = [subject(channels) for channels in (False, True)]


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), ConsistentDropout(0.5), nn.Tanh(), ConsistentDropout(0.3)).eval()


def predict(net: nn.Module, points: torch.Tensor, key: Key, size: int) -> torch.Tensor:
    with dropkit.mode(net, "mc"), under_key(net, key), torch.no_grad():
        return torch.cat([net(batch) for batch in torch.split(points, size)])


@pytest.mark.parametrize("channels", [False, True])
def test_equals_the_reference_with_its_gradient(channels: bool) -> None:
    x = torch.randn(3, 8, 5, dtype=torch.float64, requires_grad=True)
    layer = ConsistentDropout(0.4, channels=channels).eval()
    factor = torch.from_numpy(mask(9, (3, 8, 5), consistent_dropout(0.4, channels)))
    with dropkit.mode(layer, "mc"):
        y = layer(x, key=9)
    assert torch.equal(y, factor * x)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad, factor)


@pytest.mark.parametrize("size", [1, 4, 7])
def test_the_size_of_batches_does_not_change_a_pass(size: int) -> None:
    net, points = model(), torch.randn(10, 6)
    whole = predict(net, points, Key(2), 10)
    assert torch.allclose(predict(net, points, Key(2), size), whole, atol=1e-6)
    assert torch.equal(predict(net, points, Key(2), size) == 0, whole == 0)
    assert not torch.equal(predict(net, points, Key(3), size) == 0, whole == 0)


def test_one_call_without_a_key_shares_its_mask_and_the_next_has_another() -> None:
    layer, x = ConsistentDropout(0.5).eval(), torch.ones(4, 64)
    with dropkit.mode(layer, "mc"):
        first, second = layer(x), layer(x)
    assert torch.equal(first, first[:1].expand_as(first))
    assert not torch.equal(first, second)


def test_training_is_ordinary_dropout() -> None:
    drawn = ConsistentDropout(0.5)(torch.ones(5, 64), key=3)
    assert np.array_equal(drawn.numpy(), mask(3, (5, 64), dropkit.Drop(0.5)))
    whole = ConsistentDropout(0.5, channels=True)(torch.ones(5, 64, 3), key=3)
    assert np.array_equal(whole.numpy(), mask(3, (5, 64, 3), dropkit.Drop(0.5, "b c ... -> b c")))


def test_evaluation_returns_its_input() -> None:
    x = torch.ones(2, 3)
    assert ConsistentDropout(0.5).eval()(x) is x


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_rates_at_the_ends(p: float, expected: float) -> None:
    layer = Pooled(p)
    assert torch.equal(layer(torch.ones(2, 3)), torch.full((2, 3), expected))


def test_a_copy_draws_alike() -> None:
    layer = Pooled(0.5, channels=True)
    x = torch.ones(2, 16, 3)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x, key=1), layer(x, key=1))


@pytest.mark.parametrize("arguments", [{"p": 1.5}, {"p": 0.5, "channels": 1}])
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(DropkitError, match=r"p must be|channels must be"):
        ConsistentDropout(**arguments)
