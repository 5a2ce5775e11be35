import pytest
from pybtex.database import parse_string
from typer.testing import CliRunner

from dropkit.cli.app import app
from dropkit.methods import catalogue


def run(*names: str) -> str:
    result = CliRunner().invoke(app, ["cite", *names])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_one_name_is_one_entry() -> None:
    assert run("zoneout") == catalogue()["zoneout"].paper.bibtex + "\n"


def test_all_names_together_make_a_bibliography_without_doubles() -> None:
    entries = parse_string(run(*catalogue()), "bibtex").entries
    assert len(entries) == len({method.paper.bibtex for method in catalogue().values()})


def test_methods_of_one_paper_cite_it_once() -> None:
    assert run("dropout", "gaussian_dropout") == run("dropout")


@pytest.mark.parametrize("names", [("zoneoot",), ("dropout", "zoneoot")])
def test_an_unknown_name_is_answered_with_the_nearest_and_nothing_is_printed(names: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["cite", *names])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: name is the name of a method, got 'zoneoot'; did you mean 'zoneout'?\n"


def test_a_name_near_to_none_is_answered_with_where_they_are_listed() -> None:
    result = CliRunner().invoke(app, ["cite", "nope"])
    assert result.exit_code == 2
    assert result.stderr == "error: name is the name of a method, got 'nope'; `dropkit methods` lists them\n"


def test_no_name_is_refused() -> None:
    assert CliRunner().invoke(app, ["cite"]).exit_code == 2
