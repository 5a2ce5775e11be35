import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.philox import ROUNDS, philox4x32

WORD = st.integers(0, 2**32 - 1)
BLOCK = st.tuples(WORD, WORD, WORD, WORD)
KEY = st.tuples(WORD, WORD)


def textbook(counter: list[int], key: list[int], rounds: int) -> list[int]:
    """Figure 2 of the paper on unsigned numbers, one word after the other."""
    left, right = counter, key
    for _ in range(rounds):
        high0, low0 = divmod(left[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(left[2] * 0xCD9E8D57, 2**32)
        left = [high1 ^ left[1] ^ right[0], low1, high0 ^ left[3] ^ right[1], low0]
        right = [(right[0] + 0x9E3779B9) % 2**32, (right[1] + 0xBB67AE85) % 2**32]
    return left


def test_seven_rounds_unless_told_otherwise() -> None:
    # Random123's known answer for 7 rounds; the others are in tests/known_answers_test.py.
    assert ROUNDS == 7
    assert philox4x32((0, 0, 0, 0), (0, 0)) == (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)


@given(BLOCK, KEY, st.integers(0, 12))
def test_equals_the_textbook(counter: tuple[int, int, int, int], key: tuple[int, int], rounds: int) -> None:
    assert list(philox4x32(counter, key, rounds)) == textbook(list(counter), list(key), rounds)


@pytest.mark.parametrize("array", [np.array, torch.tensor])
def test_arrays_equal_numbers_where_products_wrap(array: type) -> None:
    generator = np.random.default_rng(0)
    counters = generator.integers(0, 2**32, (1000, 4))
    counters[:16] = np.array(np.meshgrid(*[[0, 2**32 - 1]] * 4)).reshape(4, -1).T
    key = 0xFFFFFFFF, 0x80000000
    c0, c1, c2, c3 = (array(column) for column in counters.T.copy())
    drawn = np.stack([np.asarray(words) for words in philox4x32((c0, c1, c2, c3), key)], 1)
    expected = [philox4x32((a, b, c, d), key) for a, b, c, d in counters.tolist()]
    np.testing.assert_array_equal(drawn, expected)
