"""The id of a run: a hash of exactly what its result depends on, so that any study that needs it finds it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields

import numpy as np

from dropkit.experiments.dataset import Split
from dropkit.experiments.split import pair_seeds
from dropkit.report.record import Arm, Plan

__all__ = ["RECIPE", "run_id", "run_ids"]

RECIPE = 1
"""The version of how a run is trained and scored: raise it whenever the same inputs give other scores."""

# What a plan holds beside what one run depends on: names, figures for readers, how runs are compared, and
# what the rows and seeds of the pair say exactly. A field that is not listed here counts as one that matters.
_APART = frozenset(
    (
        *("data", "model", "notes", "fingerprint", "unit", "guess_error", "own_dropout", "random_modes"),
        *("metric", "alpha", "power", "comparisons", "detectable", "floor", "margin", "overlap"),
        *("rows", "train_rows", "select_rows", "test_rows", "arms", "pairs", "seed", "sites"),
    )
)
_NAMES = frozenset(("name", "family"))


def run_ids(plan: Plan, splits: list[Split]) -> dict[tuple[str, int], str]:
    """The id of every run of a plan by (name of the arm, pair), pair by pair.

    Whatever is finished when someone stops then makes complete pairs.
    """
    runs = [(arm, pair) for pair in range(plan.pairs) for arm in plan.arms]
    return {(arm.name, pair): run_id(plan, arm, pair, splits[pair]) for arm, pair in runs}


def run_id(plan: Plan, arm: Arm, pair: int, split: Split) -> str:
    """Hash of the data, the model, the rows, the seeds, the arm's settings and how it is trained.

    Args:
        plan: says how; candidates, number of pairs, names and tests in it do not matter.
        arm: its settings count, its name does not.
        pair: its seeds count, 0 or more.
        split: the row numbers of the parts.

    Returns:
        str: 32 hexadecimal digits.
    """
    depends = {
        "recipe": RECIPE,
        "plan": {name: value for name, value in asdict(plan).items() if name not in _APART},
        "arm": {name: value for name, value in asdict(arm).items() if name not in _NAMES},
        "sites": plan.sites.get(arm.method, ()),
        "seeds": pair_seeds(plan.seed, pair)[1:],
        "rows": {field.name: _digest(getattr(split, field.name)) for field in fields(split)},
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:32]


def _digest(rows: object) -> str:
    return hashlib.sha256(np.asarray(rows, dtype="<i8").tobytes()).hexdigest()
