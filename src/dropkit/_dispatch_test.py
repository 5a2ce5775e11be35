import sys

import numpy as np
import pytest
import torch

from dropkit._dispatch import backend, model_backend
from dropkit.core.check import DropkitError


def test_arrays_and_tensors_find_their_module() -> None:
    class Own(torch.Tensor):
        """A subclass, as libraries make them."""

    assert backend("x", np.zeros(2)).__name__ == "dropkit.core.reference"
    for x in (torch.zeros(2), torch.nn.Parameter(torch.zeros(2)), torch.zeros(2).as_subclass(Own)):
        assert backend("x", x).__name__ == "dropkit.torch.backend"


def test_models_find_their_module() -> None:
    assert model_backend("model", torch.nn.Linear(2, 2)).__name__ == "dropkit.torch.backend"


def test_a_framework_that_nobody_imported_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(2)
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(DropkitError):
        backend("x", x)
    assert "torch" not in sys.modules


@pytest.mark.parametrize("x", [[1.0], 1.0, None, "x", np.float64(1), torch.nn.Linear(2, 2)])
def test_other_objects_are_refused_with_their_type(x: object) -> None:
    with pytest.raises(
        DropkitError,
        match=r"^x is a NumPy array or a tensor of torch, JAX or TensorFlow, got <class .*; convert it",
    ):
        backend("x", x)


@pytest.mark.parametrize("model", [None, np.zeros(2), torch.zeros(2), torch.nn.Linear])
def test_other_models_are_refused_with_their_type(model: object) -> None:
    with pytest.raises(
        DropkitError, match=r"^model is a torch module or a Keras model, got <class .*; give the model itself"
    ):
        model_backend("model", model)
