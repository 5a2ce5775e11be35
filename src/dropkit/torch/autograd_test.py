from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit.torch import Dropout, functional

NOISES = ("bernoulli", "alpha", "gaussian", "uniform")
GROUPS: tuple[Any, ...] = ("...", "b c ... -> b c", "b (c 2) h w -> c h", dropkit.Blocks(2))
ONES = torch.ones(64)


def sample(*shape: int) -> Tensor:
    numbers = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return numbers.requires_grad_()


def dropped_by(drop: dropkit.Drop, key: int = 3) -> Callable[[Tensor], Tensor]:
    return lambda x: functional.drop(x, drop, key=key)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_the_gradient_is_the_factor(noise: str, groups: Any) -> None:
    if noise in ("gaussian", "uniform") and not isinstance(groups, str):
        pytest.skip("continuous noises drop no blocks")
    drop = dropkit.Drop(0.3, groups, noise)
    x = sample(2, 4, 3, 3)
    torch.autograd.gradcheck(dropped_by(drop), x, check_forward_ad=True, fast_mode=True)
    y = dropped_by(drop)(x)
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    torch.testing.assert_close(grad, torch.tensor(dropkit.mask(3, (2, 4, 3, 3), drop)), rtol=1e-13, atol=0)


@pytest.mark.parametrize("noise", NOISES)
def test_second_derivatives_pass_through(noise: str) -> None:
    drop = dropped_by(dropkit.Drop(0.3, noise=noise))
    torch.autograd.gradgradcheck(lambda x: drop(x * x) * drop(x), sample(6))


@pytest.mark.parametrize("scale", ["train", "none"])
@pytest.mark.parametrize("shape", [(3, 4), (4,), (1, 4)])
def test_what_fills_a_gap_has_a_gradient_too(scale: Any, shape: tuple[int, ...]) -> None:
    drop = dropkit.Drop(0.4, scale=scale)
    inputs = (sample(3, 4), sample(*shape) * 2)
    torch.autograd.gradcheck(
        lambda x, fill: functional.drop(x, drop, key=1, fill=fill), inputs, check_forward_ad=True
    )


@pytest.mark.parametrize("rate", [0.0, 1.0])
@pytest.mark.parametrize("noise", NOISES)
def test_the_ends_of_the_rate_are_finite(rate: float, noise: str) -> None:
    x = torch.tensor([1.0, -2.0, torch.inf, torch.nan]).requires_grad_()
    y = functional.drop(x, dropkit.Drop(rate, noise=noise), key=1)
    (grad,) = torch.autograd.grad(y, x, torch.ones(4))
    assert torch.equal(grad, torch.full((4,), 1 - rate))
    assert torch.equal(y, torch.zeros(4)) if rate else y is x


