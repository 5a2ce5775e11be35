"""The page about study.json has every field of every record, with its type, and nothing else."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tests import made_up

from dropkit.report.record import SCHEMA, StudyResult

PAGE = Path(__file__).parents[1] / "docs" / "study-json.md"

WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    NoneType: "null",
    Any: "any",
}


def says(kind: Any) -> str:
    """A type in the words of the page.

    >>> says(tuple[float, ...]), says(dict[str, int] | None)
    ('list of number', 'object of whole number or null')
    """
    if is_dataclass(kind) and isinstance(kind, type):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if kind in WORDS:
        return WORDS[kind]
    inner = get_args(kind)
    if get_origin(kind) is UnionType:
        return " or ".join(map(says, inner))
    return f"object of {says(inner[1])}" if get_origin(kind) is dict else f"list of {says(inner[0])}"


def records(kind: Any) -> Iterator[type]:
    """The record classes that a type is made of, from the outside in."""
    if is_dataclass(kind) and isinstance(kind, type):
        yield kind
        for hint in get_type_hints(kind).values():
            yield from records(hint)
    for inner in get_args(kind):
        yield from records(inner)


def sections() -> dict[str, str]:
    return dict(
        re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    )


def rows(section: str) -> dict[str, tuple[str, str]]:
    """Type and meaning of each field of a section."""
    found = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    return {name: (kind, meaning) for name, kind, meaning in found}


def test_the_page_has_a_section_for_every_record_and_no_other() -> None:
    assert list(sections()) == list(dict.fromkeys(kind.__name__ for kind in records(StudyResult)))


def test_every_field_stands_there_with_its_type_and_a_meaning() -> None:
    found = sections()
    for kind in dict.fromkeys(records(StudyResult)):
        hints, told = get_type_hints(kind), rows(found[kind.__name__])
        assert {name: each for name, (each, _) in told.items()} == {
            field.name: says(hints[field.name]) for field in fields(kind)
        }
        assert all(len(meaning) > 3 for _, meaning in told.values())


def test_the_page_is_of_this_schema() -> None:
    assert f"schema {SCHEMA}" in PAGE.read_text(encoding="utf-8")


def test_what_a_study_leaves_has_the_fields_of_the_page() -> None:
    record = json.loads(json.dumps(made_up.study().to_dict()))
    assert set(record) == set(rows(sections()["StudyResult"]))
    assert set(record["runs"][0]["curve"][0]) == set(rows(sections()["Point"]))
