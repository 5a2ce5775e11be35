import functools
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.experiments.models import ModelSource, check_model, cnn, code_text, mlp

FILE = """
from torch import nn
def plain():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
def shaped(input_shape):
    return nn.Sequential(nn.Linear(*input_shape, 8), nn.ReLU(), nn.Linear(8, 3))
def sized(n_outputs, width=8):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, n_outputs))
def open_ended(**given):
    return nn.Sequential(nn.Linear(*given["input_shape"], 8), nn.ReLU(), nn.Linear(8, given["n_outputs"]))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("name", ["plain", "shaped", "sized", "open_ended"])
def test_a_factory_gets_what_it_takes(file: Path, name: str) -> None:
    model = check_model(ModelSource(f"{file}:{name}"), (4,), 3)
    assert model(torch.zeros(2, 4)).shape == (2, 3)


def test_a_callable_serves_as_well_as_a_file() -> None:
    assert isinstance(check_model(ModelSource(mlp), (4,), 3), nn.Sequential)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 9), (12,)])
def test_the_mlp_takes_any_shape(shape: tuple[int, ...]) -> None:
    assert mlp(shape, 5)(torch.zeros(2, *shape)).shape == (2, 5)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 9, 7), (1, 28, 28)])
def test_the_cnn_takes_any_image(shape: tuple[int, ...]) -> None:
    assert cnn(shape, 5)(torch.zeros(2, *shape)).shape == (2, 5)


def digest(factory: Any) -> str:
    source = ModelSource(factory)
    return source.digest(check_model(source, (4,), 3), (4,))


def test_the_digest_follows_the_text_of_the_file_wherever_it_lies(file: Path) -> None:
    before = digest(f"{file}:plain")
    assert digest(f"{file.rename(file.with_name('moved.py'))}:plain") == before
    file.write_text(FILE + "# the same layers")
    assert digest(f"{file}:plain") != before


def test_the_digest_follows_what_the_text_does_not_say() -> None:
    def wide(width: int) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))

    assert digest(wide(8)) == digest(wide(8))
    assert digest(wide(8)) != digest(wide(9))


def test_checking_leaves_the_models_mode_alone() -> None:
    assert check_model(ModelSource("mlp"), (4,), 3).training


class FailsInTraining(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise RuntimeError("train only")
        return super().forward(input)


def test_a_model_that_cannot_train_is_refused_before_any_run() -> None:
    source = ModelSource(lambda: FailsInTraining(4, 2))
    with pytest.raises(DropkitError, match=r"training mode: .*train only"):
        check_model(source, (4,), 2)


EDITED = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)
    def forward(self, x):
        return self.b(self.act(self.a(x)) * 1)
def make():
    return Net()
"""


def test_the_digest_follows_the_class_that_the_factory_returns(tmp_path: Path) -> None:
    found = set()
    for name, text in (("one", EDITED), ("same", EDITED), ("other", EDITED.replace("* 1", "* 2"))):
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        spec = importlib.util.spec_from_file_location("net", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.add((name == "other", digest(module.make)))
    assert len(found) == 2
    assert len({value for _, value in found}) == 2


def test_the_digest_follows_first_values_that_a_closure_sets() -> None:
    def scaled(factor: float) -> Any:
        def make() -> nn.Module:
            model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
            with torch.no_grad():
                model.get_parameter("0.weight").mul_(factor)
            return model

        return make

    assert digest(scaled(1.0)) == digest(scaled(1.0))
    assert digest(scaled(1.0)) != digest(scaled(0.5))


class Scaled(nn.Module):
    """Its factor stands in an attribute, which neither text nor layers show."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.a, self.act, self.b, self.factor = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), factor
        self.register_buffer("graph", torch.eye(3).to_sparse())

    def forward(self, x: torch.Tensor) -> Any:
        return self.b(self.act(self.a(x)) * self.factor)


def test_the_digest_follows_what_the_model_does() -> None:
    one, same, other = (digest(functools.partial(Scaled, factor)) for factor in (1.0, 1.0, 0.0))
    assert one == same
    assert one != other


def test_the_digest_is_the_same_for_values_that_numpy_draws() -> None:
    def make() -> nn.Module:
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        with torch.no_grad():
            model.get_parameter("0.weight").copy_(torch.tensor(np.random.standard_normal((8, 4))))
        return model

    assert digest(make) == digest(make)


def test_the_digest_looks_behind_a_wrapper_also_of_a_class() -> None:
    @functools.wraps(Scaled)
    def wrapped() -> nn.Module:
        return Scaled(1.0)

    assert code_text(wrapped) == inspect.getsource(Scaled)
    assert digest(wrapped) == digest(wrapped)
