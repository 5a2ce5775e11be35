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
from dropkit.experiments.models import BUILT_IN, ModelSource, check_model, cnn, code_text, mlp, sample

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


class Bare(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_class_without_arguments_of_its_own_is_called_without_any() -> None:
    assert isinstance(ModelSource(Bare).build((4,), 3), Bare)


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


def test_the_text_model_reads_what_is_no_padding() -> None:
    model = check_model(ModelSource("text"), (4,), 3, n_words=9)
    words = torch.tensor([[5, 7, 7]])
    padded = torch.nn.functional.pad(words, (0, 5))
    torch.testing.assert_close(model(words), model(padded))
    torch.testing.assert_close(model(words), model(words.flip(1)))
    assert (model(words) - model(words[:, :2])).abs().max() > 1e-4
    assert torch.isfinite(model(torch.zeros(1, 4, dtype=torch.int64))).all()


@pytest.mark.parametrize(
    ("name", "n_words", "mend"), [("mlp", 9, "text"), ("cnn", 9, "text"), ("text", 0, "mlp")]
)
def test_a_built_in_model_for_other_inputs_is_refused(name: str, n_words: int, mend: str) -> None:
    with pytest.raises(DropkitError, match=f"which these inputs are, got '{name}'; use --model {mend}"):
        check_model(ModelSource(name), (4,), 3, n_words)


def test_a_factory_gets_the_number_of_words_where_there_are_some() -> None:
    given: list[dict[str, Any]] = []

    def make(**offered: Any) -> nn.Module:
        given.append(offered)
        return nn.Linear(1, 1)

    ModelSource(make).build((4,), 3, 9)
    ModelSource(make).build((4,), 3)
    sizes = {"input_shape": (4,), "n_outputs": 3}
    assert given == [sizes | {"n_words": 9}, sizes]


def test_a_model_for_fewer_words_is_refused() -> None:
    source = ModelSource(lambda: BUILT_IN["text"](3, n_words=4))
    with pytest.raises(DropkitError, match=r"must take numbers of words below 9 .* take n_words= in"):
        check_model(source, (400,), 3, 9)


@pytest.mark.parametrize(("length", "padded"), [(1, 0), (2, 0), (4, 1), (7, 1), (12, 3)])
def test_words_to_try_are_words_with_padding_behind(length: int, padded: int) -> None:
    words = sample(50, (length,), 4)
    assert {*(words == 0).sum(1).tolist()} == {padded}
    assert {*words[:, : length - padded].flatten().tolist()} == {1, 2, 3}


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


class Dropping(Scaled):
    """Its rate shows in training alone, and its batch normalisation moves there."""

    def __init__(self, rate: float, generator: torch.Generator | None = None) -> None:
        super().__init__(1.0)
        self.rate, self.generator, self.norm = rate, generator, nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.norm(x) + torch.rand(1, generator=self.generator) * self.training
        return super().forward(nn.functional.dropout(x, self.rate, self.training))


def test_the_digest_follows_what_the_model_does_in_training_alone() -> None:
    model = Dropping(0.1)
    before = {name: value.to_dense().tolist() for name, value in model.state_dict().items()}
    ModelSource(Dropping).digest(model, (4,))
    assert {name: value.to_dense().tolist() for name, value in model.state_dict().items()} == before
    one, same, other = (digest(functools.partial(Dropping, rate)) for rate in (0.1, 0.1, 0.6))
    assert one == same
    assert one != other


def test_what_no_seed_repeats_leaves_the_digest() -> None:
    own = torch.Generator()
    assert digest(functools.partial(Dropping, 0.1, own)) == digest(functools.partial(Dropping, 0.1, own))


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
