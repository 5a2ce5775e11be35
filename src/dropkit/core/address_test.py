"""The address is a promise: these golden values change only together with the address version."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.address import VERSION, Words, fold_word, second, second_at, uniform, uniform_at
from dropkit.core.key import Key
from dropkit.core.philox import philox4x32

GROUPS = (0, 1, 7, 8, 31, 32, 63, 64, 65, 2**32 - 1, 2**32, 2**40 + 5, 2**62 - 1)

KEYS = {
    "zero": Key(0),
    "seed": Key(42),
    "last": Key(2**64 - 1),
    "folded": Key(42).fold("encoder.drop", 7),
    "folded twice": Key(42).fold("rank", 1).fold("step", 2**32 - 1),
}

UNIFORM = {
    "zero": "b70912ea 586e81c3 403a4d4e 5f6f0a7d f95af3ff 1f81cf58 f8e1ea0a 91b925e4 d9b199ad a375162f "
    "45015734 c8f50063 4c19f3ca",
    "seed": "c19adec4 d87a0160 b60775d8 92cb9af4 2a35c0ef f2b4fc30 d9150205 4f922d97 169a03fe e97d1553 "
    "b2533e6e be9ce6ca 7530d06c",
    "last": "3f757b0e 06d45e89 acf0661a 6b87eade dbc0c4c9 7d6339b7 7f7191e9 f0877e2f 69540b31 2eb8c497 "
    "da6120eb 7fd2aebc e5956499",
    "folded": "1ba22772 7e7b246d 02fdda7e d869ff84 3dd3e196 e23f50c0 8f3ad540 8b4986b4 35184dcd 1709f755 "
    "a6a60845 8baca009 1542986c",
    "folded twice": "af0cb8ff 84e4a3dc 99cc62a7 826b1a6c 713846e7 43cf0d8a 4a0da504 cf1c092c fc1bf08e "
    "97f09536 12e3b90f 34e815ee 17d9de80",
}

SECOND = {
    "zero": "13b03cad ce2b03ba 72fbcc49 cb4a96ab 9ac97c4f 815ff2ff 147134e6 1e4299bd 4a835ef8 8f1c7281 "
    "a4751ef9 a5eb015d f9faf91a",
    "seed": "521528e1 424ba474 92680db4 5b34a7b6 65a05745 5c298326 6f489c93 e244c7d5 e83e1cbd 8e99a292 "
    "a99ac231 d74896d2 42bbdd7a",
    "last": "c23cc0c0 79ea9bb3 297dd9ec 3c303d29 1ef56f79 f611051d 0fb7061f 0c152994 14bfa365 55b2818b "
    "3e083836 52d409f1 9f15815d",
    "folded": "2ecd160e b901cdf2 9a303921 0ae216a9 46770838 70f737b1 24e9443c 75916202 0006c9f8 d4628d38 "
    "ac940028 c2f42627 7d39eabb",
    "folded twice": "4c673855 6312eea1 f9a2d715 1eb4b25c 240721f4 1032d87c 0cbf9a98 7f4e01af 9415b05d "
    "098c5425 4708b6b0 45c6bb5c 63c4ccaf",
}

WORDS = st.builds(Words, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
START = st.one_of(st.integers(0, 300), st.integers(2**32 - 200, 2**32 + 200), st.integers(0, 2**62 - 300))
COUNT = st.integers(1, 200)


def hexadecimal(numbers: Any) -> str:
    return " ".join(f"{int(number):08x}" for number in numbers)


def by_the_table(words: Words[int], lane: int, block: int) -> tuple[int, int, int, int]:
    """One Philox block, its counter and key written out as the table says."""
    counter = (block % 2**32, block // 2**32 + lane * 2**30, words.call, words.stream)
    c0, c1, c2, c3 = philox4x32(counter, (words.word % 2**32, words.word // 2**32))
    return c0, c1, c2, c3


def half_by_the_table(words: Words[int], lane: int, group: int) -> int:
    word, upper = divmod(group % 64 // 8, 2)
    number = by_the_table(words, lane, 8 * (group // 64) + group % 8)[word]
    return number // 2**16 if upper else number % 2**16


def uniform_by_the_table(words: Words[int], group: int) -> int:
    return half_by_the_table(words, 0, group) * 2**16 + half_by_the_table(words, 1, group)


def second_by_the_table(words: Words[int], group: int) -> int:
    return by_the_table(words, 2, 8 * (group // 32) + group % 8)[group % 32 // 8]


@pytest.mark.parametrize("name", KEYS)
def test_golden_values_of_version_1(name: str) -> None:
    assert VERSION == 1
    groups = np.array(GROUPS)
    assert hexadecimal(uniform_at(np, KEYS[name].words, groups)) == UNIFORM[name]
    assert hexadecimal(second_at(np, KEYS[name].words, groups)) == SECOND[name]


@given(WORDS, START, COUNT)
def test_a_run_is_what_the_table_says(words: Words[int], start: int, count: int) -> None:
    groups = range(start, start + count)
    assert uniform(np, words, start, count).tolist() == [uniform_by_the_table(words, g) for g in groups]
    assert second(np, words, start, count).tolist() == [second_by_the_table(words, g) for g in groups]


@given(WORDS, START, COUNT)
def test_any_groups_equal_the_run(words: Words[int], start: int, count: int) -> None:
    groups = np.arange(start, start + count)[::-1]
    for run, pick in ((uniform, uniform_at), (second, second_at)):
        np.testing.assert_array_equal(pick(np, words, groups), run(np, words, start, count)[::-1])


@given(WORDS, START, COUNT)
def test_torch_equals_numpy(words: Words[int], start: int, count: int) -> None:
    groups = torch.arange(start, start + count)
    for run, pick in ((uniform, uniform_at), (second, second_at)):
        expected = run(np, words, start, count)
        np.testing.assert_array_equal(run(torch, words, start, count).numpy(), expected)
        np.testing.assert_array_equal(pick(torch, words, groups).numpy(), expected)


@given(WORDS)
def test_a_key_on_its_device_draws_what_its_numbers_draw(words: Words[int]) -> None:
    word, call, stream = words
    signed = word - 2**64 if word >= 2**63 else word
    tensors = Words(torch.tensor(signed), torch.tensor(call), torch.tensor(stream))
    np.testing.assert_array_equal(uniform(torch, tensors, 60, 70).numpy(), uniform(np, words, 60, 70))


@given(WORDS)
def test_folding_takes_the_first_block_of_its_own_lane(words: Words[int]) -> None:
    low, high, _, _ = by_the_table(words, 3, 0)
    assert fold_word(words) == high * 2**32 + low


@pytest.mark.parametrize("other", [Words(8, 0, 0), Words(7 + 2**32, 0, 0), Words(7, 1, 0), Words(7, 0, 1)])
def test_every_number_of_a_key_matters(other: Words[int]) -> None:
    ours, theirs = uniform(np, Words(7, 0, 0), 0, 64), uniform(np, other, 0, 64)
    assert not np.any(ours == theirs)
