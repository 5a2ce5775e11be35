"""Random123's known answers for Philox4x32, from the file tests/kat_vectors of its release 1.14."""

import numpy as np
import pytest

from dropkit import _native
from dropkit.core.philox import philox4x32

# rounds, counter, key, answer
VECTORS = """
 7 00000000 00000000 00000000 00000000 00000000 00000000 5f6fb709 0d893f64 4f121f81 4f730a48
 7 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 5207ddc2 45165e59 4d8ee751 8c52f662
 7 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 4dfccaba 190a87f0 c47362ba b6b5242a
10 00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
10 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
10 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""


def read(line: str) -> tuple[int, list[int], list[int], list[int]]:
    rounds, *words = line.split()
    numbers = [int(word, 16) for word in words]
    return int(rounds), numbers[:4], numbers[4:6], numbers[6:]


@pytest.mark.parametrize("line", VECTORS.strip().splitlines())
def test_python(line: str) -> None:
    rounds, counter, key, answer = read(line)
    c0, c1, c2, c3 = counter
    assert list(philox4x32((c0, c1, c2, c3), (key[0], key[1]), rounds)) == answer


@pytest.mark.parametrize("line", VECTORS.strip().splitlines())
def test_arrays(line: str) -> None:
    rounds, counter, key, answer = read(line)
    c0, c1, c2, c3 = (np.array([word, 0], dtype=np.int64) for word in counter)
    words = philox4x32((c0, c1, c2, c3), (np.int64(key[0]), np.int64(key[1])), rounds)
    assert [int(word[0]) for word in words] == answer


@pytest.mark.parametrize("line", VECTORS.strip().splitlines())
def test_native(line: str) -> None:
    rounds, counter, key, answer = read(line)
    blocks = np.array([counter], dtype=np.uint32)
    _native.philox4x32(blocks, key[0] | key[1] << 32, rounds)
    assert blocks[0].tolist() == answer


def test_native_equals_python_at_random_addresses() -> None:
    words = np.random.default_rng(0).integers(0, 2**32, (10_000, 4), dtype=np.uint32)
    key = 0x0123456789ABCDEF
    c0, c1, c2, c3 = words.T.astype(np.int64)
    expected = np.stack(philox4x32((c0, c1, c2, c3), (key & 0xFFFFFFFF, key >> 32)), 1)
    _native.philox4x32(words, key, 7)
    np.testing.assert_array_equal(words, expected)
