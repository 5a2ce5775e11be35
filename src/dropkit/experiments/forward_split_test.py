from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset

ROWS = 400
RNG = np.random.default_rng(0)
DAYS = RNG.permutation(ROWS)


def series(time: object = DAYS) -> Dataset:
    return array_dataset(np.ones((ROWS, 2)), np.arange(ROWS) % 2, time=time)


@pytest.mark.parametrize("train_rows", [None, 100])
@pytest.mark.parametrize("days", [DAYS, DAYS // 3])
def test_every_part_comes_after_the_one_before_and_no_moment_is_cut(
    days: object, train_rows: int | None, cut: Callable[..., Any]
) -> None:
    data = series(days)
    assert data.times is not None
    for split in cut(data, 6, train_rows)[1]:
        train, stop, select = (data.times[part] for part in (split.train, split.stop, split.select))
        assert train.max() < stop.min()
        assert stop.max() < select.min()


def test_windows_expand_and_no_row_is_judged_twice(cut: Callable[..., Any]) -> None:
    data = series()
    _, splits = cut(data, 9, None)
    assert [len(split.train) for split in splits] == list(range(200, 380, 20))
    assert all(set(one.train) < set(two.train) for one, two in pairwise(splits))
    judged = np.concatenate([split.select for split in splits])
    assert len(np.unique(judged)) == len(judged)
    assert max(data.times[splits[-1].select]) == ROWS - 1  # type: ignore[index]  # this data set has times


def test_fewer_training_rows_are_the_latest_that_leave_room(cut: Callable[..., Any]) -> None:
    data = series()
    split = cut(data, 6, 100)[1][0]
    assert data.times is not None
    assert sorted(data.times[split.train]) == list(range(160, 260))


def test_iso_dates_are_as_good_as_numbers() -> None:
    dates = [str(np.datetime64("2025-01-01") + np.timedelta64(int(day), "D")) for day in DAYS]
    assert series(dates).digest() == series().digest()


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (
            [*DAYS[:-1], np.nan],
            "time must be known for every row: 'time' has empty cells, got '1 empty cell'",
        ),
        ([*DAYS[:-1], np.inf], "time must be finite in 'time', got inf"),
        (
            ["3 May"] * ROWS,
            "time must hold numbers or ISO dates in 'time'.*got '3 May'; write e.g. 2026-01-31",
        ),
        (["2026-01-31"] * (ROWS - 1) + ["31.1.2026"], "time must hold numbers or ISO dates.*got '31.1.2026'"),
        (DAYS[:7], "time must hold one value for each of 400 rows"),
        ("day", "time must hold one value a row for arrays, got 'day'"),
        (np.zeros(ROWS), "time must have times enough for 6 pairs.*got '1 different times'"),
        (DAYS // 100, "time must have times enough for 6 pairs"),
    ],
)
def test_a_time_that_cannot_order_the_rows_is_refused(
    time: object, message: str, cut: Callable[..., Any]
) -> None:
    with pytest.raises(DropkitError, match=message):
        cut(series(time), 6, None)


def test_too_few_rows_for_so_many_pairs_are_refused(cut: Callable[..., Any]) -> None:
    with pytest.raises(DropkitError, match="time needs 31 blocks of 10 rows"):
        cut(series(), 30, None)


def test_a_class_that_appears_late_is_refused_with_the_part(cut: Callable[..., Any]) -> None:
    data = array_dataset(np.zeros((ROWS, 2)), (np.arange(ROWS) > 300).astype(int), time=np.arange(ROWS))
    with pytest.raises(DropkitError, match="the train part of pair 1 lacks one, got '1'"):
        cut(data, 6, None)
