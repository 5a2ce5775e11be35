from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit.core.check import DropkitError
from dropkit.core.reference import apply

SHAPE = (6, 8, 5)
BLOCKS = dropkit.Blocks(2, over="t")


@pytest.mark.parametrize(
    ("arguments", "drop"),
    [
        (("b c t -> b c",), dropkit.Drop(0.3, "b c t -> b c")),
        ((dropkit.Blocks(2, over="t"),), dropkit.Drop(0.3, dropkit.Blocks(2, over="t"))),
        (("...",), dropkit.Drop(0.3)),
        ((), dropkit.Drop(0.3)),
    ],
)
def test_drop_is_the_reference_under_the_description(arguments: tuple[Any, ...], drop: dropkit.Drop) -> None:
    x = np.random.default_rng(0).standard_normal(SHAPE)
    np.testing.assert_array_equal(dropkit.drop(x, 0.3, *arguments, key=7), apply(x, drop, 7))


@pytest.mark.parametrize(
    "argument",
    [
        {"rate": 0.6},
        {"pattern": "b c t -> b"},
        {"noise": "alpha"},
        {"noise": "gaussian"},
        {"scale": "eval"},
        {"mode": "eval"},
        {"key": 8},
        {"window": dropkit.Window((1,))},
    ],
)
def test_every_argument_changes_something(argument: dict[str, Any]) -> None:
    x = np.ones(SHAPE)
    usual: dict[str, Any] = {"rate": 0.3, "key": 7}
    assert (dropkit.drop(x, **usual) != dropkit.drop(x, **usual | argument)).any()


def test_sizes_open_brackets() -> None:
    x = np.ones((4, 6))
    y = dropkit.drop(x, 0.5, "b (h d) -> b h", key=1, d=3)
    np.testing.assert_array_equal(y, np.repeat(dropkit.drop(np.ones((4, 2)), 0.5, key=1), 3, axis=1))


REFUSED: dict[str, dict[str, Any]] = {
    "pattern has 4 axes but the array has 3": {"pattern": "b c h w -> b c"},
    "rates has one rate for each of the 8 places": {
        "rate": dropkit.PerAxis((0.1, 0.2), "c"),
        "pattern": "b c t -> c",
    },
    "rate is a number where it is applied": {"rate": dropkit.linear_schedule(0.1, 0.2, 5)},
    "key must be an int": {"key": "x"},
    "window must be a Window": {"window": 3},
    "x has a real floating type": {"dtype": "int64"},
    "mode must be one of": {"mode": "training"},
}


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize("usual", [{"mode": "train"}, {"mode": "eval"}, {"rate": 0.0}])
@pytest.mark.parametrize("message", REFUSED)
def test_all_is_checked_in_every_mode_and_at_every_rate(message: str, usual: Any, framework: str) -> None:
    arguments = {"rate": 0.3} | usual | REFUSED[message]
    x = np.ones(SHAPE, arguments.pop("dtype", "float32"))
    before = torch.get_rng_state()
    with pytest.raises(DropkitError, match=message):
        dropkit.drop(x if framework == "numpy" else torch.from_numpy(x), **arguments)
    assert torch.equal(torch.get_rng_state(), before), "a refused call moved the generator"


# Dynamo says that it looks into a cached function whose result it takes for a constant.
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
@pytest.mark.parametrize(
    "arguments",
    [
        {"pattern": "b c t -> b c", "key": 3},
        {"pattern": "b (g c) t -> b g", "g": 2, "noise": "gaussian", "key": 3},
        {"pattern": BLOCKS, "key": 3, "mode": "mc"},
        {"window": dropkit.Window((4,)), "key": 3},
        {"scale": "eval", "mode": "eval"},
        {},
    ],
)
def test_it_compiles_without_a_graph_break(arguments: dict[str, Any]) -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return 2 * dropkit.drop(x, 0.3, **arguments)  # type: ignore[no-any-return]  # it serves any array

    torch.compiler.reset()
    x, compiled = torch.ones(SHAPE), torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.manual_seed(0)
    expected = model(x)
    torch.manual_seed(0)
    assert torch.equal(compiled(x), expected)


def test_arrays_without_a_key_take_fresh_entropy() -> None:
    x = np.ones(256)
    first, second = dropkit.drop(x, 0.5), dropkit.drop(x, 0.5)
    assert (first != second).any()


def test_tensors_without_a_key_follow_the_seed_of_torch() -> None:
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.stack([dropkit.drop(torch.ones(256), 0.5) for _ in range(2)])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert not torch.equal(*drawn(1))


def test_evaluation_returns_the_very_object() -> None:
    for x in (np.ones(3), torch.ones(3)):
        assert dropkit.drop(x, 0.5, mode="eval") is x


def test_mask_replays_a_call() -> None:
    drop = dropkit.Drop(0.4, "b c ... -> b c", scale="none")
    key = dropkit.Key(5).fold("layer", 3)
    y = dropkit.drop(np.ones(SHAPE), 0.4, "b c ... -> b c", scale="none", key=key)
    np.testing.assert_array_equal(dropkit.mask(key, SHAPE, drop), y)
    assert 0 < y.mean() < 1


def test_mode_switches_a_model_and_comes_back() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Dropout(0.5)).eval()
    x = torch.ones(1, 4)
    with dropkit.mode(model, "mc"):
        assert not torch.equal(model(x), model(x))
    assert torch.equal(model(x), model(x))
