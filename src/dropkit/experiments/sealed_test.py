from itertools import pairwise

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset, Index
from dropkit.experiments.sealed import Sealed, seal

X = np.zeros((400, 2))
Y = np.arange(400) % 4
PLAIN = array_dataset(X, Y)
VALUES = array_dataset(X, np.arange(400) / 7)
GROUPED = array_dataset(X, Y // 2, group=np.arange(400) // 5)
TIMED = array_dataset(X, Y // 2, time=np.random.default_rng(0).permutation(400) // 2)
ALL = {"rows": PLAIN, "values": VALUES, "groups": GROUPED, "times": TIMED}


def parts(sealed: Sealed) -> list[list[Index]]:
    return [[draw.train, draw.stop, draw.select, sealed.test] for draw in sealed.draws]


@pytest.mark.parametrize("kind", ALL)
def test_no_row_stands_in_two_of_the_four_parts(kind: str) -> None:
    for four in parts(seal(ALL[kind], 6, None, seed=0)):
        rows = np.concatenate(four)
        assert len(np.unique(rows)) == len(rows)


@pytest.mark.parametrize("kind", ALL)
def test_the_sealed_part_follows_from_data_and_seed_alone(kind: str) -> None:
    first = seal(ALL[kind], 6, None, seed=0).test
    assert np.array_equal(first, seal(ALL[kind], 9, 60, seed=0).test)
    assert np.array_equal(first, seal(ALL[kind], 6, None, seed=1).test) == (kind == "times")


@pytest.mark.parametrize("kind", ["rows", "values", "groups"])
def test_the_other_three_are_drawn_again_by_every_pair(kind: str) -> None:
    draws = seal(ALL[kind], 6, None, seed=0).draws
    for part in ("train", "stop", "select"):
        assert len({tuple(sorted(getattr(draw, part))) for draw in draws}) == 6


def test_every_part_holds_every_class() -> None:
    for four in parts(seal(PLAIN, 6, 60, seed=0)):
        assert all(len(np.unique(Y[part])) == 4 for part in four)


def test_groups_stand_in_one_part_of_four() -> None:
    for four in parts(seal(GROUPED, 6, None, seed=0)):
        groups = np.concatenate([np.unique(part // 5) for part in four])
        assert len(np.unique(groups)) == len(groups)


def test_the_sealed_part_is_the_latest_and_each_part_before_it_earlier() -> None:
    assert TIMED.times is not None
    for four in parts(seal(TIMED, 6, None, seed=0)):
        times = [TIMED.times[part] for part in four]
        assert all(one.max() < two.min() for one, two in pairwise(times))


def test_sizes_say_what_the_parts_hold_and_what_they_share() -> None:
    sealed = seal(PLAIN, 6, None, seed=0)
    sizes = sealed.sizes
    assert [len(part) for part in parts(sealed)[3]] == [sizes.train, sizes.stop, sizes.select, sizes.test]
    assert sizes.overlap == sizes.select / sizes.train


def test_with_rows_enough_no_draw_shares_a_row_with_another() -> None:
    data = array_dataset(np.zeros((9000, 1)), np.arange(9000) % 2)
    sealed = seal(data, 6, 500, seed=0)
    rows = np.concatenate([part for four in parts(sealed) for part in four[:3]])
    assert len(np.unique(rows)) == len(rows)
    assert sealed.sizes.overlap == 0


def test_a_class_that_the_sealed_part_lacks_is_refused() -> None:
    data = array_dataset(X, (np.arange(400) % 2) * (np.arange(400) < 340), time=np.arange(400))
    with pytest.raises(DropkitError, match="the sealed test part of pair 1 lacks one, got '1'"):
        seal(data, 6, None, seed=0)


def rare(count: int) -> Dataset:
    group = np.arange(400) // 5
    return array_dataset(X, np.where(group < count, "rare", "common"), group=group)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (rare(3), "group must spread every class over 4 groups or more.*got '3 with class rare'"),
        (array_dataset(X, Y, group=np.arange(400) // 58), "group must name 7 groups or more.*got 6"),
        (array_dataset(X, Y, time=np.arange(400) > 10), "must leave rows before the sealed part"),
    ],
)  # fmt: skip
def test_what_does_not_suffice_for_four_parts_is_refused(data: Dataset, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        seal(data, 6, None, seed=0)
