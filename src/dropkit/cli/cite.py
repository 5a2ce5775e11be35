"""`dropkit cite`: BibTeX entries."""

from __future__ import annotations

from typing import Annotated

import typer

from dropkit.methods import get

__all__ = ["cite"]


def cite(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names of methods, or their aliases.")
    ],
) -> None:
    """Print the BibTeX entries of methods, each entry once.

    \b
    Examples:
      dropkit cite drop_block
      dropkit cite dropout zoneout stochastic_depth >> references.bib

    \b
    Exit codes:
      0  done
      2  a name is unknown: nothing is printed but the nearest one
    """
    entries = dict.fromkeys(get(name).paper.bibtex for name in names)
    typer.echo("\n\n".join(entries))
