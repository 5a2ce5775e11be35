"""`dropkit methods`: the catalogue as a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Annotated

import typer

from dropkit.cli.console import console
from dropkit.core.check import DropkitError, OneOf
from dropkit.core.method import FIELDS, SITES, Method
from dropkit.methods import catalogue, find, squeeze

__all__ = ["methods"]

_YEARS = re.compile(r"(?P<from>>=)?(?P<to><=)?(?P<first>\d{4})(?P<dash>-)?(?P<last>\d{4})?")
_ALWAYS = (0, 9999)


def methods(
    text: Annotated[
        str | None, typer.Argument(help="A name, also an old or misleading one, or words of the summary.")
    ] = None,
    site: Annotated[str | None, typer.Option(help=f"Which tensor is hit: {', '.join(SITES.words)}.")] = None,
    field: Annotated[str | None, typer.Option(help=f"Where it is used: {', '.join(FIELDS.words)}.")] = None,
    year: Annotated[str | None, typer.Option(help="2018, 2016-2018, 2018- or '>=2018', '<=2016'.")] = None,
    framework: Annotated[str | None, typer.Option(help="For which there is a layer: torch.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """List the methods, all or those that are called so and pass every filter.

    \b
    Examples:
      dropkit methods
      dropkit methods keep_prob
      dropkit methods "drop connect"
      dropkit methods --site token --field text
      dropkit methods --year 2016-2018 --framework torch
      dropkit methods --json

    \b
    Exit codes:
      0  done, also where nothing passes
      2  a filter was refused
    """
    found = list(catalogue().values()) if text is None else find(text)
    chosen = _choose(found, site, field, year, framework)
    if as_json:
        typer.echo(json.dumps([method.to_json() for method in chosen], indent=2))
    elif chosen:
        _print(chosen, text or "")
    else:
        typer.echo("No method passes these filters.")


def _choose(
    found: list[Method], site: str | None, field: str | None, year: str | None, framework: str | None
) -> list[Method]:
    known = catalogue().values()
    first, last = _ALWAYS if year is None else _years(year)
    site = site and SITES.check("--site", site)
    field = field and FIELDS.check("--field", field)
    framework = framework and _one_of(word for method in known for word in method.layers).check(
        "--framework", framework
    )
    return [
        method
        for method in found
        if (site is None or method.site == site)
        and (field is None or field in method.fields)
        and (framework is None or framework in method.layers)
        and first <= method.paper.year <= last
    ]


def _one_of(words: Iterable[str]) -> OneOf:
    return OneOf(tuple(sorted(set(words))))


def _years(text: str) -> tuple[int, int]:
    """Return the first and the last year that are meant.

    >>> _years("2018"), _years("2016-2018"), _years("2018-"), _years("<=2016")
    ((2018, 2018), (2016, 2018), (2018, 9999), (0, 2016))
    """
    found = _YEARS.fullmatch(text)
    signs = found and sum(found[sign] is not None for sign in ("from", "to", "dash"))
    if found is None or signs not in (0, 1) or (found["last"] and not found["dash"]):
        raise DropkitError(
            "--year", "is a year or a range of years", text, "write 2018, 2016-2018, 2018- or '<=2016'"
        )
    first, low, high = int(found["first"]), *_ALWAYS
    if found["from"] or found["dash"]:
        return first, int(found["last"] or high)
    return (low, first) if found["to"] else (first, first)


def _print(chosen: list[Method], text: str) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("name", "year", "site", "fields", "PyTorch"):
        table.add_column(heading, no_wrap=heading != "fields")
    for method in chosen:
        words = (
            str(method.paper.year),
            method.site,
            ", ".join(method.fields),
            method.layers.get("torch", "-"),
        )
        table.add_row(method.name, *words)
    out = console()
    out.print(table)
    for method in chosen if text else ():
        for name, meaning in method.old_names.items():
            if squeeze(text) in squeeze(name):
                out.print(f"\n{name} ({method.name}): {meaning}.")
    counted = f"{len(chosen)} method{'s' if len(chosen) > 1 else ''}"
    out.print(f"\n{counted}; `dropkit show NAME` tells more.", style="dim")
