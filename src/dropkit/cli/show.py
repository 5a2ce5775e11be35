"""`dropkit show`: one method on one page, with its mask as a picture."""

from __future__ import annotations

import itertools
import json
from typing import Annotated, Any

import numpy as np
import typer

from dropkit.cli.console import console
from dropkit.cli.picture import BLOCKS, PLAIN, legend, picture
from dropkit.core.check import DropkitError
from dropkit.core.method import Method
from dropkit.methods import get

__all__ = ["code", "show"]

_INDENT = "  "


def show(
    name: Annotated[str, typer.Argument(help="Name of a method, or an alias.")],
    rate: Annotated[float | None, typer.Option(help="The rate that is shown, in [0, 1].")] = None,
    key: Annotated[int, typer.Option(help="The key of the mask that is drawn.")] = 7,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record, the code and the mask as JSON.")
    ] = False,
) -> None:
    """Show a method: its formula, its paper, when to use it and when not, code, and its mask as a picture.

    \b
    Examples:
      dropkit show drop_block
      dropkit show stochastic_depth --rate 0.5 --key 3
      dropkit show zoneout --json

    \b
    Exit codes:
      0  done
      2  the name, the rate or the key was refused
    """
    method = get(name)
    arguments = dict(method.example.arguments)
    if rate is not None:
        arguments["rate"] = _shown_rate(method, rate)
    drawn = method.picture(key, **arguments)
    if as_json:
        typer.echo(json.dumps(_data(method, arguments, key, drawn), indent=2))
    else:
        _print(method, arguments, key, drawn)


def _shown_rate(method: Method, rate: float) -> float:
    if method.describe is None:
        mend = "leave --rate out: the picture shows its example"
        raise DropkitError(
            "--rate", "goes with methods whose mask depends on nothing else", method.name, mend
        )
    return rate


def _told(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def code(method: Method, arguments: dict[str, Any]) -> str:
    """Return lines of PyTorch that run, with these arguments of `describe`.

    >>> print(code(get("drop_block"), {"rate": 0.1, "block_size": 5}))
    import torch
    from dropkit.torch import DropBlock2d
    <BLANKLINE>
    layer = DropBlock2d(0.1, block_size=5)
    x = torch.randn(1, 1, 16, 32)  # b c h w
    y = layer(x)
    """
    layer, example = method.layers["torch"], method.example
    given = [
        _told(value) if name == "rate" else f"{name}={_told(value)}" for name, value in arguments.items()
    ]
    usage = (
        f"layer = {layer}({', '.join(given)})\nx = torch.randn{example.shape}  # {example.axes}\ny = layer(x)"
    )
    if "torch" in example.usage:
        usage = example.usage["torch"].replace("{rate}", repr(arguments.get("rate")))
    imports, body = _parted(usage)
    head = "\n".join(_merged(["import torch", f"from dropkit.torch import {layer}", *imports]))
    gap = "\n\n\n" if body.startswith(("class ", "def ")) else "\n\n"
    return head + gap + body


def _parted(usage: str) -> tuple[list[str], str]:
    """Return the imports at the head of a usage, and the rest."""
    lines = usage.splitlines()
    imports = list(itertools.takewhile(lambda line: line.startswith(("import ", "from ")), lines))
    return imports, "\n".join(lines[len(imports) :]).strip("\n")


def _merged(imports: list[str]) -> list[str]:
    """Return imports as one block: each module once, modules before names."""
    names: dict[str, set[str]] = {}
    for line in imports:
        source, _, listed = line.partition(" import ")
        module = source.split()[1]
        names.setdefault(module, set()).update(name.strip() for name in listed.split(",") if listed)
    modules = sorted(module for module in names if f"import {module}" in imports)
    return [f"import {module}" for module in modules] + [
        f"from {module} import {', '.join(sorted(found, key=lambda name: (name[0].islower(), name)))}"
        for module, found in sorted(names.items())
        if found
    ]


def _data(method: Method, arguments: dict[str, Any], key: int, drawn: np.ndarray[Any, Any]) -> dict[str, Any]:
    example = {"shape": method.example.shape, "axes": method.example.axes, "arguments": arguments, "key": key}
    description = json.loads(method.drop(**arguments).to_json()) if method.describe else None
    shown = {"description": description, "mask": drawn.tolist(), "code": code(method, arguments)}
    return method.to_json() | {"example": example | shown}


def _print(method: Method, arguments: dict[str, Any], key: int, drawn: np.ndarray[Any, Any]) -> None:
    out = console()
    out.print(method.title, style="bold", end="")
    out.print(f"  ({method.name}, {method.paper.year})")
    out.print(method.summary)
    # A link that is folded leads nowhere.
    out.print(method.paper.url, soft_wrap=True, end="\n\n")
    out.print(_facts(method))
    out.print("\nPyTorch", style="bold")
    out.print(_indented(code(method, arguments)), soft_wrap=True)
    if "keras" in method.layers:
        out.print("\nKeras", style="bold")
        out.print(_indented(f"from dropkit.keras import {method.layers['keras']}"))
    said = "".join(f"{name} {value}, " for name, value in arguments.items())
    out.print(f"\nMask at {said}key {key}, shape {drawn.shape} ({method.example.axes})", style="bold")
    glyphs = BLOCKS if _shows(out.encoding, BLOCKS) else PLAIN
    drawing = picture(drawn, method.example.axes, glyphs, out.width - len(_INDENT))
    out.print(_indented(f"{drawing}\n{legend(drawn, glyphs)}"), soft_wrap=True)


def _facts(method: Method) -> Any:
    from rich.table import Table

    paper = method.paper
    authors = "; ".join(paper.authors)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    for label, words in (
        ("formula", method.formula),
        ("paper", f"{authors}: {paper.title}. {paper.venue} {paper.year}."),
        ("site", f"{method.site} ({', '.join(method.fields)})"),
        ("also called", ", ".join(method.aliases)),
        ("good for", method.good_for),
        ("not for", method.bad_for),
        ("evidence", method.evidence),
        ("status", method.standing),
        ("state_dict", method.keys),
        ("old names", "\n".join(f"{name}: {meaning}" for name, meaning in method.old_names.items())),
    ):
        if words:
            grid.add_row(label, words)
    return grid


def _indented(text: str) -> str:
    return "\n".join(f"{_INDENT}{line}".rstrip() for line in text.splitlines())


def _shows(encoding: str, glyphs: str) -> bool:
    try:
        glyphs.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
