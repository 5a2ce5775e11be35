"""The sealed part: opened once, at the end, for every network whose weights were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dropkit.core.check import DropkitError
from dropkit.experiments.bootstrap import interval
from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION, Dataset, Index, Rows, Split
from dropkit.experiments.models import ModelSource
from dropkit.experiments.recipe import Recipe
from dropkit.experiments.scoring import score_rows
from dropkit.experiments.store import Losses, Store
from dropkit.experiments.weights import predict, read_kept, weights_path
from dropkit.report.plan import NONE, Job, Plan
from dropkit.report.record import Calibration, Sealed

__all__ = ["Vault", "calibration", "sealed_scores"]

BINS = 10

ByArm = Mapping[str, Sequence[Losses]]
"""Losses of the sealed rows, `(3, rows)` for error, NLL and confidence, by arm and in the order of pairs."""


@dataclass(frozen=True)
class Vault:
    """The sealed rows, and what it takes to ask the networks about them.

    Args:
        plan: of the study.
        opened: the other rows, by which the sealed ones are encoded.
        sealed: the rows.
        splits: of the pairs.
        source: of the model.
        recipe: whose metric counts.
        store: where openings are counted and what was read is kept, so that it need not be read again.
        folder: where weights lie.
    """

    plan: Plan
    opened: Dataset
    sealed: Dataset
    splits: Mapping[int, Split]
    source: ModelSource
    recipe: Recipe
    store: Store
    folder: Path

    def read(self, jobs: Sequence[Job]) -> ByArm:
        """Losses of every arm on the sealed rows; opens them only for runs that were never asked."""
        known = self.store.losses(job.id for job in jobs)
        new = list({job.id: job for job in jobs if job.id not in known}.values())
        if new:
            self.store.note_opening(self.plan.fingerprint)
            fresh = self._ask(new)
            self.store.keep_losses(fresh)
            known |= fresh
        arms: dict[str, list[Losses]] = {}
        for job in sorted(jobs, key=lambda job: job.pair):
            arms.setdefault(job.arm.name, []).append(known[job.id])
        return arms

    def _ask(self, jobs: Sequence[Job]) -> dict[str, Losses]:
        found = {}
        for pair in sorted({job.pair for job in jobs}):
            x = self.opened.inputs.encoder(self.splits[pair].train)(self.sealed.inputs)
            for job in (each for each in jobs if each.pair == pair):
                found[job.id] = self._asked(job, x)
        return found

    def _asked(self, job: Job, x: Rows) -> Losses:
        try:
            return self._losses(job, x)
        except DropkitError:
            # Another study on the folder, which asked meanwhile, may have cleared the weights away.
            if known := self.store.losses([job.id]):
                return known[job.id]
            raise

    def _losses(self, job: Job, x: Rows) -> Losses:
        path, task, y = weights_path(self.folder, job), self.plan.data.task, self.sealed.y
        outputs = predict(self.plan, job.arm, self.source, path, x)
        target, metric = read_kept(path).target, self.recipe.piece("metric")
        errors, nlls = score_rows(task, outputs, y, target, metric)
        sure = outputs.double().softmax(1).amax(1).numpy() if task == CLASSIFICATION else np.zeros(len(y))
        return np.stack([errors, nlls, sure])


def sealed_scores(plan: Plan, arms: ByArm, groups: Index | None = None) -> tuple[Sealed, ...]:
    """Mean scores on the sealed rows, and differences from none with their intervals, by `groups` of rows.

    A metric of the user's that gives one number for all rows is the same for each, so that its interval is by
    runs alone.
    """
    losses = {name: np.stack(each, axis=1) for name, each in arms.items()}
    own = bool(plan.tests.name)
    found = []
    for at, metric in enumerate(("error", "nll")):
        root = metric == "error" and plan.data.task == REGRESSION and not own
        for name, each in losses.items():
            if not np.isnan(each[at]).any():  # as an earlier version kept a metric of all rows together
                found.append(_sealed(name, metric, each[at], losses[NONE][at], groups, root=root))
    return tuple(found)


def _sealed(
    name: str, metric: str, losses: Losses, none: Losses, groups: Index | None, *, root: bool
) -> Sealed:
    mean = float(np.sqrt(losses.mean()) if root else losses.mean())
    beside = (None, None, None) if name == NONE else interval(losses, none, groups=groups, root=root)
    return Sealed(name, metric, mean, *beside)


def calibration(plan: Plan, arms: ByArm, names: Sequence[str]) -> tuple[Calibration, ...]:
    """How far the highest probability of a class holds, over ten bins, where errors are counted."""
    if plan.data.task != CLASSIFICATION or plan.tests.name:
        return ()
    return tuple(_calibration(name, arms[name]) for name in dict.fromkeys(names) if name in arms)


def _calibration(name: str, losses: Sequence[Losses]) -> Calibration:
    wrong, confidence = (np.concatenate([each[at] for each in losses]) for at in (0, 2))
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = np.bincount(bins, minlength=BINS)
    held = rows > 0
    sure, right = (np.bincount(bins, each, BINS)[held] / rows[held] for each in (confidence, 1 - wrong))
    error = float((np.abs(sure - right) * rows[held]).sum() / rows.sum())
    return Calibration(name, error, _plain(sure), _plain(right), tuple(rows[held].tolist()))


def _plain(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())
