"""The search: in each family, rounds of trials on the select parts of splits of their own; the best is kept.

A round is asked for as a whole and told as a whole, in one order, so that any number of workers gives the
same trials. Optuna is the sampler; the runs are kept in our own store.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from scipy import stats

from dropkit.experiments.families import Choice, Range, Space
from dropkit.experiments.task import epochs_of
from dropkit.report.plan import Arm, Plan
from dropkit.report.record import Family, Run, Scores

__all__ = ["NUISANCE", "FamilySearch", "Trial", "distributions", "luck", "rounds"]

_LEARNING_RATES = 10.0  # times and part of the plan's that is searched
NUISANCE = {"weight_decay": Range(1e-4, 0.3, log=True)}
"""What every family searches beside its own settings and its learning rate."""

_SHARED = ((1.0, 1e-2), (3.0, 1e-1), (9.0, 1e-2), (1 / 3, 1e-1))
"""Points, as times the plan's learning rate and a weight decay, at which every family begins."""


def distributions(space: Space, learning_rate: float) -> dict[str, BaseDistribution]:
    """A family's space for `study.ask` of an Optuna study of yours, or for Ray's `OptunaSearch(space=...)`.

    It holds the learning rate and the weight decay too; `space.arm` makes an arm of what was proposed.

    Args:
        space: the family.
        learning_rate: a tenth of it to ten times it is searched.

    >>> from dropkit.experiments.families import Range, Space
    >>> [*distributions(Space("dropout", {"rate": Range(0.05, 0.7)}), 1e-3)]
    ['learning_rate', 'weight_decay', 'rate']
    """
    rates = Range(learning_rate / _LEARNING_RATES, learning_rate * _LEARNING_RATES, log=True)
    searched = {"learning_rate": rates, **NUISANCE, **space.searched}
    return {name: _distribution(each) for name, each in searched.items()}


def _distribution(each: Range | Choice) -> BaseDistribution:
    if isinstance(each, Choice):
        return CategoricalDistribution(each.options)
    return FloatDistribution(each.low, each.high, log=each.log)


@dataclass
class Trial:
    """One setting that is tried, and what came of it."""

    arm: Arm
    asked: optuna.Trial
    half: float | None = None
    scores: Scores | None = None
    pruned: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is to be gone on with: training may have ended by itself before its half."""
        return not self.pruned and self.scores is None


@dataclass
class FamilySearch:
    """The trials of one family.

    Args:
        space: what is searched.
        plan: metric, learning rate and seed.
    """

    space: Space
    plan: Plan
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # A family's trials are its own: they do not depend on which other families there are.
        name = zlib.crc32(self.space.name.encode())
        sampler = optuna.samplers.TPESampler(
            seed=(self.plan.seed * 2654435761 + name) % 2**32, n_startup_trials=len(_SHARED) + 2
        )
        self._study = optuna.create_study(sampler=sampler)
        base = self.plan.training.learning_rate
        for times, decay in _SHARED:
            self._study.enqueue_trial({"learning_rate": times * base, "weight_decay": decay})

    def ask(self, count: int) -> list[Trial]:
        """The next trials, to be told of together."""
        searched = distributions(self.space, self.plan.training.learning_rate)
        fresh = []
        for number in range(len(self.trials) + 1, len(self.trials) + count + 1):
            asked = self._study.ask(searched)
            fresh.append(Trial(self.space.arm(f"{self.space.name} {number}", asked.params), asked))
        self.trials += fresh
        return fresh

    def tell(self, trials: Iterable[Trial]) -> None:
        """What came of them, in their order."""
        metric = self.plan.metrics[0]
        for trial in trials:
            if trial.scores is not None:
                self._study.tell(trial.asked, getattr(trial.scores, metric))
            elif trial.pruned and trial.half is not None:
                trial.asked.report(trial.half, 1)
                self._study.tell(trial.asked, state=TrialState.PRUNED)
            else:
                self._study.tell(trial.asked, state=TrialState.FAIL)

    def best(self) -> Trial | None:
        """The trial with the best select scores, the first of equals."""
        done = [trial for trial in self.trials if trial.scores is not None]
        return min(done, key=self._order, default=None)

    def _order(self, trial: Trial) -> list[float]:
        return [getattr(trial.scores, metric) for metric in self.plan.metrics]

    def found(self) -> Family:
        """The record of the family: its best arm goes by the family's name."""
        best = self.best()
        return Family(
            name=self.space.name,
            best=None if best is None else replace(best.arm, name=self.space.name),
            trials=len(self.trials),
            pruned=sum(trial.pruned for trial in self.trials),
            failed=sum(trial.scores is None and not trial.pruned for trial in self.trials),
            select=None if best is None else best.scores,
            optimism=None,
            at_edge=() if best is None else self.space.at_edge(best.asked.params),
        )


Wanted = tuple[Arm, int]
"""An arm and the epoch after which it pauses, 0 for its end."""
Results = Mapping[str, Sequence[Run]]


def rounds(searches: Sequence[FamilySearch]) -> Generator[list[Wanted], Results]:
    """Drive searches side by side: yields arms to be run on every screening split, and is sent their runs.

    With pruning a round has two steps: all trials to half of their epochs, then those that were not worse
    than half of their family's round.
    """
    plan = searches[0].plan
    done = 0
    while done < plan.search.trials:
        count = min(plan.search.round, plan.search.trials - done)
        batches = [search.ask(count) for search in searches]
        if plan.search.prune:
            results = yield [(trial.arm, _half(plan, trial.arm)) for batch in batches for trial in batch]
            for batch in batches:
                _score(batch, results)
                _prune(batch, results, plan)
        results = yield [(trial.arm, 0) for batch in batches for trial in batch if trial.is_open]
        for search, batch in zip(searches, batches, strict=True):
            _score([trial for trial in batch if trial.is_open], results)
            search.tell(batch)
        done += count


def _half(plan: Plan, arm: Arm) -> int:
    return math.ceil(epochs_of(plan, arm) / 2)


def _prune(batch: Sequence[Trial], results: Results, plan: Plan) -> None:
    for trial in batch:
        trial.half = _mean(results.get(trial.arm.name, ()), lambda run: _best_stop(run, plan))
    known = sorted(trial.half for trial in batch if trial.half is not None)
    if len(known) < 2:
        return
    line = known[math.ceil(len(known) / 2) - 1]
    for trial in batch:
        trial.pruned = trial.scores is None and trial.half is not None and trial.half > line


def _best_stop(run: Run, plan: Plan) -> float | None:
    scores = [getattr(point.stop, plan.metrics[0]) for point in run.curve]
    return None if run.failure or not scores else min(scores)


def _score(batch: Sequence[Trial], results: Results) -> None:
    for trial in batch:
        runs = results.get(trial.arm.name, ())
        error = _mean(runs, lambda run: None if run.select is None else run.select.error)
        nll = _mean(runs, lambda run: None if run.select is None else run.select.nll)
        trial.scores = None if error is None or nll is None else Scores(error, nll)


def _mean(runs: Sequence[Run], of: Callable[[Run], float | None]) -> float | None:
    values = [of(run) for run in runs]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def luck(trials: int) -> float:
    """The expected excess of the best of so many equal trials, in standard deviations (Blom, 1958).

    >>> round(luck(20), 2), luck(1)
    (1.87, 0.0)
    """
    return float(stats.norm.ppf((trials - 0.375) / (trials + 0.25))) if trials > 1 else 0.0
