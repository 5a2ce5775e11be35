import pytest
import torch

from dropkit.core.check import DropkitError
from dropkit.torch.subsets import check_prefix, check_tokens, chosen, free_tokens, gather

X = torch.arange(24.0).reshape(2, 6, 2)
LAST = torch.tensor([[False] * 5 + [True]] * 2)


def test_prefix_and_marks_protect_together() -> None:
    assert free_tokens(X, 2, None).tolist() == [[False, False, True, True, True, True]] * 2
    assert free_tokens(X, 2, LAST).tolist() == [[False, False, True, True, True, False]] * 2


def test_a_batch_without_sequences_and_a_sequence_without_tokens_lose_nothing() -> None:
    assert chosen(X[:0], 0.5, 0, LAST[:0], {}) is None
    assert chosen(X[:, :0], 0.5, 0, None, {}) is None
    assert chosen(X, 0.5, 9, None, {}) is None


def test_marks_that_agree_with_the_prefix_change_nothing() -> None:
    marks = torch.arange(6).expand(2, 6) < 2
    by_marks, by_prefix = (chosen(X, 0.5, prefix, marks, {"key": 3}) for prefix in (0, 2))
    alone = chosen(X, 0.5, 2, None, {"key": 3})
    assert by_marks is not None
    assert by_prefix is not None
    assert alone is not None
    assert torch.equal(by_marks, alone)
    assert torch.equal(by_prefix, alone)


@pytest.mark.parametrize("values", [X[..., 0], X, X[..., None]])
def test_entries_are_gathered_whatever_the_rank(values: torch.Tensor) -> None:
    places = torch.tensor([[0, 3], [2, 5]])
    assert torch.equal(gather(values, places), torch.stack([values[0, [0, 3]], values[1, [2, 5]]]))


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(DropkitError, match="prefix must be a whole number of at least 0, got True"):
        check_prefix(True)
    with pytest.raises(DropkitError, match=r"input has axes \(batch, tokens, features\), got \(2, 6\)"):
        check_tokens(X[..., 0])
    with pytest.raises(DropkitError, match=r"protected is a bool tensor of shape \(2, 6\)"):
        free_tokens(X, 0, LAST[:, 1:])
