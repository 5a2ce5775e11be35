from itertools import pairwise

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments import sealed as module
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset, Index
from dropkit.experiments.sealed import Cut, Sealed, seal
from dropkit.report.plan import FIRST_SCREENING

X = np.arange(800).reshape(400, 2)
Y = np.arange(400) % 4
PLAIN = array_dataset(X, Y)
VALUES = array_dataset(X, np.arange(400) / 7)
GROUPED = array_dataset(X, Y // 2, group=np.arange(400) // 5)
TIMED = array_dataset(X, Y // 2, time=np.random.default_rng(0).permutation(400) // 2)
ALL = {"rows": PLAIN, "values": VALUES, "groups": GROUPED, "times": TIMED}


def numbers(data: Dataset) -> Index:
    """Which rows of the whole these are: every row holds its own number."""
    frame = data.inputs.frame  # type: ignore[attr-defined]  # the arrays above are tables
    return np.asarray(frame.iloc[:, 0], dtype=np.int64) // 2


def parts(sealed: Sealed) -> list[list[Index]]:
    opened, test = numbers(sealed.opened), numbers(sealed.vault)
    return [[opened[rows] for rows in vars(split).values()] + [test] for split in sealed.splits.values()]


@pytest.mark.parametrize("kind", ALL)
def test_no_row_stands_in_two_of_the_four_parts(kind: str) -> None:
    for four in parts(seal(ALL[kind], Cut(6, 1), seed=0)):
        rows = np.concatenate(four)
        assert len(np.unique(rows)) == len(rows)


@pytest.mark.parametrize("kind", ALL)
def test_sealed_rows_cannot_be_reached_by_what_runs_are_given(kind: str) -> None:
    sealed = seal(ALL[kind], Cut(6), seed=0)
    assert not set(numbers(sealed.opened)) & set(numbers(sealed.vault))
    assert len(sealed.opened.y) + len(sealed.vault.y) == 400
    assert np.array_equal(sealed.vault.y, ALL[kind].y[numbers(sealed.vault)])


@pytest.mark.parametrize("kind", ALL)
def test_the_sealed_part_follows_from_data_and_seed_alone(kind: str) -> None:
    def test_rows(cut: Cut, seed: int) -> Index:
        return numbers(seal(ALL[kind], cut, seed).vault)

    first = test_rows(Cut(6), 0)
    assert np.array_equal(first, test_rows(Cut(9, 2, 60), 0))
    assert np.array_equal(first, test_rows(Cut(6), 1)) == (kind == "times")


@pytest.mark.parametrize("kind", ["rows", "values", "groups"])
def test_the_other_three_are_drawn_again_by_every_pair(kind: str) -> None:
    splits = seal(ALL[kind], Cut(6), seed=0).splits.values()
    for part in ("train", "stop", "select"):
        assert len({tuple(sorted(getattr(split, part))) for split in splits}) == 6


def test_every_part_holds_every_class() -> None:
    for four in parts(seal(PLAIN, Cut(6, 0, 60), seed=0)):
        assert all(len(np.unique(Y[part])) == 4 for part in four)


def test_groups_stand_in_one_part_of_four() -> None:
    for four in parts(seal(GROUPED, Cut(6), seed=0)):
        groups = np.concatenate([np.unique(part // 5) for part in four])
        assert len(np.unique(groups)) == len(groups)


def test_parts_go_forward_in_time_and_the_search_lies_before_the_comparison() -> None:
    sealed = seal(TIMED, Cut(6, 1), seed=0)
    assert TIMED.times is not None
    for four in parts(sealed):
        spans = [TIMED.times[part] for part in four]
        assert all(before.max() < after.min() for before, after in pairwise(spans))
    assert sealed.parts.fresh
    times = sealed.opened.times
    assert times is not None
    searched = sealed.splits[FIRST_SCREENING].select
    assert all(times[searched].max() < times[sealed.splits[pair].select].min() for pair in range(6))


# --- what the search has seen


def test_pairs_of_their_own_rows_are_fresh_and_shared_rows_are_said() -> None:
    many = array_dataset(np.zeros((3000, 2)), np.arange(3000) % 2)
    assert seal(many, Cut(6, 1, 100), seed=0).parts.fresh
    assert not seal(PLAIN, Cut(6, 1), seed=0).parts.fresh
    assert seal(PLAIN, Cut(6), seed=0).parts.fresh


@pytest.mark.parametrize("design", ["splits", "seeds"])
@pytest.mark.parametrize("train_rows", [None, 118])
def test_of_many_rows_one_half_is_for_searching(
    monkeypatch: pytest.MonkeyPatch, train_rows: int | None, design: str
) -> None:
    monkeypatch.setattr(module, "ROOMY", 300)
    sealed = seal(PLAIN, Cut(6, 2, train_rows, design), seed=0)
    rows: dict[bool, set[int]] = {True: set(), False: set()}
    for pair, split in sealed.splits.items():
        rows[pair >= FIRST_SCREENING] |= {int(row) for part in vars(split).values() for row in part}
    searched, compared = rows[True], rows[False]
    assert not searched & compared
    assert sealed.parts.fresh
    assert sealed.parts.train == 118


def test_where_half_of_the_rows_do_not_suffice_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOMY", 300)
    parts = seal(PLAIN, Cut(6, 1, 200), seed=0).parts
    assert (parts.train, parts.fresh) == (200, False)


def test_screening_pairs_do_not_depend_on_how_many_are_compared() -> None:
    few, many = (seal(PLAIN, Cut(pairs, 1), seed=0).splits[FIRST_SCREENING] for pairs in (6, 12))
    assert all(np.array_equal(a, b) for a, b in zip(vars(few).values(), vars(many).values(), strict=True))


def test_one_split_for_all_pairs_has_no_overlap_to_correct() -> None:
    sealed = seal(PLAIN, Cut(6, 1, design="seeds"), seed=0)
    assert (sealed.parts.design, sealed.parts.overlap) == ("seeds", 0.0)
    assert all(sealed.splits[pair] is sealed.splits[0] for pair in range(6))
    assert not np.array_equal(sealed.splits[FIRST_SCREENING].train, sealed.splits[0].train)


# --- refusals


def test_a_class_that_the_sealed_part_lacks_is_refused() -> None:
    data = array_dataset(X, (np.arange(400) % 2) * (np.arange(400) < 340), time=np.arange(400))
    with pytest.raises(DropkitError, match="the sealed test part of pair 1 lacks one, got '1'"):
        seal(data, Cut(6), seed=0)


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
)
def test_what_does_not_suffice_for_four_parts_is_refused(data: Dataset, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        seal(data, Cut(6), seed=0)