@pytest.mark.parametrize("noise", NOISES)
def test_every_call_under_the_seed_has_its_mask_in_both_directions(noise: str) -> None:
    x = torch.ones(1000, requires_grad=True)
    layer = dropkit.torch.Drop(0.3, noise=noise)
    torch.manual_seed(0)
    ys = [layer(x) for _ in range(2)]
    grads = [torch.autograd.grad(y, x, torch.ones(1000))[0] for y in reversed(ys)][::-1]
    masks = [((y - ys[0].min()) if noise == "alpha" else y).detach() for y in ys]
    for grad, mask in zip(grads, masks, strict=True):
        assert torch.equal(grad == 0, mask == 0)
        assert noise == "alpha" or torch.equal(grad, mask)
    assert not torch.equal(*grads)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("groups", ["...", "b c -> c"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_tensor_is_kept_for_backward(inplace: bool, groups: str, dtype: torch.dtype) -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    x = torch.ones(32, 32, dtype=dtype, requires_grad=True)
    h = x + 0
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        y = functional.drop(h, dropkit.Drop(0.5, groups), inplace=inplace)
        assert kept == []
        (y * y).sum()
    assert kept, "the hook itself works"


def inference() -> Tensor:
    with torch.inference_mode():
        return torch.ones(6)


class TestInplace:
    """What is overwritten is the input, and autograd is told."""

    @pytest.mark.parametrize("noise", NOISES)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
    @pytest.mark.parametrize("records", [False, True])
    def test_the_input_becomes_the_result(self, noise: str, dtype: torch.dtype, records: bool) -> None:
        drop, leaf = dropkit.Drop(0.3, noise=noise), torch.randn(5, 7, dtype=dtype, requires_grad=records)
        x = leaf * 1
        y = functional.drop(x, drop, key=2, inplace=True)
        expected = functional.drop(leaf, drop, key=2)
        assert y is x
        assert torch.equal(y, expected)
        if records:
            weight = torch.ones_like(y)
            grads = [torch.autograd.grad(result, leaf, weight)[0] for result in (y, expected)]
            assert torch.equal(*grads)

    def test_views_pass_it_on(self) -> None:
        leaf = torch.ones(4, 6, requires_grad=True)
        x = leaf * 1
        functional.dropout(x[:, ::2], 0.5, inplace=True, key=3)
        mask = functional.dropout(torch.ones(4, 3), 0.5, key=3)
        assert torch.equal(x[:, ::2], mask)
        torch.autograd.backward(x.sum())
        assert leaf.grad is not None
        assert torch.equal(leaf.grad[:, ::2], mask)
        assert torch.equal(leaf.grad[:, 1::2], torch.ones(4, 3))

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: (torch.ones(6, requires_grad=True),) * 2, "a leaf Variable that requires grad"),
            (lambda: (leaf := torch.ones(6, requires_grad=True), leaf[:3]), "nor a view of one"),
            (lambda: (x := torch.ones(6, requires_grad=True) * 1, x.chunk(2)[0]), "one of several views"),
            (lambda: (x := torch.ones(6, requires_grad=True) * 1, x.unbind()[0]), "one of several views"),
            (lambda: (inference(),) * 2, "inference mode"),
            (lambda: (x := torch.zeros(24_000), x.as_strided((4000,) * 3, (1, 2, 3))), "share memory"),
        ],
    )
    def test_what_torch_refuses_is_refused_before_it_is_overwritten(self, make: Any, message: str) -> None:
        whole, x = make()
        before, version = whole.detach().clone(), 0 if whole.is_inference() else whole._version
        with pytest.raises(RuntimeError, match=message):
            functional.dropout(x, 0.9, inplace=True, key=1)
        assert torch.equal(whole, before)
        assert whole.is_inference() or whole._version == version
        if not whole.is_inference():  # all but the last may be overwritten where nothing is recorded
            with torch.no_grad():
                assert "share" in message or functional.dropout(x, 0.9, inplace=True, key=1) is x

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    @pytest.mark.parametrize("records", [False, True])
    def test_overwriting_a_saved_value_is_noticed(self, dtype: torch.dtype, records: bool) -> None:
        x = torch.ones(8, dtype=dtype, requires_grad=True)
        y = x.sigmoid()
        with torch.set_grad_enabled(records):
            functional.dropout(y, inplace=True)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            torch.autograd.backward(y.sum())


@pytest.mark.parametrize("reentrant", [False, True])
class TestCheckpointing:
    """The recomputed forward must draw the very mask of the first one."""

    @staticmethod
    def masks(reentrant: bool, preserve: bool, key: int | None) -> tuple[Tensor, Tensor]:
        x = torch.ones(1000, requires_grad=True)
        seen: list[Tensor] = []

        def block(x: Tensor) -> Tensor:
            y: Tensor = Dropout()(x * 1, key=key)
            seen.append(y.detach())
            return y * y

        torch.manual_seed(0)
        y = checkpoint(block, x, use_reentrant=reentrant, preserve_rng_state=preserve)
        Dropout()(ONES)
        torch.autograd.backward(y.sum())
        assert len(seen) == 2
        return seen[0], seen[1]

    def test_with_the_state_preserved(self, reentrant: bool) -> None:
        assert torch.equal(*self.masks(reentrant, preserve=True, key=None))

    def test_without_it_only_a_key_is_right(self, reentrant: bool) -> None:
        assert torch.equal(*self.masks(reentrant, preserve=False, key=1))
        assert not torch.equal(*self.masks(reentrant, preserve=False, key=None))


def test_the_schedule_may_step_between_forward_and_backward() -> None:
    layer = Dropout(dropkit.linear_schedule(0.2, 0.8, 10))
    x = torch.ones(1000, requires_grad=True)
    y = layer(x)
    layer.move_to(10)
    (grad,) = torch.autograd.grad(y, x, torch.ones(1000))
    assert torch.equal(grad, y)
