"""The `dropkit` command. Nothing is computed here: options in, words out."""

from __future__ import annotations

import io
import sys

from dropkit.core.check import MissingPackage, try_import

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say which line installs what it needs.

    Exit codes: 0 done, 2 refused (an argument, or a package that is missing), 130 interrupted by Ctrl-C; a
    command that has more says so in its help.
    """
    try:
        for package in ("typer", "rich"):
            try_import(package, extra="study")
    except MissingPackage as error:
        sys.exit(_refusal(error))
    from dropkit.cli.app import app

    # A name with an accent must not end the command on a terminal that cannot show it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(prog_name="dropkit")


def _refusal(error: MissingPackage) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2
