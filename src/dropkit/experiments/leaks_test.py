from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.columns import Columns
from dropkit.experiments.leaks import copies_note, sealed_copies_note
from dropkit.experiments.sealed import Cut, seal
from dropkit.experiments.sources import load_data

ROWS = 200
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, ROWS)
PRICE = RNG.normal(size=ROWS)
NOISE = {f"n{i}": RNG.normal(size=ROWS) for i in range(4)}


def notes(target: Any = Y, **columns: Any) -> str:
    frame = pd.DataFrame((NOISE if len(target) == ROWS else {}) | columns).assign(y=target)
    return "\n".join(map(str, load_data(frame, Columns("y")).notes))


LEAKS: dict[str, tuple[Any, Any]] = {
    "the target itself": (Y, Y),
    "other numbers": (Y, 7 - 3 * Y),
    "names": (Y, np.where(Y == 1, "ill", "well")),
    "another unit": (PRICE, 0.9 * PRICE + 30),
}


@pytest.mark.parametrize("case", LEAKS)
def test_the_target_under_another_name_is_warned_of_by_name(case: str) -> None:
    target, column = LEAKS[case]
    assert "Column 'copy' is the target under other names or in another unit" in notes(target, copy=column)


ALONE: dict[str, tuple[Any, Any]] = {
    "a threshold": (Y, Y + 0.4 * RNG.random(ROWS)),
    "two thresholds": (Y, np.where(Y == 1, RNG.choice([-3, 3], ROWS), 0) + 0.4 * RNG.random(ROWS)),
    "many names for each class": (Y, [f"{'ab'[y]}{i % 5}" for i, y in enumerate(Y)]),
    "missing means one class": (Y, np.where(Y == 1, np.nan, RNG.normal(size=ROWS))),
    "a curve": (np.linspace(-1, 1, ROWS), np.exp(np.linspace(-1, 1, ROWS))),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_column_that_predicts_alone_is_warned_of_by_name(case: str) -> None:
    target, column = ALONE[case]
    assert "Column 'told' alone predicts the target nearly perfectly" in notes(target, told=column)


def test_a_good_column_and_an_easy_table_are_not_accused() -> None:
    good = Y + RNG.normal(scale=0.4, size=ROWS)
    assert "Column" not in notes(good=good)
    easy = {f"n{i}": Y + 0.4 * RNG.random(ROWS) for i in range(4)}
    assert "alone predicts" not in notes(**easy)


def test_copies_of_rows_do_not_make_a_column_look_like_a_leak() -> None:
    rows = np.arange(4 * ROWS) % 50
    coarse = {f"c{i}": RNG.integers(0, 2, 50)[rows] for i in range(4)}
    assert "alone predicts" not in notes(RNG.integers(0, 2, 50)[rows], fine=PRICE[rows], **coarse)


def test_a_leak_is_found_in_a_wide_table() -> None:
    wide = {f"w{i}": RNG.normal(size=ROWS) for i in range(300)}
    assert "'told' alone predicts" in notes(**wide, told=Y + 0.4 * RNG.random(ROWS))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (np.arange(ROWS), True),
        (np.arange(ROWS)[::-1] + 5, True),
        (RNG.permutation(ROWS), False),
        (np.arange(ROWS) // 2, False),
        (np.arange(ROWS) * 0.5, False),
    ],
)
def test_a_column_that_numbers_the_rows_is_named(column: Any, said: bool) -> None:
    assert ("'Unnamed: 0' numbers the rows" in notes(**{"Unnamed: 0": column})) == said


@pytest.mark.parametrize(("rare", "said"), [(20, True), (33, True), (34, False), (100, False)])
def test_unequal_classes_are_said_with_their_shares(rare: int, said: bool) -> None:
    text = notes(np.where(np.arange(ROWS) < rare, "ill", "well"))
    assert ("Classes are unequal" in text) == said
    assert not said or f"{100 * rare / ROWS:.1f} % are ill" in text


def copied(cut: Callable[..., Any], y: Callable[[Any], Any]) -> list[str]:
    rows = np.concatenate([np.arange(160), np.arange(40)])
    data = array_dataset(RNG.normal(size=(160, 3))[rows], y(rows))
    return [*map(str, copies_note(data, cut(data, 6, None)[1]))]


def test_copies_of_training_rows_in_test_parts_are_counted(cut: Callable[..., Any]) -> None:
    (said,) = copied(cut, lambda rows: rows % 2)
    assert said.startswith("80 of 200 rows are equal to another in every input: ")
    (told,) = copied(cut, lambda rows: np.arange(len(rows)) // 50 % 2)
    assert "of them with different targets" in told


def test_the_share_of_test_rows_with_a_copy_is_exact(cut: Callable[..., Any]) -> None:
    rows = np.arange(200) // 2
    data = array_dataset(RNG.normal(size=(100, 3))[rows], np.arange(200) % 2)
    splits = cut(data, 6, None)[1]
    shares = [np.mean([np.isin(row ^ 1, split.train) for row in split.select]) for split in splits]
    (said,) = copies_note(data, splits)
    assert f"{100 * np.mean(shares):.3g} % of the select rows" in str(said)


def test_all_rows_copied_is_a_hundred_per_cent() -> None:
    data = array_dataset(np.ones((200, 3)), np.arange(200) % 2)
    assert " 100 % of the select rows" in str(
        copies_note(data, [*seal(data, Cut(6), seed=0).splits.values()])[0]
    )


def test_without_copies_nothing_is_said(cut: Callable[..., Any]) -> None:
    data = array_dataset(RNG.normal(size=(100, 3)), np.arange(100) % 2)
    assert copies_note(data, cut(data, 6, None)[1]) == ()


def test_equal_images_are_copies(cut: Callable[..., Any]) -> None:
    pixels = np.repeat(RNG.normal(size=(50, 1, 4, 4)), 2, axis=0)
    data = array_dataset(pixels, np.arange(100) % 2)
    assert copies_note(data, cut(data, 6, None)[1])[0].values["copies"] == 100


def test_sealed_rows_with_a_copy_among_trained_rows_are_counted() -> None:
    rows = np.concatenate([np.arange(160), np.arange(40)])
    sealed = seal(array_dataset(rows[:, None], np.arange(200) % 2), Cut(6), seed=0)
    opened, vault = (data.inputs.frame.iloc[:, 0].to_numpy() for data in (sealed.opened, sealed.vault))  # type: ignore[attr-defined]  # arrays of two axes are tables
    splits = [*sealed.splits.values()][:1]
    expected = sum(row in opened[splits[0].train] for row in vault)
    (note,) = sealed_copies_note(sealed.opened, sealed.vault, splits)
    assert 0 < expected < len(vault)
    assert note.values == {"n": expected, "rows": len(vault), "share": 100 * expected / len(vault)}


def test_without_copies_of_sealed_rows_nothing_is_said() -> None:
    sealed = seal(array_dataset(np.arange(200)[:, None], np.arange(200) % 2), Cut(6), seed=0)
    assert sealed_copies_note(sealed.opened, sealed.vault, [*sealed.splits.values()]) == ()
