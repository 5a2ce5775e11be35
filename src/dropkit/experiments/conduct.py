"""The whole study: plan, run, compare, answer, write."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import joblib

from dropkit.core.check import DropkitError
from dropkit.experiments.columns import Columns
from dropkit.experiments.crew import Work
from dropkit.experiments.margin import MARGIN
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.run_id import run_ids
from dropkit.experiments.runner import run_all, take_finished
from dropkit.experiments.sources import load_data
from dropkit.experiments.split import Sizes, make_splits
from dropkit.experiments.store import FILE, Store, prepare_folder
from dropkit.experiments.summary import compare, complete_pairs, summarise
from dropkit.experiments.table_hash import table_hash
from dropkit.experiments.verdict import judge
from dropkit.report.page import render_page
from dropkit.report.record import Arm, Plan, Run, StudyResult
from dropkit.report.terminal import Quiet, Terminal, Watcher

__all__ = ["study"]


def study(
    data: Any = "digits",
    *,
    target: str | None = None,
    group: Any = None,
    time: Any = None,
    ignore: Sequence[str] = (),
    keep_columns: bool = False,
    model: str | Callable[..., Any] = "mlp",
    task: str = "auto",
    metric: str = "error",
    margin: str = MARGIN,
    pairs: int = 10,
    epochs: int | None = None,
    train_rows: int | None = None,
    folder: str | None = None,
    class_weight: str = "none",
    arms: tuple[Arm, ...] | None = None,
    seed: int = 0,
    workers: int | None = None,
    out: str | Path = "dropkit-study",
    fresh: bool = False,
    quiet: bool = False,
) -> StudyResult:
    """Find out from real data whether dropout helps, which and how much, with "none" as a possible answer.

    Every arm is trained on the same pairs of (split, seed); a family's setting is chosen on each pair's
    select part and judged on its test part by a paired test with Holm's correction.

    Args:
        data: `digits`, `fashion-mnist`, `breast-cancer`, a .csv, .parquet or .npz file, a folder with one
            folder of images a class, `FILE.py:make_data`, arrays (x, y), a DataFrame or a torch Dataset.
        target: the column to predict; of an .npz file the array, `y` by default.
        group: a column (for arrays: one value a row) whose rows of one value stay together in one part.
        time: a column of numbers or ISO dates (for arrays: one a row); parts then go forward in time.
        ignore: columns to leave out.
        keep_columns: take the group or time column as an input as well.
        model: `mlp`, `cnn`, `FILE.py:make_model` or a function; called with `input_shape` and `n_outputs`
            where it takes them.
        task: `classification`, `regression`, or `auto` to decide from the target.
        metric: `error` (RMSE for a regression) or `nll`: what settings are chosen by.
        margin: a smaller difference counts as none: `0.5%` is half a point of error, or half a per cent of
            none's score otherwise; `off` for no test of equivalence.
        pairs: of split and seed, 6 to 1,000.
        epochs: passes over the training part, the same for every arm; default by size.
        train_rows: rows each network learns from; default 70 %, for Fashion-MNIST 1,000.
        folder: of the Fashion-MNIST files.
        class_weight: `balanced` gives every class the same share of the loss, `none` every row.
        arms: what is tried; default three settings each of weight decay, dropout, input and Gaussian dropout.
        seed: of everything; the same seed gives the same table for any number of workers.
        workers: processes, one thread each; default one a core.
        out: folder for report.html, study.json and runs.sqlite; finished runs that it holds are used again,
            whatever other arms or pairs were planned then. Two studies of one machine on one folder share
            the work.
        fresh: train everything again instead.
        quiet: print nothing.

    Returns:
        StudyResult: verdict, comparisons, arms and every run. After Ctrl-C it covers the complete pairs.

    Raises:
        DropkitError: an argument, the data, the model or the output folder is refused before work starts.
    """
    began = perf_counter()
    options = Options(
        task=task,
        metric=metric,
        pairs=pairs,
        epochs=epochs,
        train_rows=train_rows,
        seed=seed,
        workers=joblib.cpu_count() if workers is None else workers,
        arms=arms,
        class_weight=class_weight,
        margin=margin,
    )
    place = prepare_folder(out)
    columns = Columns(target, group, time, ignore, keep_columns)
    loaded, source = load_data(data, columns, options.task, folder), ModelSource(model)
    plan = make_plan(loaded, source, options)
    sizes = Sizes(plan.train_rows, plan.select_rows, plan.test_rows, disjoint=plan.overlap == 0)
    splits = make_splits(loaded, sizes, plan.pairs, plan.seed)
    ids = run_ids(plan, splits)
    watcher: Watcher = Quiet() if quiet else Terminal()
    with Store(place) as store:
        if fresh:
            store.forget(ids.values())
        runs, stopped = _run(Work(plan, loaded, splits, source), ids, store, watcher, options.workers)
    return _write(_conclude(plan, runs, stopped, perf_counter() - began, place), place)


def _run(
    work: Work, ids: dict[tuple[str, int], str], store: Store, watcher: Watcher, workers: int
) -> tuple[list[Run], bool]:
    runs = take_finished(ids, work.plan, store)
    watcher.planned(work.plan, len(runs), str(store.path.parent), store.damaged)
    done = {(run.arm, run.pair) for run in runs}
    left = {place: run_id for place, run_id in ids.items() if place not in done}
    results = run_all(left, work, store, workers)
    try:
        with watcher:
            for run in results:
                runs.append(run)
                watcher.finished(run)
    except KeyboardInterrupt:
        return runs, True
    finally:
        results.close()
    return runs, False


def _conclude(plan: Plan, runs: list[Run], stopped: bool, seconds: float, place: Path) -> StudyResult:
    order = {arm.name: at for at, arm in enumerate(plan.arms)}
    runs = sorted(runs, key=lambda run: (run.pair, order[run.arm]))
    whole = complete_pairs(plan, runs)
    comparisons = compare(plan, whole)
    arms = summarise(plan, runs, whole)
    verdict = judge(plan, comparisons, arms, len(whole), stopped_early=stopped)
    files = {name: str(place / name) for name in ("report.html", "study.json", FILE)}
    return StudyResult(
        plan=plan,
        runs=tuple(runs),
        arms=arms,
        comparisons=comparisons,
        verdict=verdict,
        complete_pairs=len(whole),
        stopped_early=stopped,
        seconds=round(seconds, 1),
        table_hash=table_hash(runs, arms, comparisons),
        files=files,
    )


def _write(result: StudyResult, place: Path) -> StudyResult:
    record = json.dumps(dataclasses.asdict(result), indent=1, allow_nan=False)
    _replace(place / "study.json", record)
    _replace(place / "report.html", render_page(result))
    return result


def _replace(path: Path, text: str) -> None:
    # Written beside and renamed: a reader sees the old page or the new one, never half of one. Another study
    # on the folder writes beside it under another name.
    beside = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        rule = f"can no longer be written ({error.strerror}); finished runs are kept in {FILE}"
        raise DropkitError("out", rule, str(path), "make room and repeat the command") from error
