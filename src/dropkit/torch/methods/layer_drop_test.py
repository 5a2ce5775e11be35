import copy
import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.check import RATE
from dropkit.methods.layer_drop import KEEP_EVERY, METHOD
from dropkit.torch import LayerDropList

X = torch.ones(2, 4)


class Add(nn.Module):
    """A layer that tells in its output that it ran, and how often."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount, self.runs = nn.Parameter(torch.tensor(amount)), 0

    def forward(self, x: torch.Tensor, times: float = 1.0) -> torch.Tensor:
        self.runs += 1
        return x + times * self.amount * torch.ones(())  # a product, whose factors backward recomputes


def adders(n: int = 6) -> list[Add]:
    return [Add(2.0**layer) for layer in range(n)]


def grads(layers: list[Add]) -> list[float]:
    return [torch.nan if layer.amount.grad is None else layer.amount.grad.item() for layer in layers]


def ran(y: torch.Tensor, n: int = 6) -> list[bool]:
    """Which adders ran: the bits of what they added to X."""
    return [bool(int(y[0, 0].item()) - 1 >> layer & 1) for layer in range(n)]


def test_torch_skips_the_layers_that_the_law_skips() -> None:
    stack = LayerDropList(adders(16), 0.2)
    for step, drawn in enumerate(METHOD.picture(7)):
        assert np.array_equal(stack.skipped(key=Key(7).fold("step", step)), drawn == 0)


@pytest.mark.parametrize("key", range(6))
def test_a_skipped_layer_does_not_run_and_leaves_its_input(key: int) -> None:
    layers = adders()
    stack = LayerDropList(layers, 0.5)
    y = stack(X, key=key)
    assert ran(y) == [not skip for skip in stack.skipped(key=key)] == [bool(each.runs) for each in layers]


def test_rates_are_those_of_each_layer() -> None:
    stack = LayerDropList(adders(), (0, 1, 0, 1, 0, 1))
    assert ran(stack(X)) == [True, False] * 3
    stack.p = 0.0
    assert ran(stack(X)) == [True] * 6
    stack.p = 1.0
    assert torch.equal(stack(X), X)


def test_at_evaluation_every_kth_layer_runs() -> None:
    assert ran(LayerDropList(adders(), 0.5).eval()(X)) == [True] * 6
    stack = LayerDropList(adders(), 1.0, keep_every=3).eval()
    assert ran(stack(X)) == [True, False, False] * 2
    with dropkit.mode(stack, "mc"):
        assert torch.equal(stack(X), X)
    assert ran(LayerDropList(adders(), 0.0, keep_every=3)(X)) == [True] * 6


def test_at_evaluation_every_kth_layer_may_be_left_out_or_the_layers_be_named() -> None:
    stack = LayerDropList(adders(), 0.5, drop_every=3).eval()
    assert ran(stack(X)) == [True, True, False] * 2
    named = LayerDropList(adders(), 0.5, keep=[0, 4]).eval()
    assert ran(named(X)) == [True, False, False, False, True, False]
    assert named[3:].keep == (1,)
    assert (named.extra_repr(), stack.extra_repr()) == ("p=0.5, keep=(0, 4)", "p=0.5, drop_every=3")
    assert ran(named.train()(X, key=1)) == ran(LayerDropList(adders(), 0.5)(X, key=1))
    with pytest.raises(DropkitError, match="keep names some of the 6 layers"):
        LayerDropList(adders(), 0.5, keep=[6])
    with pytest.raises(DropkitError, match="keep must"):
        LayerDropList(adders(), 0.5, keep=3)  # type: ignore[arg-type]  # that is the point


def test_one_layer_and_no_layer_are_fine() -> None:
    assert torch.equal(LayerDropList(adders(1), 1.0)(X), X)
    assert ran(LayerDropList(adders(1), 0.5, keep_every=2).eval()(X), 1) == [True]
    assert LayerDropList([], 0.5)(X) is X


def test_every_parameter_has_a_gradient_and_that_of_a_skipped_layer_is_0() -> None:
    layers = adders()
    stack = LayerDropList(layers, 0.5)
    stack(X, key=2).sum().backward()
    gone = stack.skipped(key=2)
    assert 0 < sum(gone) < 6
    assert grads(layers) == [0.0 if skip else 8.0 for skip in gone]


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_skips_the_same_layers_again(reentrant: bool) -> None:
    layers = adders()
    stack, x = LayerDropList(layers, 0.5), X.clone().requires_grad_()
    torch.manual_seed(3)
    y = checkpoint(stack, x, use_reentrant=reentrant)
    torch.manual_seed(4)
    y.sum().backward()
    chosen = ran(y)
    assert 0 < sum(chosen) < 6
    assert [layer.runs for layer in layers] == [2 if run else 0 for run in chosen]
    assert grads(layers) == [8.0 if run else 0.0 for run in chosen]


def test_a_compiled_call_skips_alike() -> None:
    stack = LayerDropList(adders(), 0.5)
    compiled: Any = torch.compile(stack, backend="aot_eager")
    for key in range(3):
        assert torch.equal(compiled(X, key=key), stack(X, key=key))


def parallel(store: str, rank: int) -> None:
    """Three steps in one of two processes, each with decisions of its own."""
    # A parameter without a gradient lets the other process wait: for ever, but for the limit.
    limit, where = timedelta(minutes=2), f"file://{store}"
    dist.init_process_group("gloo", init_method=where, rank=rank, world_size=2, timeout=limit)
    stack = LayerDropList([nn.Linear(4, 4) for _ in range(4)], 0.5)
    model, chosen = DistributedDataParallel(stack), []
    for step in range(3):
        key = Key(1).fold("rank", rank).fold("step", step)
        chosen.append(stack.skipped(key=key))
        model(X, key=key).sum().backward()
        stack.zero_grad() if step < 2 else None
    mine = torch.stack([torch.as_tensor(parameter.grad).sum() for parameter in stack.parameters()])
    both: list[Any] = [None, None]
    dist.all_gather_object(both, (mine, chosen))
    assert torch.equal(both[0][0], both[1][0]), "the processes hold one gradient"
    assert both[0][1] != both[1][1], "they skip different layers"
    dist.destroy_process_group()


def test_processes_that_skip_different_layers_train_together(tmp_path: Path) -> None:
    command = [sys.executable, "-P", __file__, str(tmp_path / "store")]
    runs = [subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True) for rank in (0, 1)]
    errors = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors


def test_arguments_reach_every_layer() -> None:
    assert torch.equal(LayerDropList(adders(2), 0.0)(X, 2.0), X + 6)
    assert torch.equal(LayerDropList(adders(2), 0.0)(X, times=2.0), X + 6)


def test_seeds_and_keys_of_a_model_repeat_the_decisions() -> None:
    stack = LayerDropList(adders(), 0.5)
    torch.manual_seed(5)
    first = stack(X)
    torch.manual_seed(5)
    assert torch.equal(stack(X), first)
    model = nn.Sequential(stack)
    with dropkit.torch.under_key(model, 9):
        assert torch.equal(model(X), stack(X, key=Key(9).fold("0")))


def test_it_is_a_module_list_in_names_and_slices() -> None:
    stack = LayerDropList(adders(), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], keep_every=2)
    assert list(stack.state_dict()) == list(nn.ModuleList(adders()).state_dict())
    assert len(stack) == 6
    part = stack[1:3]
    assert isinstance(part, LayerDropList)
    assert part.p == (0.1, 0.2)
    assert part[0] is stack[1]
    stack.load_state_dict(LayerDropList(adders(), 0.1).state_dict())


def test_a_copy_skips_alike() -> None:
    stack = LayerDropList(adders(), 0.5)
    for twin in (copy.deepcopy(stack), pickle.loads(pickle.dumps(stack))):
        assert torch.equal(twin(X, key=4), stack(X, key=4))


def test_a_transformer_trains_through_it() -> None:
    layers = [nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True) for _ in range(3)]
    stack = LayerDropList(layers, 0.5)
    y = stack(torch.randn(2, 5, 4), src_key_padding_mask=torch.zeros(2, 5, dtype=torch.bool), key=1)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in stack.parameters())


def test_arguments_out_of_range_are_refused() -> None:
    for rate in (bad for bad in RATE.bad() if bad != [0.5]):
        with pytest.raises(DropkitError, match=r"p must be"):
            LayerDropList(adders(), rate)  # type: ignore[arg-type]  # that is the point
    for count in KEEP_EVERY.bad():
        with pytest.raises(DropkitError, match="keep_every must be a whole number of at least 1"):
            LayerDropList(adders(), 0.1, keep_every=count)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(DropkitError, match="p has one rate for each of the 6 layers, got 2"):
        LayerDropList(adders(), [0.1, 0.2])
    with pytest.raises(DropkitError, match=r"p\[1\] must be a number in \[0, 1\]"):
        LayerDropList(adders(2), [0.1, 2.0])
    with pytest.raises(DropkitError, match="layers must be a Module"):
        LayerDropList([torch.relu])  # type: ignore[list-item]  # that is the point
    with pytest.raises(DropkitError, match="layers are modules in a list"):
        LayerDropList(3)  # type: ignore[arg-type]  # that is the point


if __name__ == "__main__":
    parallel(sys.argv[1], int(sys.argv[2]))
