from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset

RNG = np.random.default_rng(0)


def patients(count: int, rows: int = 8, classes: int = 2) -> Dataset:
    """Each patient has one class, as a diagnosis is."""
    group = np.repeat(np.arange(count), rows)
    return array_dataset(RNG.normal(size=(len(group), 3)), group % classes, group=group)


def prices(count: int) -> Dataset:
    group = RNG.integers(0, count, size=2000)
    return array_dataset(RNG.normal(size=(2000, 3)), RNG.normal(size=2000), group=group)


@pytest.mark.parametrize("data", [patients(14), patients(60), patients(1500, 3), prices(10), prices(1200)])
def test_no_group_stands_in_two_parts_and_no_row_in_two(data: Dataset, cut: Callable[..., Any]) -> None:
    sizes, splits = cut(data, 6, None)
    assert data.groups is not None
    for split in splits:
        parts = [split.train, split.stop, split.select]
        groups = np.concatenate([np.unique(data.groups[part]) for part in parts])
        rows = np.concatenate(parts)
        assert len(np.unique(groups)) == len(groups)
        assert len(np.unique(rows)) == len(rows)
        assert len(split.train) == sizes.train
        assert min(len(split.stop), len(split.select)) >= min(sizes.stop, sizes.select)


def test_held_parts_are_about_a_seventh_where_groups_are_small(cut: Callable[..., Any]) -> None:
    sizes, _ = cut(patients(70), 10, None)
    assert (sizes.train, sizes.stop, sizes.select) == (400, 80, 80)
    assert sizes.overlap == 80 / 400


def test_uneven_groups_are_corrected_for_the_mean_of_what_is_judged(cut: Callable[..., Any]) -> None:
    group = np.repeat(np.arange(200), np.linspace(1, 6, 200).astype(int) ** 2)
    data = array_dataset(np.zeros((len(group), 2)), np.linspace(0, 1, len(group)), group=group)
    sizes, splits = cut(data, 10, None)
    judged = [len(split.select) for split in splits]
    assert sizes.select == min(judged) < 0.9 * np.mean(judged)
    assert sizes.overlap == pytest.approx(np.mean(judged) / sizes.train)


def test_fewer_training_rows_are_drawn_from_all_training_groups(cut: Callable[..., Any]) -> None:
    data = patients(70)
    split = cut(data, 6, 100)[1][0]
    assert data.groups is not None
    assert len(split.train) == 100
    assert len(np.unique(data.groups[split.train])) > 30


def test_pairs_and_seeds_cut_other_groups_and_the_same_seed_the_same(cut: Callable[..., Any]) -> None:
    data = patients(60)
    first, again, other = (cut(data, 6, None, seed)[1] for seed in (0, 0, 1))
    assert all(np.array_equal(a.select, b.select) for a, b in zip(first, again, strict=True))
    assert len({tuple(split.select) for split in (*first, *other)}) == 12


def test_a_class_in_three_groups_reaches_every_part_all_the_same(cut: Callable[..., Any]) -> None:
    group = np.repeat(np.arange(30), 8)
    y = np.where(group < 3, "rare", "common")
    data = array_dataset(RNG.normal(size=(240, 2)), y, group=group)
    for split in cut(data, 10, None)[1]:
        assert all(len(set(y[part])) == 2 for part in (split.train, split.stop, split.select))


def test_too_few_groups_are_refused(cut: Callable[..., Any]) -> None:
    with pytest.raises(DropkitError, match=r"group must name 7 groups or more.*got 6"):
        cut(patients(6, 20), 6, None)


def test_a_class_in_too_few_groups_is_refused_by_name(cut: Callable[..., Any]) -> None:
    group = np.repeat(np.arange(20), 8)
    data = array_dataset(np.zeros((160, 2)), np.where(group < 2, "rare", "common"), group=group)
    with pytest.raises(DropkitError, match=r"group must spread every class .*got '2 with class rare'"):
        cut(data, 6, None)


def test_groups_too_small_for_a_part_are_refused(cut: Callable[..., Any]) -> None:
    group = np.concatenate([np.zeros(60, int), np.arange(1, 7)])
    data = array_dataset(np.zeros((66, 2)), np.linspace(0, 1, 66), group=group)
    with pytest.raises(DropkitError, match="group must leave 10 rows for stopping and 10 for comparing"):
        cut(data, 6, None)


def test_more_training_rows_than_whole_groups_leave_are_refused(cut: Callable[..., Any]) -> None:
    with pytest.raises(DropkitError, match=r"train_rows must leave whole groups.*ask for at most 400"):
        cut(patients(70), 6, 450)
