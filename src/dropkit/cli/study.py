"""`dropkit study`: options in, verdict out; the work is done by `dropkit.study`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dropkit.cli.console import console
from dropkit.report.record import StudyResult

__all__ = ["study"]

DONE, NO_VERDICT, INTERRUPTED = 0, 3, 130


def study(
    data: Annotated[
        str, typer.Option(help="digits, fashion-mnist, breast-cancer, a file or a folder (see the examples).")
    ] = "digits",
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose rows of one value stay in one part.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column by which parts go forward in time.")] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; may be given several times.")
    ] = None,
    keep_columns: Annotated[
        bool, typer.Option("--keep-columns", help="Take the group or time column as an input as well.")
    ] = False,
    text: Annotated[str | None, typer.Option(help="The column of texts to learn from, alone.")] = None,
    words: Annotated[
        bool, typer.Option("--words", help="The array x holds numbers of words: 0 padding, 1 unknown.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="mlp, cnn, text or FILE.py:make_model; default text for words, else mlp."),
    ] = None,
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    metric: Annotated[
        str, typer.Option(help="error (also accuracy, rmse), nll or FILE.py:fn, smaller is better.")
    ] = "error",
    margin: Annotated[
        str,
        typer.Option(help="A smaller difference counts as none: points of error, % of none's RMSE or NLL."),
    ] = "0.5%",
    pairs: Annotated[int, typer.Option(help="Pairs of (split, seed), 6 or more.")] = 10,
    budget: Annotated[
        str | None, typer.Option(help="Wall clock to spend, e.g. 10m; default under two minutes.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training part at most; default from the budget.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Settings that each family tries; default from the budget.")
    ] = None,
    looks: Annotated[
        int, typer.Option(help="Times at which the comparison may end; 1: at its end alone.")
    ] = 1,
    design: Annotated[
        str, typer.Option(help="splits: one for every pair; seeds: one split for all.")
    ] = "splits",
    train_rows: Annotated[
        int | None, typer.Option(help="Rows to train on; default 70 %, for fashion-mnist 1000.")
    ] = None,
    folder: Annotated[str | None, typer.Option(help="Where the Fashion-MNIST files lie.")] = None,
    class_weight: Annotated[
        str, typer.Option(help="none, or balanced: the loss counts every class alike.")
    ] = "none",
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report, the record and the runs.")] = Path(
        "dropkit-study"
    ),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study of --out, with its options.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Register and print the plan, then stop.")
    ] = False,
    lang: Annotated[str, typer.Option(help="en or zh: the language of verdict and report.")] = "en",
    fresh: Annotated[bool, typer.Option("--fresh", help="Train again what is already there.")] = False,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster that trains, or local.")] = None,
    track: Annotated[
        list[str] | None, typer.Option(help="tensorboard or mlflow; may be given several times.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No plan and no progress.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.")
    ] = False,
) -> None:
    """Find out whether dropout helps on your data, which and how much: "none" is a possible answer.

    \b
    Examples:
      dropkit study                                      handwritten digits, in a minute or two
      dropkit study --data fashion-mnist --model cnn     images of clothes
      dropkit study --data FILE.csv --target COLUMN      your own table (or FILE.parquet)
      dropkit study --data FILE.csv --target COLUMN --group PATIENT
      dropkit study --data FILE.csv --target COLUMN --text COLUMN
      dropkit study --data FILE.npz                      your own arrays x and y
      dropkit study --data FOLDER                        your own images, FOLDER/class/*.png
      dropkit study --data FILE.py:make_data             whatever a function of yours returns
      dropkit study --data FILE.csv --target COLUMN --model FILE.py:make_model

    \b
    Exit codes:
      0    done
      2    refused: an argument, the data, the model or the output folder
      3    runs failed, and no verdict was possible
      130  interrupted by Ctrl-C: the verdict covers the complete pairs, the same command goes on from there
    """
    from dropkit.experiments import study as conduct

    result = conduct(
        data,
        target=target,
        group=group,
        time=time,
        ignore=ignore or (),
        keep_columns=keep_columns,
        text=text,
        words=words,
        model=model,
        task=task,
        metric=metric,
        margin=margin,
        pairs=pairs,
        budget=budget,
        epochs=epochs,
        trials=trials,
        looks=looks,
        design=design,
        train_rows=train_rows,
        folder=folder,
        class_weight=class_weight,
        seed=seed,
        workers=workers,
        out=out,
        fresh=fresh,
        resume=resume,
        dry_run=dry_run,
        quiet=quiet,
        ray=ray,
        track=track or (),
        lang=lang,
    )
    if dry_run:
        raise typer.Exit(DONE)
    _print(result, lang, as_json=as_json)
    raise typer.Exit(_exit_code(result))


def _print(result: StudyResult, lang: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.to_dict(runs=False), allow_nan=False))
        return
    from dropkit.report.terminal import print_result

    print_result(result, console(), lang)


def _exit_code(result: StudyResult) -> int:
    if result.stopped_early:
        return INTERRUPTED
    return DONE if result.comparisons else NO_VERDICT
