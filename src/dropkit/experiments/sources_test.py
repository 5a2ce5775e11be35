"""What a user may bring, in every form, means the same data set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from dropkit.core.check import DropkitError
from dropkit.experiments.columns import Columns
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.sources import load_data
from dropkit.report.messages import Note

ROWS = 90
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 3)).astype(np.float32)
Y = np.arange(ROWS) % 3
PATIENT = np.arange(ROWS) // 3
FRAME = pd.DataFrame(X, columns=["0", "1", "2"]).assign(y=Y)


def csv(place: Path) -> Dataset:
    FRAME.to_csv(place / "table.csv", index=False)
    return load_data(place / "table.csv", Columns("y"))


def parquet(place: Path) -> Dataset:
    FRAME.to_parquet(place / "table.parquet")
    return load_data(str(place / "table.parquet"), Columns("y"))


def npz(place: Path) -> Dataset:
    np.savez(place / "arrays.npz", x=X, y=Y)
    return load_data(str(place / "arrays.npz"))


def function(place: Path) -> Dataset:
    np.savez(place / "arrays.npz", x=X, y=Y)
    text = f"import numpy as np\ndef make_data():\n    a = np.load({str(place / 'arrays.npz')!r})\n"
    (place / "data.py").write_text(text + "    return a['x'], a['y']\n")
    return load_data(f"{place}/data.py:make_data")


TENSORS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))

FORMS: dict[str, Callable[[Path], Dataset]] = {
    "csv": csv,
    "parquet": parquet,
    "npz": npz,
    "a function": function,
    "arrays": lambda place: load_data((X, Y)),
    "lists": lambda place: load_data([X.tolist(), Y.tolist()]),
    "tensors": lambda place: load_data((torch.from_numpy(X), torch.from_numpy(Y))),
    "a frame": lambda place: load_data(FRAME, Columns("y")),
    "a frame with other row names": lambda place: load_data(FRAME.set_axis(range(7, 97)), Columns("y")),
    "a frame and its target": lambda place: load_data((FRAME.drop(columns="y"), FRAME["y"])),
    "a torch Dataset": lambda place: load_data(TENSORS),
    "a DataLoader": lambda place: load_data(DataLoader(TENSORS, batch_size=7, shuffle=True)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_means_the_same_rows(tmp_path: Path, form: str) -> None:
    data = FORMS[form](tmp_path)
    assert np.allclose(data.inputs.frame.to_numpy(), X, rtol=1e-7)  # type: ignore[attr-defined]  # a table has a frame
    assert data.y.tolist() == Y.tolist()
    assert data.classes == ("0", "1", "2")
    assert any("3 classes" in str(note) for note in data.notes)


def test_breast_cancer_is_a_table_with_two_classes() -> None:
    data = load_data("breast-cancer")
    assert (data.inputs.shape, data.classes, len(data.y)) == ((30,), ("malignant", "benign"), 569)


GROUPED: dict[str, Callable[[Path, Columns], Dataset]] = {
    "a frame": lambda place, columns: load_data(FRAME.assign(patient=PATIENT), columns),
    "npz": lambda place, columns: load_data(
        saved(place / "a.npz", x=X, label=Y, patient=PATIENT),
        Columns("label", columns.group, columns.time),
    ),
    "arrays": lambda place, columns: load_data(
        (X, Y),
        Columns(
            group=PATIENT if columns.group else None, time=PATIENT.tolist() if columns.time else None
        ),
    ),
    "a torch Dataset": lambda place, columns: load_data(
        TENSORS,
        Columns(group=PATIENT if columns.group else None, time=PATIENT if columns.time else None),
    ),
}  # fmt: skip


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("form", GROUPED)
def test_group_and_time_are_no_inputs_and_order_the_rows(tmp_path: Path, form: str) -> None:
    plain = load_data((X, Y))
    grouped = GROUPED[form](tmp_path, Columns("y", group="patient"))
    timed = GROUPED[form](tmp_path, Columns("y", time="patient"))
    assert grouped.inputs.shape == timed.inputs.shape == (3,)
    assert grouped.groups is not None
    assert timed.times is not None
    assert grouped.groups.tolist() == timed.times.tolist() == PATIENT.tolist()
    assert len({data.digest() for data in (plain, grouped, timed)}) == 3


def test_group_and_time_are_inputs_where_that_is_asked_for() -> None:
    frame = FRAME.assign(day=[f"2026-01-{1 + day % 28:02}" for day in range(ROWS)])
    data = load_data(frame, Columns("y", time="day", keep=True))
    assert data.inputs.shape == (4,)
    assert data.inputs.frame["day"].iloc[0] == pd.Timestamp("2026-01-01").timestamp()  # type: ignore[attr-defined]  # a table has a frame


def test_a_group_of_rows_without_a_target_goes_with_them() -> None:
    frame = FRAME.assign(y=[None, "a", *["a", "b"] * 44], patient=PATIENT)
    data = load_data(frame, Columns("y", group="patient"))
    assert data.groups is not None
    assert data.groups.tolist() == PATIENT[1:].tolist()


def test_columns_are_left_out_where_that_is_asked_for() -> None:
    assert load_data(FRAME, Columns("y", ignore=["0", "2"])).inputs.shape == (1,)


def test_nullable_numbers_are_numbers() -> None:
    column = pd.array([None, *range(ROWS - 1)], dtype="Int64")
    data = load_data(FRAME.assign(count=column), Columns("y"))
    assert data.inputs.shape == (5,)  # with a flag for what is missing


def test_names_in_a_parquet_index_are_columns(tmp_path: Path) -> None:
    FRAME.set_index("y").to_parquet(tmp_path / "t.parquet")
    assert load_data(tmp_path / "t.parquet", Columns("y")).y.tolist() == Y.tolist()


def two(batch: Any) -> Any:
    return torch.utils.data.default_collate(batch)


class Backwards(BatchSampler):
    """Batches of one's own."""


CHOOSING: dict[str, tuple[dict[str, Any], str]] = {
    "collate_fn": ({"collate_fn": two}, "without a collate_fn.*its work in the Dataset"),
    "some rows": ({"sampler": SubsetRandomSampler(range(60))}, "got 'SubsetRandomSampler'; .*Subset"),
    "weights": ({"sampler": WeightedRandomSampler([1.0] * ROWS, ROWS)}, "sampler.*class_weight"),
    "rows again": ({"sampler": RandomSampler(TENSORS, replacement=True)}, "without a sampler"),
    "fewer rows": ({"sampler": RandomSampler(TENSORS, num_samples=60)}, "without a sampler"),
    "batches": ({"batch_sampler": Backwards(SequentialSampler(TENSORS), 5, False)}, "Backwards"),
}


@pytest.mark.parametrize("given", CHOOSING)
def test_a_loader_that_changes_rows_or_chooses_them_is_refused(given: str) -> None:
    options, said = CHOOSING[given]
    with pytest.raises(DropkitError, match=said):
        load_data(DataLoader(TENSORS, **options))


@pytest.mark.parametrize(
    "options", [{"batch_size": None}, {"batch_size": 7, "shuffle": True, "drop_last": True}]
)
def test_what_is_read_of_a_loader_is_said(options: dict[str, Any]) -> None:
    assert Note("note.loader") in load_data(DataLoader(TENSORS, **options)).notes
    assert Note("note.loader") not in load_data(TENSORS).notes
