import json
from pathlib import Path
from typing import Any

import pytest

from dropkit.core.check import DropkitError
from dropkit.report.load import load_result
from dropkit.report.record import SCHEMA, StudyResult


@pytest.fixture
def record(result: StudyResult) -> dict[str, Any]:
    return result.to_dict()


def written(folder: Path, record: Any) -> Path:
    (folder / "study.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_a_study_comes_back_as_it_was(tmp_path: Path, result: StudyResult, record: dict[str, Any]) -> None:
    assert load_result(written(tmp_path, record)) == result
    assert load_result(tmp_path / "study.json") == result


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match=r"readable \(No such file"):
        load_result(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_torn_file_is_refused(tmp_path: Path, record: dict[str, Any], share: float) -> None:
    text = json.dumps(record)
    (tmp_path / "study.json").write_text(text[: int(share * len(text))], encoding="utf-8")
    with pytest.raises(DropkitError, match=r"must be whole JSON .*repeat `dropkit study`"):
        load_result(tmp_path)


@pytest.mark.parametrize("foreign", [[], {}, {"schema": "2"}, {"a": 1}, "study", None])
def test_a_foreign_file_is_refused(tmp_path: Path, foreign: Any) -> None:
    with pytest.raises(DropkitError, match="must be the result of a study"):
        load_result(written(tmp_path, foreign))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_bytes(b'{"schema": "\xff\xfe"}')
    with pytest.raises(DropkitError, match="must be whole JSON"):
        load_result(tmp_path)


def test_another_schema_is_refused_with_its_mend(tmp_path: Path, record: dict[str, Any]) -> None:
    with pytest.raises(DropkitError, match="a newer dropkit wrote"):
        load_result(written(tmp_path, record | {"schema": SCHEMA + 1}))
    with pytest.raises(DropkitError, match="repeat `dropkit study`"):
        load_result(written(tmp_path, record | {"schema": SCHEMA - 1}))


def test_a_wrong_type_is_named_by_its_place(tmp_path: Path, record: dict[str, Any]) -> None:
    record["plan"]["data"]["rows"] = "many"
    with pytest.raises(DropkitError, match=r"`\$\.plan\.data\.rows`"):
        load_result(written(tmp_path, record))
    del record["plan"]["data"]["rows"]
    with pytest.raises(DropkitError, match="missing required field `rows`"):
        load_result(written(tmp_path, record))


@pytest.mark.parametrize("note", [{"key": "note.unheard_of"}, {"key": "note.groups", "values": {}}])
def test_a_note_that_cannot_be_told_is_refused(
    tmp_path: Path, record: dict[str, Any], note: dict[str, Any]
) -> None:
    record["plan"]["notes"] = [note]
    with pytest.raises(DropkitError, match=rf"must hold notes of this dropkit.*\({note['key']}\)"):
        load_result(written(tmp_path, record))
