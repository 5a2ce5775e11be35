"""Any torch module as a subject: what a key, a mode and a gradient mean to it."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import dropkit.testing
from dropkit import Key
from dropkit.testing import module_subject
from dropkit.testing.torch import _Seeds

X = np.ones((8, 64))
SUBJECT = module_subject(torch.nn.Dropout, "torch's own", "b t -> b t")


def test_a_key_is_a_seed_and_leaves_the_generator_as_it_was() -> None:
    built, before = SUBJECT.at(0.5), torch.get_rng_state()
    first, again, other = (built.forward(X, Key(word)) for word in (1, 1, 2**63 + 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert (first == again).all()
    assert (first != other).any()


def test_without_a_key_the_generator_is_drawn_on() -> None:
    built = SUBJECT.at(0.5)
    torch.manual_seed(3)
    first, second = built.forward(X, None), built.forward(X, None)
    torch.manual_seed(3)
    assert (built.forward(X, None) == first).all()
    assert (first != second).any()


def test_keys_that_meet_in_32_bits_get_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropkit.core.address.fold_word", lambda words: 2**32 - 1)
    seeds = _Seeds()
    assert [seeds.of(Key(word)) for word in (1, 2, 1)] == [2**32 - 1, 0, 2**32 - 1]


@pytest.mark.parametrize("known", [True, False])
def test_mode_mc_draws_and_leaves_batch_norm_alone_where_dropout_is_known(known: bool) -> None:
    class Own(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.dropout(x, 0.5, self.training)

    norm = torch.nn.BatchNorm1d(64).double()
    drop = torch.nn.Dropout(0.5) if known else Own()
    built = module_subject(lambda p: torch.nn.Sequential(norm, drop), "net", "b t -> b t").at(0.5)
    before = built.state()
    assert (built.forward(X, Key(1), "eval") != 0).all()
    assert built.state() == before
    assert (built.forward(X + np.arange(64), Key(1), "mc") == 0).any()
    assert (built.state() == before) is known


def test_the_gradient_is_that_of_the_seed_of_the_key() -> None:
    built = SUBJECT.at(0.3)
    np.testing.assert_array_equal(built.backward(X, X, Key(5)), built.forward(X, Key(5)))


def test_an_array_that_lies_backwards_in_memory_is_taken() -> None:
    built, x = SUBJECT.at(0.3), np.arange(1.0, 65.0)[::-1].reshape(8, 8)[::-1]
    assert (built.forward(x, Key(5)) == built.forward(x.copy(), Key(5))).all()
    assert (built.backward(x, x, Key(5)) == built.backward(x.copy(), x.copy(), Key(5))).all()


def test_torch_is_loaded_when_its_subjects_are_asked_for() -> None:
    code = (
        "import sys, dropkit.testing as t; assert 'torch' not in sys.modules; "
        "t.module_subject; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"layer_subject", "module_subject", "torch_subject"} <= set(dir(dropkit.testing))
    with pytest.raises(AttributeError, match="no attribute 'modul_subject'"):
        dropkit.testing.modul_subject  # noqa: B018 - asking is the test
