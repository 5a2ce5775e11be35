import copy
import math
import pickle
from typing import Any

import pytest
import torch

import dropkit
from dropkit.core.check import DropkitError
from dropkit.core.key import Key
from dropkit.core.reference import unit
from dropkit.torch import ShakeShake

KEY = Key(4)
FIRST, SECOND = torch.arange(24.0).reshape(4, 3, 2), torch.full((4, 3, 2), -1.0)
PATTERNS = {"sample": "b ... -> b", "batch": "... ->"}


def drawn(name: str, per: str = "sample") -> torch.Tensor:
    return torch.from_numpy(unit(KEY.fold(name), (4, 3, 2), PATTERNS[per])).float()


def passes(mix: ShakeShake) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    first, second = FIRST.clone().requires_grad_(), SECOND.clone().requires_grad_()
    y = mix(first, second, key=KEY)
    return y.detach(), *torch.autograd.grad(y.sum(), (first, second))


@pytest.mark.parametrize("per", ["sample", "batch"])
@pytest.mark.parametrize("forward", ["shake", "even"])
@pytest.mark.parametrize("backward", ["shake", "even", "keep"])
def test_each_pass_has_the_share_of_the_law(forward: Any, backward: Any, per: Any) -> None:
    alpha = drawn("alpha", per) if forward == "shake" else torch.tensor(0.5)
    beta = {"shake": drawn("beta", per), "even": torch.tensor(0.5), "keep": alpha}[backward]
    y, first, second = passes(ShakeShake(forward, backward, per))
    torch.testing.assert_close(y, alpha * FIRST + (1 - alpha) * SECOND)
    torch.testing.assert_close(first, beta.expand(4, 3, 2).clone())
    torch.testing.assert_close(second, 1 - first)


def test_alpha_and_beta_are_drawn_apart_and_for_each_sample() -> None:
    alpha, beta = drawn("alpha").flatten().tolist(), drawn("beta").flatten().tolist()
    assert len({*alpha, *beta}) == 8


def test_evaluation_takes_the_mean_and_mc_shakes() -> None:
    mix = ShakeShake().eval()
    assert torch.equal(mix(FIRST, SECOND), (FIRST + SECOND) / 2)
    with dropkit.mode(mix, "mc"):
        assert torch.equal(mix(FIRST, SECOND, key=KEY), passes(ShakeShake())[0])
        assert not torch.equal(mix(FIRST, SECOND), mix(FIRST, SECOND))


def test_seeds_repeat_a_pass() -> None:
    mix = ShakeShake()
    torch.manual_seed(3)
    y = mix(FIRST, SECOND)
    torch.manual_seed(3)
    assert torch.equal(mix(FIRST, SECOND), y)


def test_half_is_computed_in_float32() -> None:
    y = ShakeShake()(FIRST.half(), SECOND.half(), key=KEY)
    assert torch.equal(y, passes(ShakeShake())[0].half())


def test_a_branch_of_nan_or_infinity_stays_what_it_is() -> None:
    """No share is exactly 0, so nothing is hidden."""
    y = ShakeShake()(FIRST, SECOND * math.inf, key=KEY)
    assert (y == -math.inf).all()


def test_the_callers_tensors_stay_and_a_graph_mixes_alike() -> None:
    before = FIRST.clone()
    compiled: Any = torch.compile(ShakeShake(), backend="aot_eager", fullgraph=True)
    assert compiled(FIRST, SECOND).shape == FIRST.shape
    assert not torch.equal(compiled(FIRST, SECOND), compiled(FIRST, SECOND))
    assert torch.equal(FIRST, before)


def test_checkpointing_repeats_the_shares() -> None:
    from torch.utils.checkpoint import checkpoint

    first = FIRST.clone().requires_grad_()
    mix = ShakeShake(backward_mix="keep")
    y = checkpoint(mix, first, SECOND, use_reentrant=False)
    y.sum().backward()
    torch.testing.assert_close((y.detach() - SECOND) / (FIRST - SECOND), first.grad)


def test_copies_mix_alike_and_keep_no_state() -> None:
    mix = ShakeShake("even", "shake", "batch")
    for twin in (copy.deepcopy(mix), pickle.loads(pickle.dumps(mix))):
        assert repr(twin) == repr(mix)
    assert mix.state_dict() == {}


def test_without_a_share_to_draw_there_is_nothing_for_mc() -> None:
    with (
        pytest.raises(DropkitError, match="has dropout that draws in this mode"),
        dropkit.mode(ShakeShake("even", "keep"), "mc"),
    ):
        pass


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ShakeShake("keep"), "forward_mix must be one of 'shake', 'even', got 'keep'"),  # type: ignore[arg-type]  # the point
        (lambda: ShakeShake(backward_mix="evn"), "backward_mix must be one of .*did you mean 'even'"),  # type: ignore[arg-type]  # the point
        (lambda: ShakeShake(per="image"), "per must be one of"),  # type: ignore[arg-type]  # the point
        (lambda: ShakeShake()(FIRST, SECOND[:2]), r"second is like first, \(4, 3, 2\)"),
        (lambda: ShakeShake()(FIRST, SECOND.double()), "second is like first"),
        (lambda: ShakeShake()(FIRST, SECOND.long()), "second has a real floating type"),
        (lambda: ShakeShake()(FIRST, 3), "second is a torch tensor"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()
