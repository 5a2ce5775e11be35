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

__all__ = ["caffe", "check", "migrate"]

_FOUND, _REFUSED = 1, 2

migrate = typer.Typer(
    name="migrate",
    help="Come over from other frameworks: see what their dropout becomes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@migrate.command()
def check(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Python files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what is found as JSON.")] = False,
) -> None:
    """Find the dropouts of other frameworks in Python source, and say what they become.

    Nothing is imported or executed. TensorFlow 1 and 2, Keras, PyTorch, MindSpore, Paddle, Caffe, MXNet,
    Flax, Haiku, Equinox, Lasagne and Chainer are known, under any name they are imported as. Calls of Keras
    become layers of dropkit.keras, those on arrays of TensorFlow and JAX dropkit.drop, all others PyTorch.

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


@migrate.command()
def caffe(
    paths: Annotated[list[str], typer.Argument(metavar="FILE...", help="Caffe's .prototxt files.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the nets and their dropout as JSON.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Rebuild each net in PyTorch and print its layers.")
    ] = False,
) -> None:
    """List the dropout layers of Caffe's networks, where each stands and what it becomes.

    Caffe is not needed. Files of all its generations are read. From Python, dropkit.migrate.rebuild_caffe
    gives the rebuilt net.

    \b
    Examples:
      dropkit migrate caffe train_val.prototxt
      dropkit migrate caffe *.prototxt --json
      dropkit migrate caffe deploy.prototxt --rebuild

    \b
    Exit codes:
      0  every file was read
      1  a layer has a type that is unknown, so its place is left open (--rebuild)
      2  a file was refused; the others were read all the same
    """
    from dropkit.migrate.caffe import read_caffe

    nets: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for path in dict.fromkeys(paths):
        try:
            net = read_caffe(path)
            dropouts = [asdict(each) | {"becomes": each.becomes} for each in net.dropouts()]
            built = _rebuilt(net) if rebuild else {}
        except DropkitError as error:
            refused.append({"path": path, "why": str(error)})
            typer.echo(f"error: {error}", err=True)
            continue
        told = {"path": path, "name": net.name, "layers": len(net.layers), "dropouts": dropouts}
        nets.append(told | built)
        if not as_json:
            _print_net(nets[-1])
    if as_json:
        typer.echo(json.dumps({"nets": nets, "refused": refused}, indent=2))
    if refused:
        raise typer.Exit(_REFUSED)
    if any(net.get("unknown") for net in nets):
        raise typer.Exit(_FOUND)


def _rebuilt(net: Any) -> dict[str, Any]:
    from dropkit.migrate import rebuild_caffe

    model = rebuild_caffe(net)
    unknown = [{"name": name, "type": type_} for name, type_ in model.unknown]
    return {"rebuilt": [asdict(step) for step in model.steps], "unknown": unknown}


def _print_net(net: dict[str, Any]) -> None:
    out, dropouts = console(), net["dropouts"]
    out.print(net["path"], style="bold", end="", soft_wrap=True)
    out.print(f"  {net['name'] or 'a net without a name'}, layers: {net['layers']}", soft_wrap=True)
    if not dropouts:
        out.print("  no dropout", soft_wrap=True)
    for each in dropouts:
        before = ", ".join(each["before"]) or "the output"
        place = f"between {each['after'] or 'the input'} and {before}"
        out.print(f"  {each['name']}  drops {each['ratio']}, {place}", soft_wrap=True)
        out.print(f"    becomes  {each['becomes']}", style="green", soft_wrap=True)
    for step in net.get("rebuilt", ()):
        shapes = ", ".join("unknown" if shape is None else str(tuple(shape)) for shape in step["shapes"])
        line = f"  {step['name']}  {step['type']}  {shapes}  {step['parameters']:,} parameters"
        out.print(line, soft_wrap=True, markup=False)
    for each in net.get("unknown", ()):
        rule = f"  not rebuilt: {each['name']}, of the unknown type {each['type']}; give rebuild_caffe own="
        out.print(rule, style="red", soft_wrap=True, markup=False)


def _print(found: list[Found]) -> None:
    out = console()
    for each in found:
        unwritten = "not written" if each.rate is None else "by default"
        value = f"{each.argument}={each.written}" if each.written else f"{each.argument} {unwritten}"
        out.print(f"{each.path}:{each.line}:{each.column}", style="bold", end="", soft_wrap=True)
        out.print(f"  {each.call}  {value}", soft_wrap=True)
        out.print(f"  becomes  {each.becomes}", style="green", soft_wrap=True)
        for label, words in (("draws", each.active), ("mind", each.trap), ("decide", each.doubt)):
            if words:
                out.print(f"  {label:<7}  {words}", soft_wrap=True)
