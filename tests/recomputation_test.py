"""Activation checkpointing runs a forward pass again: it must drop again what it dropped before."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dropkit.torch import Cutoff, DataDropout, DropAttention, DropHead, DropKey, PatchDropout, TokenDropping

Step = Callable[[Tensor], Tensor]
STEPS: dict[str, tuple[Step, tuple[int, ...]]] = {
    "keys": (lambda x: torch.softmax(DropKey(0.5)(x), -1), (2, 3, 4, 5)),
    "weights": (lambda x: DropAttention(0.5)(torch.softmax(x, -1)), (2, 3, 4, 5)),
    "heads": (lambda x: DropHead(0.5)(x) ** 2, (4, 3, 4, 5)),
    "patches": (lambda x: PatchDropout(0.5)(x) ** 2, (2, 12, 4)),
    "tokens that skip": (lambda x: TokenDropping(nn.Tanh(), 0.5)(x), (2, 12, 4)),
    "cutoff": (lambda x: Cutoff(0.5, "span")(x) ** 2, (2, 12, 4)),
    "words": (lambda x: DataDropout(0.5, 0.2)(x) ** 2, (2, 12, 4)),
}


def gradient(step: Step, x: Tensor, again: bool, seed: int) -> Tensor:
    torch.manual_seed(seed)
    x = x.clone().requires_grad_()
    y: Tensor = checkpoint(step, x, use_reentrant=False) if again else step(x)
    (grad,) = torch.autograd.grad((y * torch.linspace(1, 2, y.numel()).reshape(y.shape)).sum(), x)
    return grad


@pytest.mark.parametrize("name", STEPS)
def test_what_is_run_again_drops_the_same(name: str) -> None:
    step, shape = STEPS[name]
    x = torch.linspace(-1, 1, torch.Size(shape).numel()).sin().reshape(shape)
    plain = gradient(step, x, False, 0)
    assert torch.equal(gradient(step, x, True, 0), plain)
    assert any(not torch.equal(gradient(step, x, True, seed), plain) for seed in range(1, 9))
