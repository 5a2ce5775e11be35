from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from dropkit.experiments.columns import Columns
from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION, Dataset, Split
from dropkit.experiments.sources import load_data
from dropkit.experiments.table import MAX_LEVELS, table_inputs

ROWS = 80


def write(tmp_path: Path, columns: dict[str, Any], encoding: str = "utf-8") -> Path:
    path = tmp_path / "table.csv"
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def csv_dataset(path: Path, target: str) -> Dataset:
    return load_data(path, Columns(target))


def encode(data: Dataset, split: Split) -> list[Any]:
    encoder = data.inputs.encoder(split.train)
    return [encoder(data.inputs.take(rows)) for rows in vars(split).values()]


def halves() -> Split:
    return Split(np.arange(40), np.arange(40, 60), np.arange(60, ROWS))


def test_numbers_are_standardised_by_the_training_part_alone(tmp_path: Path) -> None:
    x = np.concatenate([np.linspace(-1, 1, 40), np.full(40, 1000.0)])
    data = csv_dataset(write(tmp_path, {"x": x, "y": ["a", "b"] * 40}), "y")
    train, _, test = encode(data, halves())
    assert train.mean() == pytest.approx(0, abs=1e-6)
    assert train.std() == pytest.approx(1, abs=1e-6)
    assert test.min() > 1000


def test_every_step_of_the_preparation_is_fitted_on_training_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {
        "x": range(ROWS),
        "hole": [*range(ROWS - 1), ""],
        "kind": list("pq" * 40),
        "y": list("ab" * 40),
    }
    data = csv_dataset(write(tmp_path, columns), "y")
    fitted: list[list[int]] = []
    for step in (SimpleImputer, StandardScaler, OneHotEncoder):
        spy_on(monkeypatch, step, fitted)
    split = Split(np.arange(0, 80, 2), np.arange(1, 40, 2), np.arange(41, 80, 2))
    encode(data, split)
    assert len(fitted) == 3
    assert all(rows == split.train.tolist() for rows in fitted)


def spy_on(monkeypatch: pytest.MonkeyPatch, step: Any, fitted: list[list[int]]) -> None:
    """Note the rows that a step is fitted on: the first column holds their numbers, or the index does."""
    honest = step.fit

    def fit(self: Any, x: Any, *rest: Any, **named: Any) -> Any:
        fitted.append(x.index.tolist() if isinstance(x, pd.DataFrame) else x[:, 0].astype(int).tolist())
        return honest(self, x, *rest, **named)

    monkeypatch.setattr(step, "fit", fit)


def test_missing_numbers_become_the_training_median_with_a_flag(tmp_path: Path) -> None:
    x = [*range(39), "", "", *range(100, 139)]
    data = csv_dataset(write(tmp_path, {"x": x, "y": ["a", "b"] * 40}), "y")
    train, select, _ = encode(data, halves())
    assert data.inputs.shape == (2,)
    assert select[0, 0] == train[19, 0]  # 19 is the median of 0 to 38
    assert train[39, 1] > train[0, 1]
    assert any("Missing cells: 2" in str(note) for note in data.notes)


def test_text_becomes_one_number_a_level_and_an_unseen_level_none(tmp_path: Path) -> None:
    colour = ["red", "blue"] * 30 + ["green"] * 20
    data = csv_dataset(write(tmp_path, {"colour": colour, "y": ["a", "b"] * 40}), "y")
    train, _, test = encode(data, halves())
    assert data.inputs.shape == (3,)
    assert set(train.sum(axis=1)) == {1.0}
    assert np.array_equal(test, np.tile([0, 1, 0], (20, 1)))


def test_rare_levels_of_a_long_list_are_one(tmp_path: Path) -> None:
    data = csv_dataset(write(tmp_path, {"id": [f"n{i}" for i in range(ROWS)], "y": ["a", "b"] * 40}), "y")
    assert data.inputs.shape == (MAX_LEVELS,)
    assert any("commonest" in str(note) for note in data.notes)


def test_rows_without_a_target_are_left_out_and_counted(tmp_path: Path) -> None:
    data = csv_dataset(write(tmp_path, {"x": range(ROWS), "y": ["", *["a", "b"] * 39, "a"]}), "y")
    assert len(data.y) == ROWS - 1
    assert any(str(note).startswith("1 row without a target, left out (an empty cell") for note in data.notes)


def test_latin_1_is_read_and_said(tmp_path: Path) -> None:
    path = write(tmp_path, {"x": range(ROWS), "y": ["Käse", "Brot"] * 40}, encoding="latin-1")
    data = csv_dataset(path, "y")
    assert data.classes == ("Brot", "Käse")
    assert any("Latin-1" in str(note) for note in data.notes)


def test_empty_columns_are_left_out_and_named(tmp_path: Path) -> None:
    data = csv_dataset(write(tmp_path, {"x": range(ROWS), "void": [""] * ROWS, "y": [0, 1] * 40}), "y")
    assert data.inputs.shape == (1,)
    assert any("void" in str(note) for note in data.notes)


@pytest.mark.parametrize(
    ("values", "task"), [(["a", "b"] * 40, CLASSIFICATION), (np.arange(80) / 3, REGRESSION)]
)
def test_the_target_decides_the_task(tmp_path: Path, values: Any, task: str) -> None:
    data = csv_dataset(write(tmp_path, {"x": range(ROWS), "y": values}), "y")
    assert data.task == task
    assert any(task in str(note) for note in data.notes)


def test_content_follows_every_cell_and_name() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    other = x.copy()
    other[3, 2] = 0
    assert len({table_inputs(each).content() for each in (x, other, x[:, :2])}) == 3
