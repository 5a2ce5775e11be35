import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from dropkit.torch.check import TensorError
from dropkit.torch.sequences import read, write

X = torch.arange(24.0).reshape(4, 3, 2)
LENGTHS = torch.tensor([2, 3, 1, 3])


def test_an_input_is_laid_out_and_comes_back_in_its_own_form() -> None:
    assert torch.equal(read(X, 2, True).x, X)
    assert torch.equal(read(X.transpose(0, 1), 2, False).x, X)
    for batch_first in (True, False):
        assert torch.equal(write(read(X, 2, batch_first).x, X, batch_first), X)
        assert torch.equal(write(read(X[0], 2, batch_first).x, X[0], batch_first), X[0])


@pytest.mark.parametrize("sorted_by_hand", [True, False])
def test_a_packed_batch_comes_back_as_it_was(sorted_by_hand: bool) -> None:
    x, lengths = (X[[1, 3, 0, 2]], LENGTHS[[1, 3, 0, 2]]) if sorted_by_hand else (X, LENGTHS)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=sorted_by_hand)
    batch = read(packed, 2, False)
    assert batch.lengths is not None
    assert torch.equal(batch.lengths, lengths)
    assert torch.equal(batch.x, pad_packed_sequence(packed, batch_first=True)[0])
    back = write(batch.x, packed, False)
    for ours, theirs in zip(back, packed, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or theirs is None or torch.equal(ours, theirs)


def test_a_batch_that_was_packed_step_by_step_is_taken_too() -> None:
    packed = PackedSequence(torch.ones(5, 2), torch.tensor([2, 2, 1]))
    assert torch.equal(write(read(packed, 2, True).x, packed, True).data, packed.data)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3, 5), r"has the shape \(batch, time, 2\)"),
        ((2,), r"has the shape \(batch, time, 2\)"),
        ((1, 4, 3, 2), r"has the shape \(batch, time, 2\)"),
        ((4, 0, 2), "has one step at least"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(TensorError, match=f"input {message}"):
        read(torch.ones(shape), 2, True)
