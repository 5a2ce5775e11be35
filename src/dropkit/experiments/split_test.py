from typing import Any

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset, Split
from dropkit.experiments.split import Rows, Sizes, check_parts, cut_pairs, row_sizes


def labelled(rows: int, classes: int = 4) -> Dataset:
    return array_dataset(np.zeros((rows, 2)), np.arange(rows) % classes)


def parts_of(split: Split) -> list[Any]:
    return [split.train, split.stop, split.select]


def cut(data: Dataset, pairs: int, train_rows: int | None = None, seed: int = 0) -> tuple[Sizes, list[Split]]:
    return cut_pairs(Rows.of(data), range(pairs), train_rows, seed)


@pytest.mark.parametrize("data", [labelled(200), array_dataset(np.zeros((200, 2)), np.arange(200) / 7)])
def test_the_parts_of_a_pair_are_disjoint_and_cover_the_sizes(data: Dataset) -> None:
    for split in cut(data, 6)[1]:
        rows = np.concatenate(parts_of(split))
        assert len(np.unique(rows)) == len(rows) == 200
        assert [len(part) for part in parts_of(split)] == [140, 30, 30]


def test_with_rows_enough_no_row_stands_in_two_pairs() -> None:
    sizes, splits = cut(labelled(30_100), 10, 1000)
    assert sizes.disjoint
    assert sizes.overlap == 0
    rows = np.concatenate([part for split in splits for part in parts_of(split)])
    assert len(np.unique(rows)) == len(rows)


def test_blocks_that_fill_the_data_exactly_are_cut_all_the_same() -> None:
    _, splits = cut(labelled(30_000, classes=7), 10, 1000)
    assert all(len(part) == 1000 for split in splits for part in parts_of(split))


def test_every_part_holds_the_classes_in_proportion() -> None:
    for split in cut(labelled(400), 6, seed=3)[1]:
        for part in parts_of(split):
            counts = np.bincount(part % 4)
            assert counts.max() - counts.min() <= 1


def test_pairs_and_seeds_give_other_splits_and_the_same_seed_the_same() -> None:
    first, again, other = (cut(labelled(200), 6, seed=seed)[1] for seed in (0, 0, 1))
    assert all(np.array_equal(a.select, b.select) for a, b in zip(first, again, strict=True))
    selected = {tuple(sorted(split.select)) for split in (*first, *other)}
    assert len(selected) == 12


def test_a_later_pair_does_not_depend_on_how_many_there_are() -> None:
    data = labelled(200)
    assert np.array_equal(cut(data, 6)[1][5].train, cut(data, 9)[1][5].train)


@pytest.mark.parametrize(
    ("rows", "train_rows", "expected"),
    [
        (1797, None, (1257, 270, 270, False)),
        (70_000, 5000, (5000, 1000, 1000, True)),
        (70_000, 20_000, (20_000, 4000, 4000, False)),
        (70_000, 60_000, (60_000, 5000, 5000, False)),
        (1797, 100, (100, 20, 20, False)),
    ],
)
def test_sizes_share_no_rows_where_they_need_not(
    rows: int, train_rows: int | None, expected: tuple[int, int, int, bool]
) -> None:
    sizes = row_sizes(rows, 10, train_rows)
    assert (sizes.train, sizes.stop, sizes.select, sizes.disjoint) == expected


def test_more_classes_than_a_held_part_has_rows_are_refused_before_the_cut() -> None:
    with pytest.raises(DropkitError, match="train_rows must leave 20 of the 400 rows for stopping"):
        cut(labelled(400, classes=20), 6, 60)


def test_a_class_that_a_part_lacks_is_named_with_the_part() -> None:
    data = array_dataset(np.zeros((1010, 2)), np.array(["common"] * 1000 + ["rare"] * 10))
    with pytest.raises(
        DropkitError, match=r"every class in every part: the stop part of pair 1 .*got 'rare'"
    ):
        check_parts(data, [vars(split) for split in cut(data, 6, 60)[1]])
