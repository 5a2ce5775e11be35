import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import made_up
from typer.testing import CliRunner, Result

from dropkit.cli.app import app
from dropkit.report.compare import compare_pages
from dropkit.report.page import render_page
from dropkit.report.record import SCHEMA, StudyResult


@pytest.fixture(scope="module")
def result() -> StudyResult:
    return made_up.study()


@pytest.fixture(scope="module")
def other() -> StudyResult:
    return made_up.study(made=replace(made_up.plan(tests={"margin": 0.01}), seed=1))


@pytest.fixture
def before(tmp_path: Path, result: StudyResult) -> Path:
    return kept(tmp_path / "before", result.to_dict())


@pytest.fixture
def after(tmp_path: Path, other: StudyResult) -> Path:
    return kept(tmp_path / "after", other.to_dict())


def kept(folder: Path, record: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("named", [".", "study.json"])
def test_a_study_is_drawn_again(before: Path, result: StudyResult, named: str) -> None:
    done = run(before / named)
    assert (done.exit_code, done.stderr) == (0, "")
    assert page(before / "report.html") == render_page(result)
    assert done.stdout == f"{result.verdict.headline}\n{before / 'report.html'}\n"


def test_it_is_told_in_the_language_that_is_asked_for(before: Path, result: StudyResult) -> None:
    chinese = made_up.study("zh")
    assert chinese.verdict != result.verdict
    assert run(before, "--lang", "zh").stdout.startswith(chinese.verdict.headline)
    assert page(before / "report.html") == render_page(chinese, "zh")
    (before / "study.json").write_text(json.dumps(chinese.to_dict()), encoding="utf-8")
    assert run(before).stdout.startswith(result.verdict.headline)


def test_two_studies_stand_side_by_side(
    before: Path, after: Path, result: StudyResult, other: StudyResult
) -> None:
    done = run(before, after)
    assert (done.exit_code, done.stderr) == (0, "")
    assert page(before / "compare.html") == compare_pages(result, other, (str(before), str(after)))
    for words in ("tests.margin", "0.005", "0.01", "dropout", str(before / "compare.html")):
        assert words in done.stdout
    assert not (after / "compare.html").exists()


def test_the_page_goes_where_it_is_told_to(before: Path, after: Path, tmp_path: Path) -> None:
    for folders in ((before,), (before, after)):
        out = tmp_path / f"{len(folders)}.html"
        assert run(*folders, "--out", out).exit_code == 0
        assert page(out).startswith("<!doctype html>")
    assert [path.name for path in before.iterdir()] == ["study.json"]


def test_json_stands_alone(before: Path, after: Path, result: StudyResult) -> None:
    one = json.loads(run(before, "--json").stdout)
    assert one == json.loads(json.dumps(result.to_dict(runs=False)))
    both = json.loads(run(before, after, "--json").stdout)
    assert {each["what"] for each in both["differences"]} == {"tests.margin", "seed"}
    assert len(both["comparisons"]) == len(result.comparisons)
    assert both["comparisons"][0]["a"]["mean"] == result.comparisons[0].mean


def torn(folder: Path) -> None:
    whole = page(folder / "study.json")
    (folder / "study.json").write_text(whole[: len(whole) // 2], encoding="utf-8")


def foreign(folder: Path) -> None:
    (folder / "study.json").write_text('{"accuracy": 1}', encoding="utf-8")


def newer(folder: Path) -> None:
    record = json.loads(page(folder / "study.json")) | {"schema": SCHEMA + 1}
    (folder / "study.json").write_text(json.dumps(record), encoding="utf-8")


def empty(folder: Path) -> None:
    (folder / "study.json").unlink()


def gone(folder: Path) -> None:
    empty(folder)
    folder.rmdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (gone, "path must be readable (No such file or directory)"),
        (empty, "path must be readable (No such file or directory)"),
        (torn, "path must be whole JSON"),
        (foreign, "path must be the result of a study"),
        (newer, "but a newer dropkit wrote"),
    ],
)
def test_what_is_no_study_is_refused_with_one_line(
    before: Path, after: Path, spoil: Any, message: str
) -> None:
    spoil(after)
    for folders in ((after,), (before, after), (after, before)):
        done = run(*folders)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert not list(before.glob("*.html"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--out", "{before}/no/page.html"], "out must be a file that can be written (No such file"),
        (["--out", "{before}"], "out must be a file that can be written (Is a directory)"),
        (["--lang", "fr"], "lang"),
        (["{before}", "{before}"], "folders are the folder of a study or of two"),
    ],
)
def test_wrong_arguments_are_refused(before: Path, more: list[str], message: str) -> None:
    done = run(before, *(each.format(before=before) for each in more))
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert not list(before.parent.glob("**/*.part"))


def test_no_folder_is_refused() -> None:
    assert run().exit_code == 2
