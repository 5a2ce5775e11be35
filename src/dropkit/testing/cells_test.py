from collections.abc import Callable
from typing import Any

import pytest
import torch

from dropkit import Blocks, PerAxis
from dropkit.testing.cells import examine_layer
from dropkit.torch import Drop
from dropkit.torch.layer import Layer

# One for each path of the engine: the native loop over entries and over groups, an offset, the plain twin
# for continuous noises, the native comparison under a geometry, one rate a channel.
PATHS: dict[str, Callable[[], Layer]] = {
    "entries": lambda: Drop(0.5),
    "groups": lambda: Drop(0.5, "b c ... -> b c"),
    "offset": lambda: Drop(0.3, noise="alpha"),
    "continuous": lambda: Drop(0.3, noise="gaussian"),
    "geometry": lambda: Drop(0.5, Blocks(2, over="h w")),
    "rates": lambda: Drop(PerAxis((0.1, 0.5, 0.9), over="c"), "b c ... -> b c"),
}
SHAPE = 16, 3, 5, 4


@pytest.mark.parametrize("path", PATHS)
def test_a_path_goes_through_the_machinery(path: str) -> None:
    examine_layer(PATHS[path], SHAPE, backends=("aot_eager",)).check()


class Frozen(Drop):
    def forward(self, input: Any, **source: Any) -> Any:
        return super().forward(input, **(source | {"key": 3}))


class Counting(Drop):
    """A call counter of its own: recomputation draws another mask."""

    calls = 0

    def forward(self, input: Any, **source: Any) -> Any:
        self.calls += 1
        return super().forward(input, **({"key": self.calls} | source))


class Unseeded(Drop):
    def forward(self, input: Any, **source: Any) -> Any:
        return super().forward(input, **(source or {"generator": torch.Generator()}))


class Greedy(Drop):
    def forward(self, input: Any, **source: Any) -> Any:
        torch.rand(1)
        return super().forward(input, **source)


class Fickle(Drop):
    """Its mask depends on the type of the input."""

    def forward(self, input: Any, **source: Any) -> Any:
        key = 6 if input.dtype == torch.bfloat16 else source.get("key")
        return super().forward(input, key=key)


class Autocast(Drop):
    def forward(self, input: Any, **source: Any) -> Any:
        return super().forward(input, key=6 if torch.is_autocast_enabled("cpu") else source.get("key"))


class Forgetful(Drop):
    def __deepcopy__(self, memo: Any) -> Layer:
        return Forgetful(0.1)


class Unversioned(Drop):
    _version = 99


class Breaking(Drop):
    def forward(self, input: Any, **source: Any) -> Any:
        torch._dynamo.graph_break()
        return super().forward(input, **source)


@pytest.mark.parametrize(
    ("layer", "cell"),
    [
        (Frozen, "seeds"),
        (Greedy, "seeds"),
        (Frozen, "vmapped"),
        (Counting, "checkpointed"),
        (Counting, "copies"),
        (Unseeded, "vmapped"),
        (Fickle, "half_types"),
        (Autocast, "autocast"),
        (Forgetful, "copies"),
        (Unversioned, "state_dict"),
    ],
)
def test_a_defect_is_found(layer: type[Drop], cell: str) -> None:
    report = examine_layer(lambda: layer(0.5), SHAPE, backends=())
    assert cell in {found.check for found in report.failed}


def test_a_graph_break_is_found() -> None:
    report = examine_layer(lambda: Breaking(0.5), SHAPE, backends=("eager",))
    assert [found.check for found in report.failed] == ["compiled"]
