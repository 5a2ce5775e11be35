import json

import pytest
from typer.testing import CliRunner

from dropkit.cli.app import app
from dropkit.cli.methods import _years
from dropkit.methods import catalogue


def run(*arguments: str) -> list[str]:
    """The names of the methods that are listed."""
    result = CliRunner().invoke(app, ["methods", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return [record["name"] for record in json.loads(result.stdout)]


def test_without_a_filter_every_method_is_listed() -> None:
    assert run() == list(catalogue())


def test_each_filter_lets_only_its_own_pass() -> None:
    assert run("--site", "head") == [name for name, m in catalogue().items() if m.site == "head"]
    assert run("--field", "tabular") == [name for name, m in catalogue().items() if "tabular" in m.fields]
    assert run("--year", "2017") == [name for name, m in catalogue().items() if m.paper.year == 2017]
    assert run("--framework", "torch") == list(catalogue())


def test_an_old_name_finds_the_method_and_is_explained() -> None:
    assert run("keep_prob")[0] == "dropout"
    assert run("keep_prob", "--field", "graphs") == []
    assert run("nn.Dropout2d")[0] == "spatial_dropout"
    result = CliRunner().invoke(app, ["methods", "drop_connect_rate"])
    assert "drop_connect_rate (drop_path): EfficientNet's word for stochastic depth" in result.output


def test_filters_are_joined_by_and() -> None:
    assert run("--site", "activation", "--field", "text", "--year", ">=2016") == [
        name
        for name, method in catalogue().items()
        if method.site == "activation" and "text" in method.fields and method.paper.year >= 2016
    ]
    assert run("--site", "head", "--field", "tabular") == []


def test_the_table_has_a_line_for_each_method_and_no_colours_in_a_pipe() -> None:
    # So wide that no line is folded.
    result = CliRunner().invoke(app, ["methods"], env={"COLUMNS": "250"})
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["name", "year", "site", "fields", "PyTorch"]
    assert [line.split()[0] for line in lines[1 : 1 + len(catalogue())]] == list(catalogue())


def test_a_filter_that_nothing_passes_says_so() -> None:
    result = CliRunner().invoke(app, ["methods", "--year", "1999"])
    assert (result.exit_code, result.stdout) == (0, "No method passes these filters.\n")


@pytest.mark.parametrize(
    ("option", "value", "mend"),
    [
        ("--site", "heads", "did you mean 'head'?"),
        ("--field", "vison", "did you mean 'vision'?"),
        ("--framework", "troch", "did you mean 'torch'?"),
        ("--year", "18", "write 2018"),
        ("--year", ">=2016-2018", "write 2018"),
        ("--year", "20162018", "write 2018"),
        ("--year", "recent", "write 2018"),
    ],
)
def test_a_wrong_filter_is_one_line_and_exit_code_2(option: str, value: str, mend: str) -> None:
    result = CliRunner().invoke(app, ["methods", option, value])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {option} ")
    assert repr(value) in result.stderr
    assert mend in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("2018", (2018, 2018)),
        ("2016-2018", (2016, 2018)),
        ("2018-", (2018, 9999)),
        (">=2018", (2018, 9999)),
        ("<=2016", (0, 2016)),
    ],
)
def test_years(text: str, span: tuple[int, int]) -> None:
    assert _years(text) == span
