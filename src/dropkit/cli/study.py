"""`dropkit study`: options in, verdict out; the work is done by `dropkit.study`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dropkit.core.check import DropkitError, MissingPackage
from dropkit.report.record import StudyResult
from dropkit.report.terminal import print_result

__all__ = ["study"]

DONE, REFUSED, NO_VERDICT, INTERRUPTED = 0, 1, 3, 130


def study(
    data: Annotated[str, typer.Option(help="digits, fashion-mnist or FILE.csv.")] = "digits",
    target: Annotated[str | None, typer.Option(help="The CSV column to predict.")] = None,
    model: Annotated[str, typer.Option(help="mlp, cnn or FILE.py:make_model.")] = "mlp",
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    metric: Annotated[str, typer.Option(help="error or nll: what settings are chosen by.")] = "error",
    pairs: Annotated[int, typer.Option(help="Pairs of (split, seed), 6 or more.")] = 10,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training part; default by size.")
    ] = None,
    train_rows: Annotated[
        int | None, typer.Option(help="Rows to train on; default 70 %, for fashion-mnist 1000.")
    ] = None,
    folder: Annotated[str | None, typer.Option(help="Where the Fashion-MNIST files lie.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.html, study.json, runs.jsonl.")] = Path(
        "dropkit-study"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="Train again what is already there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No plan and no progress.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.")
    ] = False,
) -> None:
    """Find out whether dropout helps on your data, which and how much: "none" is a possible answer.

    Ends with 0 when done, 1 when an argument is refused, 3 when runs failed and no verdict was possible, 130
    after Ctrl-C (the verdict then covers the complete pairs; the same command goes on from there).

    Examples: dropkit study; dropkit study --data fashion-mnist --model cnn;
    dropkit study --data FILE.csv --target COLUMN
    """
    try:
        from dropkit.experiments import study as conduct

        result = conduct(
            data,
            target=target,
            model=model,
            task=task,
            metric=metric,
            pairs=pairs,
            epochs=epochs,
            train_rows=train_rows,
            folder=folder,
            seed=seed,
            workers=workers,
            out=out,
            fresh=fresh,
            quiet=quiet,
        )
    except (DropkitError, MissingPackage) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(REFUSED) from None
    _print(result, as_json)
    raise typer.Exit(_exit_code(result))


def _print(result: StudyResult, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.to_dict(runs=False), allow_nan=False))
    else:
        print_result(result, Console(highlight=False))


def _exit_code(result: StudyResult) -> int:
    if result.stopped_early:
        return INTERRUPTED
    return DONE if result.comparisons else NO_VERDICT


if __name__ == "__main__":
    typer.run(study)
