import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit import DropkitError, Key
from dropkit.torch import Dropout
from dropkit.torch.streams import name_streams, under_key


def make_model() -> nn.Sequential:
    return nn.Sequential(Dropout(0.5), nn.Sequential(nn.Identity(), Dropout(0.5)))


def test_each_layer_draws_from_the_stream_that_bears_its_path() -> None:
    model, x = make_model(), torch.ones(100)
    with under_key(model, 5):
        y = model(x)
    first = dropkit.drop(x, 0.5, key=Key(5).fold("0"))
    assert torch.equal(y, dropkit.drop(first, 0.5, key=Key(5).fold("1.1")))


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrappers_leave_the_names_alone(wrap: type) -> None:
    assert list(name_streams(wrap(make_model()))) == ["0", "1.1"]


def test_two_layers_of_one_name_are_refused() -> None:
    model = nn.Module()
    model.add_module("a", Dropout(0.5))
    model.add_module("module", nn.Module())
    model.get_submodule("module").add_module("a", Dropout(0.5))
    with pytest.raises(DropkitError, match=r"a name of its own, got 'a'; rename"):
        name_streams(model)


FOREIGN: dict[str, nn.Module] = {
    "Dropout": nn.Dropout(0.5),
    "MultiheadAttention": nn.MultiheadAttention(8, 2, dropout=0.5),
    "LSTM": nn.LSTM(8, 8, num_layers=2, dropout=0.5),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("ours", [Dropout(0.5), nn.Identity()], ids=str)
def test_what_no_key_reaches_is_refused_by_name(name: str, ours: nn.Module) -> None:
    model = nn.Sequential(ours, FOREIGN[name])
    with pytest.raises(DropkitError, match=f"got '1: {name}'.*use_dropkit"), under_key(model, 5):
        pass


def test_what_never_drops_is_let_be() -> None:
    with under_key(nn.Sequential(Dropout(0.5), nn.Dropout(0.0), nn.LSTM(8, 8)), 5):
        pass


@pytest.mark.parametrize("name", FOREIGN)
def test_after_surgery_the_key_reaches_all(name: str) -> None:
    model = dropkit.surgery.use_dropkit(nn.Sequential(FOREIGN[name])).model
    with under_key(model, 5):
        pass


def test_a_model_without_our_layers_is_refused() -> None:
    with pytest.raises(DropkitError, match="has layers of dropkit"):
        name_streams(nn.Linear(2, 2))


def test_the_generator_serves_again_after_the_block_even_after_an_error() -> None:
    model = make_model()
    with pytest.raises(RuntimeError, match="stop"), under_key(model, 5):
        raise RuntimeError("stop")
    assert [layer.stream_key for layer in name_streams(model).values()] == [None, None]


def test_blocks_nest() -> None:
    model, x = make_model(), torch.ones(100)
    with under_key(model, 1):
        outer = model(x)
        with under_key(model, 2):
            assert not torch.equal(model(x), outer)
        assert torch.equal(model(x), outer)


def test_recomputed_activations_meet_the_same_mask_without_the_generators_state() -> None:
    layer, x = Dropout(0.5), torch.ones(1000, requires_grad=True)
    with under_key(layer, 3):
        y = checkpoint(lambda x: layer(x) ** 2, x, use_reentrant=False, preserve_rng_state=False)
        y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad != 0, y != 0)


def test_a_key_of_its_own_wins_and_eval_draws_nothing() -> None:
    layer, x = Dropout(0.5), torch.ones(100)
    with under_key(layer, 3):
        assert torch.equal(layer(x, key=9), dropkit.drop(x, 0.5, key=9))
        assert copy.deepcopy(layer).eval()(x) is x
