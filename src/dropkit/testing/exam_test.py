"""What an exam draws: at which rates, and how much."""

from dataclasses import replace
from typing import Any

import pytest

from dropkit import Blocks, Drop, Key
from dropkit.testing import numpy_subject
from dropkit.testing.exam import RATES, Exam


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
