import copy

import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError, Key
from dropkit.methods.masksembles import masksembles
from dropkit.torch import Masksembles
from dropkit.torch.check import TensorError


@pytest.mark.parametrize("tail", [(), (3,), (2, 3)])
def test_equals_the_law_with_its_gradient(tail: tuple[int, ...]) -> None:
    x = torch.randn(8, 12, *tail, requires_grad=True)
    factor = torch.from_numpy(masksembles(12, 4, 2.0, key=5)).repeat_interleave(2, 0).float()
    factor = factor.reshape(8, 12, *(1 for _ in tail)).expand_as(x)
    y = Masksembles(12, 4, 2.0, key=5)(x)
    assert torch.equal(y, factor * x)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad, factor)


@pytest.mark.parametrize("rows", [0, 1, 3, 7])
def test_batches_that_n_does_not_divide_are_shared_out_evenly(rows: int) -> None:
    layer = Masksembles(12, 4, 2.0, key=5)
    y = layer(torch.ones(rows, 12))
    assert torch.equal(y, layer.masks.float()[torch.arange(rows) * 4 // max(rows, 1)])


def test_a_loaded_model_is_the_ensemble_that_was_saved() -> None:
    saved, other = Masksembles(32, 4, 2.0), Masksembles(32, 4, 2.0)
    assert not torch.equal(saved.masks, other.masks)
    state = saved.state_dict()
    assert list(state) == ["key"]
    other.load_state_dict(state)
    assert torch.equal(saved.masks, other.masks)
    assigned = Masksembles(32, 4, 2.0)
    assigned.load_state_dict(state, assign=True)
    assert torch.equal(saved.masks, assigned.masks)


def test_a_folded_key_and_the_largest_word_survive_the_state() -> None:
    for key in (Key(2**64 - 1), Key(3).fold("ensemble", 7)):
        other = Masksembles(32, 4)
        other.load_state_dict(Masksembles(32, 4, key=key).state_dict())
        assert torch.equal(other.masks, torch.from_numpy(masksembles(32, 4, 2.0, key)))


def test_torchs_seed_makes_the_ensemble_and_calls_leave_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = Masksembles(32)
    torch.manual_seed(1)
    assert torch.equal(first.masks, Masksembles(32).masks)
    before = torch.get_rng_state()
    first(torch.ones(4, 32))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_copy_is_the_same_ensemble() -> None:
    layer = Masksembles(32)
    assert torch.equal(copy.deepcopy(layer).masks, layer.masks)


def test_training_evaluation_and_monte_carlo_are_one() -> None:
    net = nn.Sequential(Masksembles(8, 2, key=3), dropkit.torch.Dropout(0.0))
    x = torch.randn(4, 8)
    outputs = [net.train()(x), net.eval()(x)]
    with dropkit.mode(nn.Sequential(net, dropkit.torch.Dropout(0.5)), "mc"):
        outputs.append(net(x))
    assert all(torch.equal(y, outputs[0]) for y in outputs)


def test_every_member_sees_every_row_where_the_batch_is_repeated() -> None:
    layer, x = Masksembles(16, 4, key=2), torch.randn(3, 16)
    members = layer(torch.cat([x] * 4)).unflatten(0, (4, 3))
    assert torch.equal(members, layer.masks[:, None].float() * x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_what_is_dropped_is_zero_whatever_it_was(dtype: torch.dtype) -> None:
    x = torch.full((2, 16), float("inf"), dtype=dtype)
    y = Masksembles(16, 2, key=1)(x)
    assert y.dtype == dtype
    assert set(y.flatten().tolist()) == {0.0, float("inf")}
    assert x.isinf().all()


@pytest.mark.parametrize("shape", [(4,), (4, 5), (4, 5, 16)])
def test_other_channels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match=r"input has the shape \(N, 16, ...\), got .*; give the layer"):
        Masksembles(16)(torch.ones(shape))


def test_bad_numbers_are_refused_at_construction() -> None:
    with pytest.raises(DropkitError, match="scale must be a number in"):
        Masksembles(16, scale=0.0)
    with pytest.raises(DropkitError, match="key must be an int"):
        Masksembles(16, key="1")  # type: ignore[arg-type]  # wrong on purpose


def test_a_graph_equals_eager_mode() -> None:
    layer, x = Masksembles(16, 4, key=2), torch.randn(6, 16)
    assert torch.equal(torch.compile(layer, backend="aot_eager", fullgraph=True)(x), layer(x))
