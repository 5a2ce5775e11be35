"""The whole study: read, plan, run, answer, write."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import joblib

from dropkit.experiments.budget import Cost, calibrate, estimate, most_runs, parse_budget
from dropkit.experiments.case import PAGE, RECORD, Case, How
from dropkit.experiments.changes import changes
from dropkit.experiments.columns import Columns
from dropkit.experiments.crew import Trainer, Work
from dropkit.experiments.leaks import sealed_copies_note
from dropkit.experiments.margin import MARGIN
from dropkit.experiments.measure import seconds_per_epoch
from dropkit.experiments.models import ModelSource, default_model
from dropkit.experiments.plan import Options, fingerprinted, make_plan, question
from dropkit.experiments.recipe import PLAIN, Recipe
from dropkit.experiments.settings import registered_settings, settings_of
from dropkit.experiments.sources import load_data
from dropkit.experiments.store import FILE, Store, prepare_folder
from dropkit.experiments.trackers import Tracked, make_trackers
from dropkit.experiments.user_file import is_spec, name_of
from dropkit.report.messages import messages
from dropkit.report.page import render_page
from dropkit.report.plan import Arm, Plan
from dropkit.report.record import StudyResult
from dropkit.report.text_file import write_whole
from dropkit.report.watcher import Quiet, Terminal

__all__ = ["study"]


def study(
    data: Any = "digits",
    *,
    target: str | None = None,
    group: Any = None,
    time: Any = None,
    ignore: Sequence[str] = (),
    keep_columns: bool = False,
    text: str | None = None,
    words: bool = False,
    model: str | Callable[..., Any] | None = None,
    task: str = "auto",
    metric: str | Callable[..., Any] = "error",
    margin: str = MARGIN,
    pairs: int = 10,
    budget: str | None = None,
    epochs: int | None = None,
    trials: int | None = None,
    looks: int = 1,
    design: str = "splits",
    train_rows: int | None = None,
    folder: str | None = None,
    class_weight: str = "none",
    arms: tuple[Arm, ...] | None = None,
    seed: int = 0,
    workers: int | None = None,
    out: str | Path = "dropkit-study",
    fresh: bool = False,
    resume: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    lang: str = "en",
    recipe: Recipe = PLAIN,
    ray: str | None = None,
    crew: Callable[[Work], Trainer] | None = None,
    track: Sequence[str] = (),
) -> StudyResult:
    """Find out from real data which dropout helps, where and how much, with "none" as a possible answer.

    Settings are searched in every family alike, with a learning rate and a weight decay of their own; the
    best families and two baselines are then trained again on fresh pairs of (split, seed) and compared by a
    paired test with Holm's correction. Training ends by a part of its own; a sealed part is read once.

    Args:
        data: `digits`, `fashion-mnist`, `breast-cancer`, a .csv, .parquet or .npz file, a folder with one
            folder of images a class, `FILE.py:make_data`, arrays (x, y), a DataFrame or a torch Dataset. A
            one-dimensional x of text holds texts.
        target: the column to predict; of an .npz file the array, `y` by default.
        group: a column (for arrays: one value a row) whose rows of one value stay together in one part.
        time: a column of numbers or ISO dates (for arrays: one a row); parts then go forward in time.
        ignore: columns to leave out.
        keep_columns: take the group or time column as an input as well.
        text: the column of texts that is learned from, alone: each becomes a row of numbers of words.
        words: the whole numbers (rows, length) of an array are those of words; 0 is padding, 1 unknown.
        model: `mlp`, `cnn`, `text`, `FILE.py:make_model` or a function that returns a torch module, or a
            Keras model where Keras runs on torch; called with `input_shape`, `n_outputs` and, for words,
            `n_words` where it takes them; default `text` for words, else `mlp`.
        task: `classification`, `regression`, or `auto` to decide from the target.
        metric: `error` (also `accuracy`, or `rmse` for a regression) or `nll`: what settings are chosen by;
            or a function of (y, outputs), also as `FILE.py:fn`, smaller is better: see `Recipe`.
        margin: a smaller difference counts as none: `0.5%` is half a point of error, or half a per cent of
            none's score otherwise (for the NLL of a regression, the nats that so much RMSE adds); `off` for
            no test of equivalence.
        pairs: of split and seed, 6 to 1,000.
        budget: wall clock with the workers given, e.g. `10m`: it is turned into epochs and trials, which are
            registered, so that the same command repeats the same study; by default under two minutes.
        epochs: passes over the training part at most, the same for every arm; by default from the budget.
        trials: settings that each family tries; by default from the budget.
        looks: how often the comparison may end early, 1 for at its end alone.
        design: `splits` draws one for every pair, `seeds` has one split for all.
        train_rows: rows each network learns from; default 70 %, for Fashion-MNIST 1,000.
        folder: of the Fashion-MNIST files.
        class_weight: `balanced` gives every class the same share of the loss, `none` every row.
        arms: compare these and search nothing; `none` is one of them.
        seed: of everything; the same seed gives the same table for any number of workers.
        workers: processes, one thread each; default one a core.
        out: folder for report.html, study.json, model.safetensors and runs.sqlite; finished runs that it
            holds are used again, whatever other arms or pairs were planned then. Two studies of one machine
            on one folder share the work.
        fresh: train everything again instead.
        resume: go on with the study that was planned last in `out`: its options are taken from there, and
            none may be given beside it but those of how it runs.
        dry_run: register the plan, print it and stop.
        quiet: print nothing.
        lang: `en` or `zh`, of verdict and report.
        recipe: your own loss, optimizer or training step; `dropkit.experiments.loops` makes one from a
            LightningModule, a model of transformers or a skorch net.
        ray: address of a Ray cluster that trains, or `local` to begin one here.
        crew: makes a trainer of your own, for a cluster that dropkit does not know: see docs/cluster.md.
        track: `tensorboard`, `mlflow`: where runs and result are told as well.

    Returns:
        StudyResult: verdict, comparisons, arms and every run. After Ctrl-C it covers the complete pairs.

    Raises:
        DropkitError: an argument, the data, the model or the output folder is refused before work starts.
    """
    began = perf_counter()
    settings = settings_of(study, locals())
    if resume:
        again: dict[str, Any] = {
            "workers": workers,
            "out": out,
            "fresh": fresh,
            "dry_run": dry_run,
            "quiet": quiet,
            "lang": lang,
            "ray": ray,
            "crew": crew,
            "track": track,
        }
        return study(**registered_settings(Path(out), settings), **again)
    if own := callable(metric) or is_spec(str(metric)):
        recipe = replace(recipe, metric=metric)
    recipe.check()
    options = Options(
        task=task,
        metric=_name(recipe.metric or metric),
        own_metric=bool(own or recipe.metric),
        pairs=pairs,
        epochs=epochs,
        trials=trials,
        budget=budget,
        train_rows=train_rows,
        seed=seed,
        workers=joblib.cpu_count() if workers is None else workers,
        arms=arms,
        class_weight=class_weight,
        margin=margin,
        design=design,
        looks=looks,
    )
    messages(lang)
    place = prepare_folder(out)
    columns = Columns(target, group, time, ignore, keep_columns, text, words)
    loaded = load_data(data, columns, options.task, folder)
    source = ModelSource(default_model(loaded.inputs.n_words) if model is None else model)
    draft, sealed = make_plan(loaded, source, options, recipe)
    copies = sealed_copies_note(sealed.opened, sealed.vault, [*sealed.splits.values()])
    draft = replace(draft, notes=(*draft.notes, *copies))
    watcher = Tracked(Quiet() if quiet else Terminal(lang=lang), make_trackers(track, place))
    with Store(place) as store:
        cost = Cost(seconds_per_epoch(draft, sealed, source, recipe), options.workers)
        plan = _freeze(draft, cost, options, store.registered(question(draft), json.dumps(settings)))
        plan = replace(plan, estimate=round(estimate(plan, cost)))
        first = store.registered(question(plan))
        store.register(question(plan), json.dumps(settings), plan.fingerprint, json.dumps(asdict(plan)))
        done = 0 if fresh else store.finished_of(plan.fingerprint)
        watcher.planned(plan, most_runs(plan), done, str(place), store.damaged)
        case = Case(plan, sealed, source, recipe, store, place)
        how = How(options.workers, fresh, dry_run, lang, ray, crew)
        result = case.answer(watcher, how, changes(first, plan) if first else ())
    result = replace(result, settings=settings, seconds=round(perf_counter() - began, 1))
    watcher.concluded(result)
    return result if dry_run else _write(result, place, lang)


def _name(metric: Any) -> str:
    name = metric if isinstance(metric, str) else name_of(metric, type(metric).__name__)
    return "metric" if name == "<lambda>" else name


def _freeze(draft: Plan, cost: Cost, options: Options, known: str | None) -> Plan:
    """The plan with the epochs and trials that the same options were registered with, else the budget's."""
    if known:
        frozen = json.loads(known)
        training = replace(draft.training, epochs=frozen["training"]["epochs"])
        search = replace(draft.search, trials=frozen["search"]["trials"])
        return fingerprinted(replace(draft, training=training, search=search))
    seconds = parse_budget(options.budget)
    if options.arms and seconds is None:
        return fingerprinted(draft)
    free = {"epochs": options.epochs is None, "trials": options.trials is None}
    return fingerprinted(calibrate(draft, cost, seconds, **free))


def _write(result: StudyResult, place: Path, lang: str) -> StudyResult:
    rule, mend = f"can no longer be written ({{why}}); runs are in {FILE}", "make room and repeat the command"
    record = json.dumps(asdict(result), indent=1, allow_nan=False)
    write_whole(place / RECORD, record, rule, mend)
    write_whole(place / PAGE, render_page(result, lang), rule, mend)
    return result
