"""The id of a run: a hash of exactly what its result depends on, so that any study that needs it finds it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from dropkit.experiments.dataset import Split
from dropkit.experiments.randomness import pair_seeds
from dropkit.experiments.versions import of_runs
from dropkit.report.plan import Arm, Job, Plan

__all__ = ["RECIPE", "make_job"]

RECIPE = 3
"""The version of how a run is trained and scored: raise it whenever the same inputs give other scores."""

_NAMES = frozenset(("name", "family"))


def make_job(plan: Plan, arm: Arm, pair: int, split: Split, *, until: int = 0, keep: bool = False) -> Job:
    """A run to be done, named by a hash of data, model, rows, seeds, arm and training.

    Args:
        plan: says how; candidates, number of pairs, names and tests in it do not matter.
        arm: its settings count, its names do not.
        pair: its seeds count, 0 or more.
        split: the row numbers of the parts.
        until: the epoch after which it pauses; 0 for its end.
        keep: whether its weights are kept.

    Returns:
        Job: its `id` has 32 hexadecimal digits; its `trial` is that of the run without the pause.
    """
    depends = {
        "recipe": RECIPE,
        "data": [plan.data.digest, plan.data.task, plan.data.n_outputs, plan.data.class_weight],
        "model": plan.model.digest,
        "training": asdict(plan.training),
        "metrics": plan.metrics,
        "versions": of_runs(plan.versions),
        "arm": {name: value for name, value in asdict(arm).items() if name not in _NAMES},
        "sites": plan.model.sites.get(arm.method, ()) if arm.rate else (),
        "seeds": pair_seeds(plan.seed, pair)[1:],
        "rows": {field.name: _digest(getattr(split, field.name)) for field in fields(split)},
    }
    trial = _hash(depends)
    return Job(_hash([trial, until]) if until else trial, arm, pair, until, keep, trial)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _digest(rows: object) -> str:
    return hashlib.sha256(np.asarray(rows, dtype="<i8").tobytes()).hexdigest()
