"""The plan of a study: everything that is decided, and can be read, before anything is spent."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata

import numpy as np
import torch

from dropkit.core.check import DropkitError, Interval, OneOf, Whole, suggest
from dropkit.experiments.arms import NONE, default_arms
from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION, Dataset
from dropkit.experiments.leaks import copies_note
from dropkit.experiments.margin import MARGIN, parse_margin
from dropkit.experiments.models import ModelSource, check_model
from dropkit.experiments.own import own_dropout, random_modes, switch_off
from dropkit.experiments.power import MOST_PAIRS, Design
from dropkit.experiments.sites import places_for
from dropkit.experiments.split import cut_notes, plan_splits
from dropkit.report.record import Arm, Plan
from dropkit.report.words import listed

__all__ = ["Options", "make_plan"]

BATCH = 64
LEARNING_RATE = 1e-3
ALPHA, POWER = 0.05, 0.8
MIN_PAIRS = 6

_PAIRS = Whole(MIN_PAIRS, "fewer cannot tell chance from effect: give 10 or more", below=MOST_PAIRS + 1)
_EPOCHS = Whole(1, "give the passes over the training part, e.g. 30", below=100_001)
_WORKERS = Whole(1, "give the number of processes, e.g. 2", below=257)
_SEED = Whole(0, "give a whole number, e.g. 0", below=2**32)
_TRAIN_ROWS = Whole(20, "give the rows that each network learns from, e.g. 1000")
_TASK = OneOf(("auto", CLASSIFICATION, REGRESSION))
_METRIC = OneOf(("error", "nll"))
_CLASS_WEIGHT = OneOf(("none", "balanced"))
_RATE = Interval(0, 1, "write the share that is dropped, e.g. 0.5", open_high=True)
_DECAY = Interval(0, math.inf, "give AdamW's decay, e.g. 0.01", open_high=True)


@dataclass(frozen=True)
class Options:
    """The numbers and words a user may set, checked when made."""

    task: str = "auto"
    metric: str = "error"
    pairs: int = 10
    epochs: int | None = None
    train_rows: int | None = None
    seed: int = 0
    workers: int = 2
    arms: tuple[Arm, ...] | None = None
    class_weight: str = "none"
    margin: str = MARGIN

    def __post_init__(self) -> None:
        _TASK.check("task", self.task)
        _METRIC.check("metric", self.metric)
        _CLASS_WEIGHT.check("class_weight", self.class_weight)
        _PAIRS.check("pairs", self.pairs)
        _SEED.check("seed", self.seed)
        _WORKERS.check("workers", self.workers)
        parse_margin(self.margin)
        if self.epochs is not None:
            _EPOCHS.check("epochs", self.epochs)
        if self.train_rows is not None:
            _TRAIN_ROWS.check("train_rows", self.train_rows)
        if self.arms is not None:
            check_arms(self.arms)


def check_arms(arms: Sequence[Arm]) -> None:
    """Refuse arms that share a name, lack `none` or another family, or have a rate outside [0, 1)."""
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise DropkitError("arms", "must have different names", names, "rename one")
    if NONE not in arms or len({arm.family for arm in arms}) < 2:
        raise DropkitError("arms", "must hold `none` and one other family at least", names, "add arms.NONE")
    for arm in arms:
        _RATE.check(f"rate of arm {arm.name!r}", arm.rate)
        _RATE.check(f"input_rate of arm {arm.name!r}", arm.input_rate)
        _DECAY.check(f"weight_decay of arm {arm.name!r}", arm.weight_decay)


def _check_places(arms: Sequence[Arm], places: dict[str, tuple[str, ...]]) -> None:
    """Refuse an arm whose method stands nowhere in the model: it would be none under another name."""
    for arm in arms:
        if arm.rate and arm.method not in places:
            rule = f"must use a method that fits into the model: {', '.join(places)}"
            raise DropkitError(f"method of arm {arm.name!r}", rule, arm.method, suggest(arm.method, places))


def _check_weight(data: Dataset, class_weight: str) -> None:
    if class_weight != "none" and data.task != CLASSIFICATION:
        rule = "must be 'none' for a regression, which has no classes"
        raise DropkitError("class_weight", rule, class_weight, "leave it out")


def make_plan(data: Dataset, source: ModelSource, options: Options) -> Plan:
    """Look at the data and the model, and fix everything.

    Raises:
        DropkitError: the model, the data or an option is refused.
    """
    _check_weight(data, options.class_weight)
    shape = data.inputs.shape
    model = check_model(source, shape, data.n_outputs)
    model_digest, sites, own = source.digest(model, shape), places_for(model, shape), own_dropout(model)
    switch_off(model)
    random = random_modes(model, shape)
    arms = options.arms or default_arms(sites, own_dropout=bool(own))
    _check_places(arms, sites)
    train_rows = options.train_rows or data.train_rows
    sizes, splits = plan_splits(data, options.pairs, train_rows, options.seed)
    comparisons = 2 * len({arm.family for arm in arms} - {"none"})
    design = Design(options.pairs, sizes.overlap, comparisons, ALPHA, POWER)
    plan = Plan(
        data=data.name,
        data_digest=data.digest(),
        task=data.task,
        metric=options.metric,
        unit="%" if data.task == CLASSIFICATION else "",
        rows=len(data.y),
        input_shape=shape,
        n_outputs=data.n_outputs,
        guess_error=data.guess_error,
        train_rows=sizes.train,
        select_rows=sizes.select,
        test_rows=sizes.test,
        overlap=sizes.overlap,
        model=source.name,
        model_digest=model_digest,
        sites=sites,
        own_dropout=own,
        random_modes=random,
        arms=tuple(arms),
        pairs=options.pairs,
        epochs=options.epochs or _default_epochs(sizes.train),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        seed=options.seed,
        class_weight=options.class_weight,
        alpha=ALPHA,
        power=POWER,
        comparisons=comparisons,
        detectable=design.detectable,
        floor=design.floor,
        margin=parse_margin(options.margin),
        versions=_versions(),
        notes=(
            *data.notes,
            *cut_notes(data, splits),
            *copies_note(data, splits),
            *_weight_note(options.class_weight),
            *_model_notes(own, random, arms),
        ),
    )
    return replace(plan, fingerprint=_fingerprint(plan))


def _default_epochs(train_rows: int) -> int:
    # About 500 steps: a default study then ends within two minutes on two cores.
    return min(max(round(500 * BATCH / train_rows), 10), 200)


def _model_notes(own: Sequence[str], random: Sequence[str], arms: Sequence[Arm]) -> tuple[str, ...]:
    keepers = listed([f"`{arm.name}`" for arm in arms if arm.keeps_own])
    off = f"switched off in every arm{' but ' + keepers if keepers else ''}"
    notes = {
        f"the model brings dropout of its own ({', '.join(own)}): {off}": own,
        f"something random remains in the model's forward in {' and '.join(random)} mode": random,
    }
    return tuple(note for note, applies in notes.items() if applies)


def _weight_note(class_weight: str) -> tuple[str, ...]:
    said = "the loss gives every class the same share, however rare; scores count every row alike"
    return (said,) if class_weight == "balanced" else ()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}
    try:
        return {"dropkit": metadata.version("dropkit")} | found
    except metadata.PackageNotFoundError:  # run from a source tree
        return {"dropkit": "source"} | found


def _fingerprint(plan: Plan) -> str:
    decided = {name: value for name, value in asdict(plan).items() if name not in ("notes", "fingerprint")}
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]
