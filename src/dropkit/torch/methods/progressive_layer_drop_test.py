import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit import DropkitError, curriculum_schedule
from dropkit.core.check import RATE
from dropkit.methods.progressive_layer_drop import progressive_rates
from dropkit.torch import DropPath, Stepper, SwitchedBranch, set_depth_rates

X = torch.arange(6.0).view(2, 3)


class Counted(nn.Module):
    """A branch that counts its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.runs = nn.Parameter(torch.tensor(2.0)), 0

    def forward(self, x: torch.Tensor, times: float = 1.0) -> torch.Tensor:
        self.runs += 1
        return x * self.weight * times


@pytest.mark.parametrize("key", range(6))
@pytest.mark.parametrize("scale_by_keep", [False, True])
def test_it_is_drop_path_for_the_batch_without_the_computation(key: int, scale_by_keep: bool) -> None:
    branch = Counted()
    block = SwitchedBranch(branch, 0.4, scale_by_keep=scale_by_keep)
    path = DropPath(0.4, per="batch", scale_by_keep=scale_by_keep)
    torch.testing.assert_close(block(X, key=key), X + path(2 * X, key=key))
    assert branch.runs == (not block.skipped(key=key))


@pytest.mark.parametrize("key", range(6))
def test_branches_of_one_layer_run_or_are_skipped_together(key: int) -> None:
    first, second = Counted(), Counted()
    block = SwitchedBranch([first, second], 0.5)
    skipped, y = block.skipped(key=key), block(X, key=key)
    assert (first.runs, second.runs) == ((0, 0) if skipped else (1, 1))
    torch.testing.assert_close(y, X if skipped else X * (1 + 2 / 0.5) ** 2)
    y.sum().backward()
    assert first.weight.grad is not None
    assert second.weight.grad is not None
    assert list(block.state_dict()) == ["branch.0.weight", "branch.1.weight"]
    assert torch.equal(block.eval()(X), 9 * X)


def test_evaluation_adds_the_branch_and_mode_mc_draws() -> None:
    block = SwitchedBranch(Counted(), 1.0).eval()
    assert torch.equal(block(X), 3 * X)
    with dropkit.mode(block, "mc"):
        assert torch.equal(block(X), X)
    assert torch.equal(SwitchedBranch(Counted(), 0.0)(X), 3 * X)


def test_a_skipped_branch_has_gradients_of_0() -> None:
    branch, x = Counted(), X.clone().requires_grad_()
    of_x, of_weight = torch.autograd.grad(SwitchedBranch(branch, 1.0)(x).sum(), (x, branch.weight))
    assert of_weight.item() == 0
    assert torch.equal(of_x, torch.ones_like(X))


def now(model: nn.Module) -> list[float]:
    return [block.gate.p for block in model.modules() if isinstance(block, SwitchedBranch)]


def test_the_rates_of_a_stack_move_with_the_steps_and_come_back_from_a_state() -> None:
    rates = progressive_rates(0.5, 4, 0.1)
    model = nn.Sequential(*(SwitchedBranch(Counted(), rate) for rate in rates))
    schedule = Stepper(model)
    assert now(model) == [0.0] * 4
    for _ in range(7):
        schedule.step()
    assert now(model) == [rate(7) for rate in rates]
    fresh = nn.Sequential(*(SwitchedBranch(Counted(), rate) for rate in rates))
    fresh.load_state_dict(model.state_dict())
    assert now(fresh) == [rate(7) for rate in rates]


def test_rates_over_depth_can_be_set_from_outside() -> None:
    model = nn.Sequential(*(SwitchedBranch(Counted()) for _ in range(4)))
    set_depth_rates(model, 0.4)
    assert now(model) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_schedule_can_draw_before_it_has_begun() -> None:
    block = SwitchedBranch(Counted(), curriculum_schedule(0.5, 10))
    assert block.can_draw
    assert not block.skipped()
    assert not SwitchedBranch(Counted(), 0.0).can_draw


@pytest.mark.parametrize("seed", range(4))
def test_checkpointing_decides_alike_again(seed: int) -> None:
    branch, x = Counted(), X.clone().requires_grad_()
    torch.manual_seed(seed)
    y = checkpoint(SwitchedBranch(branch, 0.5), x, use_reentrant=False)
    torch.manual_seed(seed + 1)
    (grad,) = torch.autograd.grad(y.sum(), branch.weight)
    skipped = torch.equal(y, X)
    assert branch.runs == (0 if skipped else 2)
    assert grad.item() == (0.0 if skipped else 2 * X.sum().item())


def test_weights_keep_their_names_arguments_arrive_and_copies_decide_alike() -> None:
    block = SwitchedBranch(Counted(), 0.5)
    assert list(block.state_dict()) == ["branch.weight"]
    assert torch.equal(SwitchedBranch(Counted(), 0.0)(X, times=2.0), 5 * X)
    for twin in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        assert all(torch.equal(twin(X, key=key), block(X, key=key)) for key in range(8))


def test_arguments_out_of_range_are_refused() -> None:
    for rate in RATE.bad():
        with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
            SwitchedBranch(Counted(), rate)
    bad: Any = torch.relu
    with pytest.raises(DropkitError, match="branch must be a Module"):
        SwitchedBranch(bad)
    with pytest.raises(DropkitError, match="branch must be a Module"):
        SwitchedBranch([Counted(), bad])
    with pytest.raises(DropkitError, match="scale_by_keep must be a bool"):
        SwitchedBranch(Counted(), 0.1, scale_by_keep=1)  # type: ignore[arg-type]  # that is the point
