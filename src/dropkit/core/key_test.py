import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.address import fold_word
from dropkit.core.check import DropkitError
from dropkit.core.key import Key

WORD = st.integers(0, 2**64 - 1)
CALL = st.integers(0, 2**32 - 1)
NAMES = ("", "rank", "step", "encoder.drop", "层.随机失活")


def test_golden_folds_of_version_1() -> None:
    once = Key(42).fold("rank", 1)
    assert once == Key(42, 1, 3967884130)
    assert once.fold("step", 9) == Key(11216547821509828073, 9, 1185366400)
    assert Key(42).fold("层.随机失活") == Key(42, 0, 2990408522)


@given(WORD, st.text(), CALL)
def test_the_first_fold_names_stream_and_call(word: int, name: str, i: int) -> None:
    digest = hashlib.blake2s(name.encode()).digest()
    stream = sum(byte << 8 * place for place, byte in enumerate(digest[:4]))
    assert Key(word).fold(name, i) == Key(word, i, stream)


@given(WORD, CALL, st.integers(1, 2**32 - 1))
def test_a_further_fold_takes_a_new_word(word: int, call: int, stream: int) -> None:
    key = Key(word, call, stream)
    folded = key.fold("step", 3)
    assert folded.word == fold_word(key.words)
    assert (folded.call, folded.stream) == (3, Key(0).fold("step").stream)


def test_chains_of_folds_never_meet() -> None:
    chains = list(itertools.product([Key(0), Key(1)], NAMES, range(3), NAMES, range(3)))
    keys = {key.fold(a, i).fold(b, j) for key, a, i, b, j in chains}
    assert len(keys) == len(chains)
    assert len({key.words for key in keys}) == len(chains)


def test_of_takes_ints_of_any_make_and_keys() -> None:
    for seed in (7, np.int64(7), np.uint8(7)):
        taken = Key.of(seed)  # type: ignore[arg-type]  # NumPy's integers are no int to a type checker
        assert taken == Key(7)
        assert type(taken.word) is int
    key = Key(7).fold("a")
    assert Key.of(key) is key


def test_of_nothing_is_fresh_every_time() -> None:
    assert len({Key.of(None) for _ in range(100)}) == 100


def test_json_round_trip() -> None:
    key = Key(2**64 - 1).fold("a", 5)
    assert Key(**key.to_json()) == key


@pytest.mark.parametrize("word", [-1, 2**64, 0.5, "7", None, True])
def test_a_word_has_64_bits(word: object) -> None:
    with pytest.raises(
        DropkitError, match=r"^key must be a whole number of at least 0 and below 2\*\*64, got"
    ):
        Key(word)  # type: ignore[arg-type]  # what is refused is the point


@pytest.mark.parametrize("i", [-1, 2**32, 0.5, "7", None, True])
def test_a_call_has_32_bits(i: object) -> None:
    with pytest.raises(DropkitError, match=r"^i must be a whole number"):
        Key(1).fold("a", i)  # type: ignore[arg-type]  # what is refused is the point
