"""What an exam draws: at which rates, and how much."""

from dataclasses import replace
from typing import Any

import pytest

from dropkit import Blocks, Drop, Key
from dropkit.testing import numpy_subject
from dropkit.testing.exam import RATES, Exam, far_apart, following


def exam(pattern: Any, key: int | Key = 1) -> Exam:
    return Exam(replace(numpy_subject(lambda rate: Drop(rate, pattern)), drop=None), Key.of(key))


def test_two_rates_follow_from_the_key_that_no_list_can_know() -> None:
    drawn = [exam("...", key).rates for key in (Key(1), Key(1, 2), Key(1, 0, 3), Key(2))]
    assert all(rates[: len(RATES)] == RATES for rates in drawn)
    assert len({rate for rates in drawn for rate in rates[len(RATES) :]}) == 8
    assert all(0.1 <= low < 0.5 <= high < 0.9 for *_, low, high in drawn)


def test_what_has_a_twin_needs_fewer_statistics_unless_it_waives_the_twin() -> None:
    ours = numpy_subject(Drop)
    assert Exam(ours, Key(1)).sampled == RATES[:2]
    for stranger in (replace(ours, drop=None), replace(ours, waived={"key": "it has no keys"})):
        assert len(Exam(stranger, Key(1)).sampled) == len(RATES) + 2


@pytest.mark.parametrize("pattern", ["...", "b c h w -> b c", "b t d -> d", Blocks(2, over="h w")])
def test_as_many_draws_come_as_were_asked_for_in_few_calls(pattern: Any) -> None:
    found = list(exam(pattern).many(0.3, 300_000))
    assert 300_000 <= sum(m.size for m in found) < 2 * 300_000
    assert len(found) < 10


def test_one_coin_a_call_is_drawn_for_a_while_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropkit.testing.exam._SINGLE", 50)
    found = list(exam("... -> ").many(0.3, 10**6))
    assert [m.size for m in found] == [1] * 50


def test_draws_of_overlapping_blocks_are_thinned() -> None:
    (m,) = exam(Blocks(2, over="h w")).many(0.5, 1)
    assert m.shape == (512, 2, 2)


def test_addresses_lie_apart_by_powers_of_two_and_of_ten_in_each_part() -> None:
    start = Key(2**64 - 5, 7, 9)
    keys = far_apart(start, by_chance=0)
    assert len(set(keys)) == len(keys)
    assert {2**16, 2**31, 10**3, 10**9} <= {(key.call - 7) % 2**32 for key in keys}
    assert {2**40, 2**63, 10**19} <= {(key.word - start.word) % 2**64 for key in keys}
    assert {2**16, 10**9} <= {(key.stream - 9) % 2**32 for key in keys}
    by_chance = far_apart(start, by_chance=100)
    assert by_chance == far_apart(start, by_chance=100)
    assert len(by_chance) == len(keys) + 300


def test_the_next_calls_go_round_at_the_end() -> None:
    assert [key.call for key in following(Key(1, 2**32 - 2), 3)] == [2**32 - 2, 2**32 - 1, 0]


@pytest.mark.parametrize(("pattern", "addresses"), [("...", 520), ("... -> ", 46)])
def test_few_coins_a_call_are_made_up_for_by_the_next_calls(pattern: Any, addresses: int) -> None:
    coins = exam(pattern).far(64)
    assert coins.shape[0] >= addresses
    assert coins.shape[1] >= 64
    assert coins.any(axis=1).all()
    assert not coins.all(axis=1).any()


def test_one_call_grows_along_each_axis_of_independent_draws() -> None:
    assert exam("b t d -> b d").grown(0.5, 529 * 3) == [(69, 2, 23), (23, 2, 69)]
    assert exam(Blocks(3, over="h w")).grown(0.5, 4096) == [(1024, 5, 5), (512, 10, 5), (512, 5, 10)]
    assert exam(Blocks(3, over="h w")).grown(0.5, 3 * 2048) == [(1536, 5, 5)]
    assert exam("... -> ").grown(0.5, 4096) == []
