"""The commands under one roof: what is refused is one line and exit code 2, never a traceback."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dropkit import __version__
from dropkit.cli.cite import cite
from dropkit.cli.methods import methods
from dropkit.cli.migrate import migrate
from dropkit.cli.report import report
from dropkit.cli.show import show
from dropkit.cli.study import study
from dropkit.core.check import DropkitError, MissingPackage

__all__ = ["app"]

_REFUSED = 2


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (DropkitError, MissingPackage) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(_REFUSED) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dropkit {__version__}")
        raise typer.Exit


@app.callback()
def dropkit(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Dropout: find out whether it helps, which kinds there are, and what each one does.

    \b
    Examples:
      dropkit study                 does dropout help, on real data
      dropkit report DIR            its report drawn again; with two folders both side by side
      dropkit methods --site head   which methods drop attention heads
      dropkit show drop_block       formula, paper, code and a picture of one
      dropkit cite drop_block       its BibTeX entry
      dropkit migrate check FILE    dropouts of other frameworks, and what they become

    \b
    Exit codes:
      0    done
      2    refused: an argument, or a package that is missing
      130  interrupted by Ctrl-C
    """


for _command in (study, report, methods, show, cite):
    app.command()(_command)
app.add_typer(migrate)
