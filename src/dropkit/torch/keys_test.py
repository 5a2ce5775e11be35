import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import dropkit
from dropkit.core.check import DropkitError
from dropkit.torch import Dropout, functional
from dropkit.torch.keys import draw, key_tensor, key_words

ONES = torch.ones(64)
trace: Any = torch.jit.trace


def test_the_seed_of_torch_decides() -> None:
    def sample(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        return [functional.dropout(ONES) for _ in range(3)]

    first, again, other = sample(0), sample(0), sample(1)
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))
    assert not torch.equal(first[0], first[1])


def test_a_forked_generator_leaves_the_outer_one_alone() -> None:
    torch.manual_seed(0)
    with torch.random.fork_rng():
        inside = functional.dropout(ONES)
    assert torch.equal(functional.dropout(ONES), inside)


@pytest.mark.parametrize("shape", [(3,), (100, 100)])
def test_a_call_takes_one_number_whatever_the_size(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    functional.dropout(torch.ones(shape))
    after = torch.get_rng_state()
    torch.manual_seed(0)
    draw(ONES)
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_key_and_a_rate_of_0_leave_the_generator_alone(rate: float) -> None:
    before = torch.get_rng_state()
    functional.dropout(ONES, rate, key=3 if rate else None)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_drawn_number_is_the_whole_key() -> None:
    torch.manual_seed(5)
    dropped = functional.dropout(ONES)
    torch.manual_seed(5)
    word = int(draw(ONES)) % 2**64
    assert torch.equal(functional.dropout(ONES, key=word), dropped)


def test_a_generator_is_drawn_from_instead_of_the_default_one() -> None:
    before = torch.get_rng_state()
    own = [Dropout()(ONES, generator=torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(own[0], own[1])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    assert torch.equal(functional.dropout(ONES), own[0])


@pytest.mark.parametrize(
    "key",
    [5, 2**64 - 1, dropkit.Key(5), dropkit.Key(2**63, call=2**32 - 1, stream=9), dropkit.Key(5).fold("a", 3)],
)
def test_every_form_of_a_key_gives_the_mask_of_the_reference(key: int | dropkit.Key) -> None:
    expected = torch.tensor(dropkit.mask(key, (64,), dropkit.Drop(0.5)), dtype=torch.float32)
    assert torch.equal(functional.dropout(ONES, key=key), expected)
    assert torch.equal(functional.dropout(ONES, key=key_tensor(key, ONES)), expected)


def test_a_tensor_of_one_number_is_a_key() -> None:
    expected = functional.dropout(ONES, key=2**64 - 2)
    assert torch.equal(functional.dropout(ONES, key=torch.tensor(-2)), expected)
    assert key_words(torch.tensor(-2)) == (2**64 - 2, 0, 0)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("a", "key must be an int or a dropkit.Key"),
        (True, "key must be an int or a dropkit.Key"),
        (-1, "key must be a whole number of at least 0"),
        (2**64, r"below 2\*\*64"),
        (torch.tensor(0.5), "key is one int64 number, or three"),
        (torch.tensor([1, 2]), "key is one int64 number, or three"),
        (torch.tensor(1, dtype=torch.int32), "key is one int64 number, or three"),
    ],
)
def test_a_wrong_key_is_refused(key: object, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        functional.dropout(ONES, key=key)  # type: ignore[arg-type]  # the wrong type is the point


def test_a_key_and_a_generator_together_are_refused() -> None:
    with pytest.raises(DropkitError, match="generator is left out where key is given"):
        functional.dropout(ONES, key=1, generator=torch.Generator())


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("key", [None, 1])
def test_a_trace_in_training_is_refused(key: int | None) -> None:
    def twice(x: Tensor) -> Tensor:
        return 2 * functional.dropout(x, key=key)

    with pytest.raises(DropkitError, match="cannot draw while it is traced"):
        trace(twice, ONES)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_trace_in_evaluation_is_the_identity() -> None:
    traced: Callable[[Tensor], Tensor] = trace(Dropout().eval(), ONES)
    assert torch.equal(traced(ONES + 1), ONES + 1)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("wrap", [lambda layer: layer, torch.nn.Sequential])
def test_torchscript_is_refused(wrap: Callable[[torch.nn.Module], torch.nn.Module]) -> None:
    with pytest.raises(DropkitError, match=r"cannot be compiled by TorchScript.*use torch.compile"):
        torch.jit.script(wrap(Dropout()))


def test_a_key_drawn_first_in_inference_mode_serves_later_too() -> None:
    with torch.inference_mode():
        torch.manual_seed(0)
        first = functional.dropout(ONES)
    torch.manual_seed(0)
    assert torch.equal(functional.dropout(ONES.clone().requires_grad_()), first)


def test_a_default_device_does_not_move_the_number_that_is_drawn_into() -> None:
    code = """
import torch
torch.set_default_device("meta")
import dropkit.torch
x = torch.ones(2, 3, 4, 4, device="cpu", requires_grad=True)
groups = "...", "b c h w -> b c", dropkit.Blocks(2), dropkit.KofN(over="c")
drops = [dropkit.Drop(0.5, group) for group in groups]
drops += [dropkit.Drop(0.5, noise=noise) for noise in ("alpha", "gaussian", "uniform")]
rates = dropkit.PerAxis((0.1, 0.2, 0.3), "c")
drops += [dropkit.Drop(rates, "b c h w -> b c", scale=scale) for scale in ("train", "eval")]
for drop in drops:
    layer = dropkit.torch.Drop(drop)
    for y in (layer(x), layer.eval()(x)):
        y.sum().backward()
        print(y.device)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["cpu"] * 18, done.stderr
