import gzip
from pathlib import Path

import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.columns import Columns, in_short
from dropkit.experiments.reading import read_table
from dropkit.experiments.sources import load_data

GOOD = "\n".join(["x,y", *(f"{i},{'ab'[i % 2]}" for i in range(80))])

FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "must hold a header line and rows"),
    "blank lines": (b"\n\n\n", "must hold a header line and rows"),
    "NUL bytes alone": (bytes(100), "must be text (it holds NUL bytes"),
    "UTF-16": (GOOD.encode("utf-16"), "must be text (it is UTF-16)"),
    "UTF-16, the other order": (b"\xfe\xff" + GOOD.encode("utf-16-be"), "must be text (it is UTF-16)"),
    "UTF-16 without its mark": (GOOD.encode("utf-16-le"), "must be text (it holds NUL bytes"),
    "UTF-32": (GOOD.encode("utf-32"), "must be text (it is UTF-32)"),
    "compressed": (gzip.compress(GOOD.encode(), mtime=0), "must be text (it"),
    "no text without a NUL": (b"\x89PNG\r\n\x1a\n\xff\x01", "it is neither UTF-8 nor free of"),
    "a cell too many": (f"{GOOD}\n1,a,7".encode(), "every line (Expected 2 fields in line 82, saw 3)"),
    "an open quote": (f'{GOOD}\n"1,a'.encode(), "every line (EOF inside string"),
    "two names that look alike": (b"a\x01,a\\x01\n1,2", "two columns have one name"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_what_is_no_table_is_refused_in_one_short_line_without_control_characters(
    tmp_path: Path, case: str
) -> None:
    content, rule = FILES[case]
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DropkitError) as caught:
        read_table(path)
    assert rule in str(caught.value)
    assert caught.value.argument == "data"
    assert caught.value.mend
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_trailing_comma_in_every_line_is_refused_and_not_taken_for_row_names(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "1,a,\n" * 80)
    with pytest.raises(DropkitError, match="every line has more cells than the header"):
        read_table(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "table.csv"
    folder.mkdir()
    with pytest.raises(DropkitError, match=r"must be a file that can be read \(Is a directory\)"):
        read_table(folder)


def test_the_mark_of_utf_8_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert list(read_table(path)[0].columns) == ["x", "y"]


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ("x;y", "must have commas between its cells, not ';'"),
        ("x\ty", "must have commas between its cells, not '\\t'"),
        ("x\x1b[31m,z", "choose from x\\x1b[31m, z"),
        (",".join(f"column_{i}" for i in range(5000)), "and 4988 more"),
        ("n" * 100_000, "choose from nnnnnnnnnn"),
    ],
)
def test_names_from_strangers_keep_an_error_short_and_printable(
    tmp_path: Path, header: str, rule: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"{header}\n{header}")
    with pytest.raises(DropkitError) as caught:
        load_data(path, Columns("y"))
    assert rule in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_long_target_name_is_cut_in_errors(tmp_path: Path) -> None:
    name, path = "n" * 100_000, tmp_path / "table.csv"
    path.write_text(f"x,{name}\n" + "1,2\n" * 80)
    with pytest.raises(DropkitError, match="at least two classes") as caught:
        load_data(path, Columns(name))
    assert len(str(caught.value)) < 300


def test_few_names_are_all_said() -> None:
    assert in_short(["a", "b"]) == "a, b"
