import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import dropkit
from dropkit import cli
from dropkit.cli import app as roof
from dropkit.core.check import DropkitError

RUN = "from dropkit.cli import main; main()"


def command(*arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with standard output in a pipe."""
    code = f"{before}\n{RUN}"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
    )


def test_the_real_command_speaks_plainly_in_a_pipe() -> None:
    done = command("show", "zoneout")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Kramár" in done.stdout
    assert "█" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_terminal_without_block_characters_gets_plain_ones() -> None:
    done = command("show", "zoneout", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "# kept, times 1   . dropped" in done.stdout
    assert "Kram?r" in done.stdout


def test_a_refusal_is_one_line_on_standard_error() -> None:
    done = command("cite", "drop_pth")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: name is the name of a method, got 'drop_pth'; did you mean 'drop_path'?\n"


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_missing_package_is_answered_with_the_line_to_type(package: str) -> None:
    done = command("methods", before=f"import sys; sys.modules[{package!r}] = None")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {package} is not installed; type: pip install 'dropkit[study]'\n"


def test_listing_methods_loads_no_framework() -> None:
    loaded = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))"
    done = command("methods", before=loaded)
    assert (done.returncode, done.stderr) == (0, "False\n")


def test_the_version() -> None:
    result = CliRunner().invoke(roof.app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"dropkit {dropkit.__version__}\n")


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(roof.app, ["shwo"])
    assert result.exit_code == 2
    assert "Did you mean 'show'?" in result.stderr


@pytest.mark.parametrize("name", ["methods", "show", "cite", "study", "report"])
def test_every_help_has_examples_and_says_what_the_exit_codes_mean(name: str) -> None:
    result = CliRunner().invoke(roof.app, [name, "--help"])
    assert result.exit_code == 0
    assert f"dropkit {name}" in result.stdout
    assert "Examples:" in result.stdout


def test_no_command_prints_the_help() -> None:
    assert "Exit codes:" in CliRunner().invoke(roof.app, []).output


def test_a_refusal_out_of_the_depth_of_a_command_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise DropkitError("depth", "is shallow", 9, "come up")

    monkeypatch.setattr("dropkit.cli.show.get", refuse)
    result = CliRunner().invoke(roof.app, ["show", "dropout"])
    assert (result.exit_code, result.stderr) == (2, "error: depth is shallow, got 9; come up\n")


def test_the_console_script_is_this_function() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="dropkit")
    assert script.load() is cli.main
