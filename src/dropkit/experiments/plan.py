"""The plan of a study: everything that is decided, and can be read, before anything is spent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from optuna.distributions import distribution_to_json

from dropkit.core.check import DropkitError, OneOf, Whole
from dropkit.experiments.arm_check import check_arm
from dropkit.experiments.budget import FEWEST_TRIALS, parse_budget
from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION, Dataset
from dropkit.experiments.families import COMBINED, Space, spaces_for
from dropkit.experiments.leaks import copies_note
from dropkit.experiments.margin import MARGIN, parse_margin
from dropkit.experiments.models import ModelSource, check_model
from dropkit.experiments.own import own_dropout, random_modes, switch_off
from dropkit.experiments.power import MOST_PAIRS, Design
from dropkit.experiments.recipe import PLAIN, Recipe
from dropkit.experiments.sealed import DESIGNS, Cut, Sealed, seal
from dropkit.experiments.search import distributions
from dropkit.experiments.sites import places_for
from dropkit.experiments.split import cut_notes
from dropkit.experiments.versions import versions
from dropkit.report.messages import Note
from dropkit.report.plan import NONE, Arm, Data, Inference, Model, Parts, Plan, Search, Training

__all__ = ["Options", "fingerprinted", "make_plan", "question"]

BATCH = 64
LEARNING_RATE = 1e-3
ALPHA, POWER = 0.05, 0.8
MIN_PAIRS = 6
_DIGITS = 16
FINALISTS = 5
CHECKS, PATIENCE = 20, 6
ROUND = 4

_PAIRS = Whole(MIN_PAIRS, "fewer cannot tell chance from effect: give 10 or more", below=MOST_PAIRS + 1)
_EPOCHS = Whole(1, "give the passes over the training part, e.g. 30", below=100_001)
_TRIALS = Whole(1, "give the settings that each family tries, e.g. 10", below=10_001)
_LOOKS = Whole(1, "give how often the comparison may end early, e.g. 3, or 1 for never", below=6)
_WORKERS = Whole(1, "give the number of processes, e.g. 2", below=257)
_SEED = Whole(0, "give a whole number, e.g. 0", below=2**32)
_TRAIN_ROWS = Whole(20, "give the rows that each network learns from, e.g. 1000")
_TASK = OneOf(("auto", CLASSIFICATION, REGRESSION))
_METRICS = {"accuracy": "error", "error": "error", "rmse": "error", "nll": "nll"}
_METRIC = OneOf(tuple(_METRICS))
_DESIGN = OneOf(DESIGNS)
_CLASS_WEIGHT = OneOf(("none", "balanced"))


@dataclass(frozen=True)
class Options:
    """The numbers and words a user may set, checked when made; all but `workers` decide what is found.

    `metric` is the name of the user's own where `own_metric` says so.
    """

    task: str = "auto"
    metric: str = "error"
    pairs: int = 10
    epochs: int | None = None
    trials: int | None = None
    budget: str | None = None
    train_rows: int | None = None
    seed: int = 0
    workers: int = 2
    arms: tuple[Arm, ...] | None = None
    class_weight: str = "none"
    margin: str = MARGIN
    design: str = "splits"
    looks: int = 1
    own_metric: bool = False

    def __post_init__(self) -> None:
        _TASK.check("task", self.task)
        if not self.own_metric:
            _METRIC.check("metric", self.metric)
        _CLASS_WEIGHT.check("class_weight", self.class_weight)
        _DESIGN.check("design", self.design)
        for name, rule in _WHOLE.items():
            if name not in _FROM_BUDGET or getattr(self, name) is not None:
                rule.check(name, getattr(self, name))
        parse_margin(self.margin)
        parse_budget(self.budget)
        if self.arms is not None:
            check_arms(self.arms)


_FROM_BUDGET = frozenset(("epochs", "trials", "train_rows"))
_WHOLE = {
    "pairs": _PAIRS,
    "epochs": _EPOCHS,
    "trials": _TRIALS,
    "looks": _LOOKS,
    "workers": _WORKERS,
    "seed": _SEED,
    "train_rows": _TRAIN_ROWS,
}


def check_arms(arms: Sequence[Arm]) -> None:
    """Refuse arms that share a name, or lack `none` or another one."""
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise DropkitError("arms", "must have different names", names, "rename one")
    if NONE not in names or len(names) < 2:
        mend = "add families.UNREGULARISED"
        raise DropkitError("arms", "must hold `none` and one other arm at least", names, mend)


def make_plan(
    data: Dataset, source: ModelSource, options: Options, recipe: Recipe = PLAIN
) -> tuple[Plan, Sealed]:
    """Look at the data and the model, and fix everything but what the budget decides.

    Raises:
        DropkitError: the model, the data or an option is refused.
    """
    facts = _data(data, options.class_weight)
    _check_metric(options, facts.task)
    if options.class_weight != "none" and (recipe.loss or recipe.step):
        rule = "must be 'none' where the loss or the training step is your own"
        raise DropkitError("class_weight", rule, options.class_weight, "weigh classes in your own loss")
    model = _model(source, facts, recipe)
    arms = options.arms or ()
    search = _search(facts, model, options, recipe)
    cut = Cut(options.pairs, search.splits, options.train_rows or data.train_rows, options.design)
    sealed = seal(data, cut, options.seed)
    compared = len(arms) - 1 if arms else search.finalists + 1  # the model as brought
    plan = Plan(
        data=facts,
        model=model,
        parts=sealed.parts,
        training=Training(
            epochs=options.epochs or _default_epochs(sealed.parts.train),
            checks=CHECKS,
            patience=PATIENCE,
            batch=BATCH,
            learning_rate=LEARNING_RATE,
        ),
        search=search,
        tests=_tests(options, sealed.parts, 2 * compared),
        seed=options.seed,
        versions=versions(),
        arms=arms,
        notes=(
            *data.notes,
            *cut_notes(sealed.opened, [*sealed.splits.values()]),
            *_sealed_groups(sealed.vault),
            *copies_note(sealed.opened, [*sealed.splits.values()]),
            *([] if model.sites else [Note("note.no_places")]),
        ),
    )
    for arm in arms:
        check_arm(arm, plan, recipe)
    return plan, sealed


def _sealed_groups(vault: Dataset) -> list[Note]:
    return [] if vault.groups is None else [Note("note.sealed_groups", {"n": len(np.unique(vault.groups))})]


def _check_metric(options: Options, task: str) -> None:
    other = {CLASSIFICATION: "rmse", REGRESSION: "accuracy"}[task]
    if not options.own_metric and options.metric == other:
        raise DropkitError("metric", f"must suit a {task}", other, "give error or nll")


def _data(data: Dataset, class_weight: str) -> Data:
    if class_weight != "none" and data.task != CLASSIFICATION:
        rule = "must be 'none' for a regression, which has no classes"
        raise DropkitError("class_weight", rule, class_weight, "leave it out")
    return Data(
        name=data.name,
        digest=data.digest(),
        task=data.task,
        rows=len(data.y),
        input_shape=data.inputs.shape,
        n_outputs=data.n_outputs,
        guess_error=data.guess_error,
        class_weight=class_weight,
        n_words=data.inputs.n_words,
    )


def _model(source: ModelSource, data: Data, recipe: Recipe) -> Model:
    shape, words = data.input_shape, data.n_words
    model = check_model(source, shape, data.n_outputs, words)
    digest, sites = source.digest(model, shape, words), places_for(model, shape, words)
    own = own_dropout(model)
    switch_off(model)
    modes, pieces = random_modes(model, shape, words), recipe.names()
    return Model(source.name, digest + recipe.digest(), sites, own, modes, pieces)


def _search(data: Data, model: Model, options: Options, recipe: Recipe) -> Search:
    if options.arms:
        return Search((), trials=0, round=ROUND, splits=0, finalists=0, prune=False)
    spaces = (*spaces_for(data, model, recipe), Space(COMBINED))
    space = {each.name: _written(each) for each in spaces}
    trials = options.trials or FEWEST_TRIALS
    return Search((*space,), trials, ROUND, splits=1, finalists=FINALISTS, prune=True, space=space)


def _written(space: Space) -> dict[str, str]:
    found = distributions(space, LEARNING_RATE)
    return {name: distribution_to_json(each) for name, each in found.items()}


def _tests(options: Options, parts: Parts, comparisons: int) -> Inference:
    design = Design(options.pairs, parts.overlap, comparisons, ALPHA, POWER)
    return Inference(
        metric="error" if options.own_metric else _METRICS[options.metric],
        name=options.metric if options.own_metric else "",
        margin=parse_margin(options.margin),
        pairs=options.pairs,
        looks=options.looks,
        alpha=ALPHA,
        power=POWER,
        comparisons=comparisons,
        detectable=design.detectable,
        floor=design.floor,
    )


def _default_epochs(train_rows: int) -> int:
    # About 500 steps, more where they are cheap: with early stopping few runs take them all.
    return min(max(round(500 * BATCH / train_rows), 10), 200)


_TOLD = ("notes", "fingerprint", "estimate")


def fingerprinted(plan: Plan) -> Plan:
    """The plan with the hash under which it is registered."""
    decided = {name: value for name, value in asdict(plan).items() if name not in _TOLD}
    digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]
    return replace(plan, fingerprint=digest)


def question(plan: Plan) -> str:
    """Hash of what is asked about: these data and this model, however it is trained and judged."""
    model = plan.model.digest[:_DIGITS]  # pieces of the user's own follow: another metric is another plan
    return hashlib.sha256(f"{plan.data.digest} {model}".encode()).hexdigest()[:16]
