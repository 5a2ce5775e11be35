import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.check import RATE
from dropkit.methods.weight_drop_lstm import weight_drop_lstm
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import WeightDrop

X = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1))
MODULES: list[Any] = [
    lambda: nn.LSTM(4, 5),
    lambda: nn.LSTM(4, 5, num_layers=2, bidirectional=True),
    lambda: nn.GRU(4, 5, num_layers=2, bias=False),
    lambda: nn.RNN(4, 5, bidirectional=True, nonlinearity="relu"),
]
every_module = pytest.mark.parametrize("make", MODULES, ids=["lstm", "deep lstm", "gru", "rnn"])


def declare(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(rate, shape, (1, 1), scale=1 / (1 - rate) if rate < 1 else 1.0)


SUBJECTS = [
    layer_subject(
        lambda rate: WeightDrop(nn.RNN(2, 2), rate),
        "hidden-to-hidden weights",
        lambda layer, weight, **source: layer.weight_of("weight_hh_l0", weight, **source),
        Shapes((23, 23), ((66, 4), (4, 66))),
        declare,
    )
]


def masked(module: nn.Module, key: Key, whole_rows: bool = False) -> nn.Module:
    """A copy of the module with the very weights that this key drops set to 0."""
    other, drop = copy.deepcopy(module), weight_drop_lstm(0.5, whole_rows)
    names = [name for name, _ in other.named_parameters() if name.startswith("weight_hh")]
    for name in names:
        own, weight = key if len(names) == 1 else key.fold(name), other.get_parameter(name)
        m = dropkit.mask(own, tuple(weight.shape), drop)
        with torch.no_grad():
            weight.mul_(torch.from_numpy(m).float())
    return other


@every_module
def test_a_pass_is_that_of_the_module_with_masked_weights(make: Any) -> None:
    layer = WeightDrop(make(), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, state = layer(X, key=Key(3))
    expected, states = masked(layer.module, Key(3))(X)
    assert torch.equal(y, expected)
    assert torch.equal(state[0], states[0])


@every_module
def test_evaluation_drops_nothing_and_draws_nothing(make: Any) -> None:
    layer = WeightDrop(make(), 0.9).eval()
    before = torch.get_rng_state()
    assert torch.equal(layer(X)[0], layer.module(X)[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_whole_rows_share_a_coin() -> None:
    layer = WeightDrop(nn.GRU(4, 5), 0.5, whole_rows=True)
    assert torch.equal(layer(X, key=Key(3))[0], masked(layer.module, Key(3), whole_rows=True)(X)[0])


def test_packed_sequences_and_states_pass_through() -> None:
    layer = WeightDrop(nn.LSTM(4, 5), 0.5)
    packed = pack_padded_sequence(X, [6, 4, 2])
    given = torch.ones(1, 3, 5), torch.zeros(1, 3, 5)
    y, _ = layer(packed, given, key=3)
    expected, _ = masked(layer.module, Key(3))(packed, given)
    assert isinstance(y, PackedSequence)
    assert torch.equal(y.data, expected.data)


def test_cells_are_wrapped_too() -> None:
    layer = WeightDrop(nn.GRUCell(4, 5), 0.5)
    assert layer.names == ("weight_hh",)
    h = torch.ones(3, 5)
    assert torch.equal(layer(X[0], h, key=3), masked(layer.module, Key(3))(X[0], h))


def test_the_gradient_of_a_dropped_weight_is_zero_and_all_weights_train() -> None:
    layer = WeightDrop(nn.LSTM(4, 5), 0.5)
    layer(X, key=3)[0].square().sum().backward()
    dropped = torch.from_numpy(dropkit.mask(3, (20, 5), weight_drop_lstm(0.5)) == 0)
    assert layer.module.weight_hh_l0.grad is not None
    assert torch.equal(layer.module.weight_hh_l0.grad == 0, dropped)
    assert layer.module.weight_ih_l0.grad.abs().min() > 0


def test_training_moves_the_weights_that_are_used() -> None:
    layer = WeightDrop(nn.LSTM(4, 5), 0.5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.eval()(X)[0]
    for _ in range(2):
        optimizer.zero_grad()
        layer.train()(X)[0].square().mean().backward()
        optimizer.step()
    assert not torch.equal(layer.eval()(X)[0], before)
    assert torch.equal(layer(X)[0], copy.deepcopy(layer.module)(X)[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_has_weights_of_its_own(copied: Any) -> None:
    layer = WeightDrop(nn.LSTM(4, 5), 0.5)
    layer(X)
    other = copied(layer)
    assert torch.equal(other(X, key=3)[0], layer(X, key=3)[0])
    with torch.no_grad():
        layer.module.weight_hh_l0.zero_()
    assert not torch.equal(other(X, key=3)[0], layer(X, key=3)[0])


def test_a_state_dict_is_that_of_the_module_and_loads() -> None:
    layer, fresh = WeightDrop(nn.LSTM(4, 5), 0.5), WeightDrop(nn.LSTM(4, 5), 0.5)
    assert [name.removeprefix("module.") for name in layer.state_dict()] == list(layer.module.state_dict())
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(X, key=3)[0], layer(X, key=3)[0])


def test_a_move_to_another_type_takes_the_weights_along() -> None:
    layer = WeightDrop(nn.LSTM(4, 5), 0.5)
    expected = masked(layer.module, Key(3)).double()(X.double())[0]
    assert torch.equal(layer.double()(X.double(), key=3)[0], expected)


def test_monte_carlo_passes_draw_while_the_module_is_in_eval() -> None:
    layer = WeightDrop(nn.LSTM(4, 5, num_layers=2), 0.5).eval()
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=3)[0], masked(layer.module, Key(3))(X)[0])
        assert not layer.module.training


def test_the_ends() -> None:
    layer = WeightDrop(nn.RNN(4, 5), 0.0)
    assert torch.equal(layer(X)[0], layer.module(X)[0])
    whole = WeightDrop(nn.RNN(4, 5), 1.0)
    without = copy.deepcopy(whole.module)
    torch.nn.init.zeros_(without.weight_hh_l0)
    assert torch.equal(whole(X)[0], without(X)[0])


def test_a_pass_that_fails_leaves_the_module_as_it_was() -> None:
    layer = WeightDrop(nn.LSTM(4, 5), 0.5)
    with pytest.raises((RuntimeError, ValueError)):
        layer(torch.ones(2, 3, 7))
    assert all(a is b for a, b in zip(layer.module._flat_weights, layer.module.parameters(), strict=True))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: WeightDrop(nn.Linear(2, 2)), "is a recurrent module, got 'Linear'; .*DropConnect"),
        (lambda: WeightDrop(nn.LSTM(2, 2), 0.5, ["weight_hh_0"]), "did you mean 'weight_hh_l0'"),
        (lambda: WeightDrop(nn.LSTM(2, 2), 0.5, "weight_hh_l0"), "names is a list of names"),
    ],
)
def test_what_is_wrong_is_said_at_construction(act: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        act()


@pytest.mark.parametrize("p", RATE.bad())
def test_a_rate_out_of_range_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match=r"(p|rate) must be a number"):
        WeightDrop(nn.LSTM(2, 2), p)


def test_an_input_that_the_module_cannot_take_is_refused() -> None:
    layer = WeightDrop(nn.LSTM(4, 8, batch_first=True), 0.5)
    for shape, message in (((2, 0, 4), "input has one step at least"), ((2, 5, 3), "input has the shape")):
        with pytest.raises(DropkitError, match=message):
            layer(torch.ones(shape))
