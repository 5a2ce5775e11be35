import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.core.reference import mask
from dropkit.methods.token_dropout import protected, token_dropout

IDS = np.array([[101, 7, 8, 102, 0, 0], [101, 9, 7, 5, 3, 102]])


def test_a_token_goes_whole() -> None:
    drawn = mask(8, (32, 6, 5), token_dropout(0.5))
    assert {tuple(token) for token in drawn.reshape(-1, 5)} == {(0.0,) * 5, (2.0,) * 5}


def test_each_sequence_drops_tokens_of_its_own() -> None:
    drawn = mask(8, (4, 16, 1), token_dropout(0.5))[..., 0]
    assert len(np.unique(drawn, axis=0)) == 4


def test_ids_prefix_and_padding_are_protected_together() -> None:
    nothing = protected(IDS)
    assert nothing.dtype == bool
    assert not nothing.any()
    assert np.array_equal(protected(IDS, keep=(101, 102)), np.isin(IDS, (101, 102)))
    assert np.array_equal(protected(IDS, prefix=2), np.arange(6) < np.full((2, 1), 2))
    assert np.array_equal(protected(IDS, padding=IDS == 0), IDS == 0)
    both = protected(IDS, keep=(102,), prefix=1, padding=IDS == 0)
    assert both.tolist() == [[True, False, False, True, True, True], [True] + [False] * 4 + [True]]


def test_the_arguments_are_left_as_they_were() -> None:
    ids, padding = IDS.copy(), IDS == 0
    protected(ids, prefix=3, padding=padding)
    assert np.array_equal(ids, IDS)
    assert np.array_equal(padding, IDS == 0)


@pytest.mark.parametrize("prefix", [-1, 1.5, "1", None])
def test_a_wrong_prefix_is_refused(prefix: object) -> None:
    with pytest.raises(DropkitError, match="prefix must be a whole number of at least 0"):
        protected(IDS, prefix=prefix)  # type: ignore[arg-type]  # the wrong type is the point


def test_padding_of_another_shape_is_refused() -> None:
    with pytest.raises(DropkitError, match=r"padding has the shape of ids, \(2, 6\), got \(6,\)"):
        protected(IDS, padding=np.zeros(6, bool))


def test_tensors_are_served_by_the_same_lines() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is an optional package")
    expected = protected(IDS, keep=(0,), prefix=1)
    assert np.array_equal(protected(torch.tensor(IDS), keep=(0,), prefix=1).numpy(), expected)
