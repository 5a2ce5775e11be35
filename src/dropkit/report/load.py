"""A study read back from its `study.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dropkit.core.check import DropkitError, try_import
from dropkit.report.record import SCHEMA, StudyResult

__all__ = ["FILE", "load_result"]

FILE = "study.json"

_REPEAT = "repeat `dropkit study` into its folder: finished runs are used again"


def load_result(path: str | Path) -> StudyResult:
    """The result of a study, every field checked against its type.

    Args:
        path: of a `study.json`, or of the folder that holds it.

    Raises:
        DropkitError: there is no such file, it is torn, no study's, of another schema or of wrong types.
        MissingPackage: msgspec is not installed.
    """
    msgspec = try_import("msgspec", extra="study")
    place = Path(path)
    place = place / FILE if place.is_dir() else place
    record = _read(msgspec, place)
    _check_schema(record, place)
    try:
        result: StudyResult = msgspec.convert(record, StudyResult)
    except msgspec.ValidationError as error:
        raise DropkitError("path", f"must hold a whole study ({error})", str(place), _REPEAT) from error
    _check_notes(result, place)
    return result


def _read(msgspec: Any, place: Path) -> Any:
    try:
        return msgspec.json.decode(place.read_bytes())
    except OSError as error:
        mend = f"name a {FILE} or a folder that `dropkit study` wrote"
        raise DropkitError("path", f"must be readable ({error.strerror})", str(place), mend) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DropkitError("path", f"must be whole JSON ({error})", str(place), _REPEAT) from error


def _check_schema(record: Any, place: Path) -> None:
    schema = record.get("schema") if isinstance(record, dict) else None
    if not isinstance(schema, int):
        mend = f"name a {FILE} that `dropkit study` wrote"
        raise DropkitError("path", "must be the result of a study", str(place), mend)
    if schema > SCHEMA:
        rule = f"must be of schema {SCHEMA}, but a newer dropkit wrote {schema}"
        raise DropkitError("path", rule, str(place), "install that version")
    if schema < SCHEMA:
        raise DropkitError("path", f"must be of schema {SCHEMA}, not {schema}", str(place), _REPEAT)


def _check_notes(result: StudyResult, place: Path) -> None:
    for note in (*result.plan.notes, *(run.failure for run in result.runs if run.failure)):
        try:
            str(note)
        except (KeyError, ValueError, TypeError) as error:
            rule = f"must hold notes of this dropkit, with all their values ({note.key})"
            raise DropkitError("path", rule, str(place), _REPEAT) from error
