"""`dropkit report`: the page of a study drawn again, or two studies side by side, from what they left."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropkit.cli.console import console
from dropkit.core.check import DropkitError

if TYPE_CHECKING:
    from dropkit.report.record import StudyResult

__all__ = ["report", "told"]

_PAGE, _COMPARED = "report.html", "compare.html"
_MOST = 2


def report(
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR [DIR]", help="Folder of a study, or of two to compare.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where the page goes; default report.html or compare.html in DIR.")
    ] = None,
    lang: Annotated[str, typer.Option(help="en or zh: the language of page and table.")] = "en",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what is shown as JSON on standard output.")
    ] = False,
) -> None:
    """Draw the report of a study again from its study.json, or compare two studies. Nothing is trained.

    \b
    Examples:
      dropkit report dropkit-study                 its report.html, drawn again
      dropkit report dropkit-study --lang zh       the page in Chinese
      dropkit report BEFORE AFTER                  both side by side, and BEFORE/compare.html
      dropkit report BEFORE AFTER --out page.html

    \b
    Exit codes:
      0  done
      2  refused: a folder, its study.json or the place of the page
    """
    from dropkit.report.load import load_result

    if len(folders) > _MOST:
        rule = "are the folder of a study or of two"
        raise DropkitError("folders", rule, folders, "compare them two by two")
    results = [told(load_result(folder), lang) for folder in folders]
    if len(results) == 1:
        _one(results[0], out or _beside(folders[0], _PAGE), lang, as_json)
    else:
        _two((results[0], results[1]), folders, out or _beside(folders[0], _COMPARED), lang, as_json)


def told(result: StudyResult, lang: str) -> StudyResult:
    """The result with its verdict in the language that is asked for, whatever that of the study was."""
    from dropkit.experiments.verdict import judge

    verdict = judge(
        result.plan,
        result.comparisons,
        result.arms,
        result.families,
        result.fit,
        result.sealed,
        complete_pairs=result.complete_pairs,
        stopped_early=result.stopped_early,
        changed=result.changed,
        lang=lang,
    )
    return replace(result, verdict=verdict)


def _one(result: StudyResult, out: Path, lang: str, as_json: bool) -> None:
    from dropkit.report.page import render_page

    _write(out, render_page(result, lang))
    if as_json:
        _print_json(result.to_dict(runs=False))
    else:
        typer.echo(result.verdict.headline)
        typer.echo(str(out))


def _two(
    pair: tuple[StudyResult, StudyResult], names: list[str], out: Path, lang: str, as_json: bool
) -> None:
    from dropkit.report.compare import compare_pages, print_compared

    both = names[0], names[1]
    _write(out, compare_pages(*pair, both, lang))
    if as_json:
        _print_json(_compared(pair, names))
    else:
        print_compared(*pair, console(), both, lang)
        typer.echo(str(out))


def _compared(pair: tuple[StudyResult, StudyResult], names: list[str]) -> dict[str, Any]:
    """What the table shows: what differs, and each comparison of either study."""
    from dropkit.report.compare import differences, side_by_side

    return {
        "studies": names,
        "headlines": [each.verdict.headline for each in pair],
        "differences": [asdict(each) for each in differences(*pair)],
        "comparisons": [asdict(each) for each in side_by_side(*pair)],
    }


def _beside(folder: str, name: str) -> Path:
    """A page in the folder of a study, also where its study.json was named itself."""
    place = Path(folder)
    return (place if place.is_dir() else place.parent) / name


def _write(path: Path, text: str) -> None:
    from dropkit.report.text_file import write_whole

    write_whole(path, text, "must be a file that can be written ({why})", "name another with --out")


def _print_json(record: dict[str, Any]) -> None:
    typer.echo(json.dumps(record, allow_nan=False))
