"""`dropkit migrate`: the way over from other frameworks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropkit.cli.console import console
from dropkit.core.check import DropkitError

if TYPE_CHECKING:
    from dropkit.migrate.check import Found

__all__ = ["check", "migrate"]

_FOUND, _REFUSED = 1, 2

migrate = typer.Typer(
    name="migrate",
    help="Come over from other frameworks: see what their dropout becomes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@migrate.callback()
def _group() -> None:
    """Keep the group a group while it has one command."""


@migrate.command()
def check(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Python files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what is found as JSON.")] = False,
) -> None:
    """Find the dropouts of other frameworks in Python source, and say what they become.

    Nothing is imported or executed. TensorFlow 1 and 2, Keras, PyTorch, MindSpore, Paddle, Caffe, MXNet,
    Flax, Haiku, Equinox, Lasagne and Chainer are known, under any name they are imported as.

    \b
    Examples:
      dropkit migrate check train.py
      dropkit migrate check src tests
      dropkit migrate check src --json

    \b
    Exit codes:
      0  nothing found
      1  something found
      2  a file was refused; the others were checked all the same
    """
    from dropkit.migrate.check import check_path, python_files

    found: list[Found] = []
    refused: list[dict[str, Any]] = []
    for path in dict.fromkeys(file for given in paths for file in python_files(given)):
        try:
            here = check_path(path)
        except DropkitError as error:
            refused.append({"path": str(path), "why": str(error)})
            typer.echo(f"error: {error}", err=True)
            continue
        found += here
        if not as_json:
            _print(here)
    if as_json:
        typer.echo(json.dumps({"found": [asdict(each) for each in found], "refused": refused}, indent=2))
    elif not found and not refused:
        typer.echo("No dropout of another framework found.")
    if found or refused:
        raise typer.Exit(_REFUSED if refused else _FOUND)


def _print(found: list[Found]) -> None:
    out = console()
    for each in found:
        value = f"{each.argument}={each.written}" if each.written else f"{each.argument} by default"
        out.print(f"{each.path}:{each.line}:{each.column}", style="bold", end="", soft_wrap=True)
        out.print(f"  {each.call}  {value}", soft_wrap=True)
        out.print(f"  becomes  {each.becomes}", style="green", soft_wrap=True)
        for label, words in (("draws", each.active), ("mind", each.trap), ("decide", each.doubt)):
            if words:
                out.print(f"  {label:<7}  {words}", soft_wrap=True)
