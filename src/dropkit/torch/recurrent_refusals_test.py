"""What is wrong with a recurrent network or its input is named where it enters."""

from typing import Any

import pytest
import torch

from dropkit import DropkitError
from dropkit.methods.rnn_drop import rnn_drop
from dropkit.methods.zaremba_dropout import zaremba_dropout
from dropkit.torch import DropGRU, DropLSTM, DropRNN
from dropkit.torch.check import TensorError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DropGRU(4, 5, **rnn_drop(0.5)), "cell is a site of another network than DropGRU"),
        (lambda: DropRNN(4, 5, candidate=0.5), "candidate is a site of another network than DropRNN"),
        (lambda: DropLSTM(4, 5, **{"inptu": 0.5}), "did you mean 'input'"),  # type: ignore[arg-type]  # on purpose
        (lambda: DropLSTM(4, 5, 2, dropout=0.5, between=0.5), "dropout is 0 where between is given"),
        (lambda: DropLSTM(4, 5, 2, dropout=1.5), r"dropout must be a number in \[0, 1\], got 1.5"),
        (lambda: DropLSTM(4, 5, state=-0.1), r"state must be a number in \[0, 1\], got -0.1"),
    ],
)
def test_at_construction(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()


def test_dropout_between_one_layer_is_warned_of_as_in_torch() -> None:
    with pytest.warns(UserWarning, match="dropout=0.5 acts between layers"):
        DropLSTM(4, 5, dropout=0.5)
    assert "between" not in DropLSTM(4, 5, **zaremba_dropout(0.5)).sites


@pytest.mark.parametrize("shape", [(7, 3, 5), (7,), (0, 3, 4)])
def test_inputs(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match="input has"):
        DropLSTM(4, 5)(torch.ones(shape))


def test_states() -> None:
    net, x, h = DropLSTM(4, 5), torch.ones(7, 3, 4), torch.ones(1, 3, 5)
    with pytest.raises(TensorError, match=r"hx has the shape \(1, 3, 5\), got \(1, 2, 5\)"):
        net(x, (h, torch.ones(1, 2, 5)))
    with pytest.raises(DropkitError, match=r"hx is a pair \(h, c\)"):
        net(x, (h,))
    with pytest.raises(TensorError, match=r"hx has the shape \(1, 5\)"):
        net(x[:, 0], (h, h))
    with pytest.raises(DropkitError, match="generator is left out where key is given"):
        net(x, key=1, generator=torch.Generator())


def test_another_type_than_that_of_the_weights_is_refused_but_under_autocast() -> None:
    layer = DropLSTM(4, 8, output=0.5)
    with pytest.raises(DropkitError, match=r"input has the type of the weights, torch.float32"):
        layer(torch.ones(5, 2, 4, dtype=torch.float64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.ones(5, 2, 4, dtype=torch.bfloat16))[0].shape == (5, 2, 8)
