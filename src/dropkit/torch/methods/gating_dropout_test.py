import copy
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.check import RATE
from dropkit.methods.gating_dropout import METHOD, staying
from dropkit.torch import GatingDropout

LOGITS = torch.tensor([[0.1, 2.0, -1.0, 0.5], [3.0, 0.0, 1.0, 1.5]])
LOCAL = torch.tensor([False, False, True, True])


def test_torch_decides_as_the_law_step_by_step() -> None:
    gate, local = GatingDropout(0.3), torch.arange(12) < 4
    for step, drawn in enumerate(METHOD.picture(7)):
        logits = gate(torch.zeros(12), local, key=Key(7).fold("step", step))
        assert np.array_equal(logits.isfinite().numpy(), drawn == 1)


@pytest.mark.parametrize("key", range(8))
def test_the_answer_asked_first_is_that_of_the_call(key: int) -> None:
    gate = GatingDropout(0.5)
    stay = gate.stays(key=key)
    y = gate(LOGITS, LOCAL, key=key)
    assert torch.equal(y, gate(LOGITS, LOCAL, stay))
    assert np.array_equal(y.numpy(), staying(LOGITS.numpy(), LOCAL.numpy(), stay, np))
    assert (y is LOGITS) == (not stay)


def test_processes_that_are_seeded_alike_decide_alike() -> None:
    first, second = GatingDropout(0.5), GatingDropout(0.5)
    torch.manual_seed(2)
    here = [first.stays() for _ in range(20)]
    torch.manual_seed(2)
    assert [second.stays() for _ in range(20)] == here
    assert set(here) == {False, True}


def test_no_gradient_and_no_probability_reach_experts_elsewhere() -> None:
    logits = LOGITS.clone().requires_grad_()
    p = GatingDropout(1.0)(logits, LOCAL).softmax(-1)
    assert p[:, ~LOCAL].eq(0).all()
    (grad,) = torch.autograd.grad(p[:, 2].sum(), logits)
    assert grad[:, ~LOCAL].eq(0).all()
    assert grad[:, LOCAL].ne(0).all()


def test_evaluation_and_rate_0_return_the_very_logits_and_mode_mc_draws() -> None:
    assert GatingDropout(0.0)(LOGITS, LOCAL) is LOGITS
    gate = copy.deepcopy(GatingDropout(1.0)).eval()
    assert gate(LOGITS, LOCAL) is LOGITS
    with dropkit.mode(gate, "mc"):
        assert gate(LOGITS, LOCAL)[0, 0] == -torch.inf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_stay(dtype: torch.dtype) -> None:
    y = GatingDropout(1.0)(LOGITS.to(dtype), LOCAL.expand(2, 4))
    assert y.dtype == dtype
    assert torch.equal(y[:, LOCAL], LOGITS.to(dtype)[:, LOCAL])


@pytest.mark.parametrize("rate", RATE.bad())
def test_a_rate_out_of_range_is_refused(rate: Any) -> None:
    with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
        GatingDropout(rate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LOGITS.long(), LOCAL), "logits has a real floating type"),
        ((LOGITS, [True]), "local must be a Tensor"),
        ((LOGITS, LOCAL.long()), "local is true where an expert is at hand"),
        ((LOGITS, LOCAL[:3]), r"local broadcasts to logits of shape \(2, 4\)"),
        ((LOGITS, torch.tensor(True)), "local broadcasts to logits"),
        ((LOGITS, LOCAL.expand(3, 2, 4)), "local broadcasts to logits"),
        ((LOGITS, LOCAL, 1), "stay must be a bool"),
    ],
)
def test_what_does_not_fit_is_refused_in_evaluation_too(arguments: Any, message: str) -> None:
    for gate in (GatingDropout(1.0), GatingDropout(1.0).eval()):
        with pytest.raises(DropkitError, match=message):
            gate(*arguments)


def test_tokens_cannot_stay_where_no_expert_is_at_hand() -> None:
    with pytest.raises(DropkitError, match="local has an expert at hand"):
        GatingDropout(1.0)(LOGITS, torch.zeros(4, dtype=torch.bool))
