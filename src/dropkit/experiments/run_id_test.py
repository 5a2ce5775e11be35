from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from dropkit.experiments import run_id as module
from dropkit.experiments.arms import NONE
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Split
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.run_id import run_id, run_ids
from dropkit.report.record import Arm, Plan

DROP = Arm("dropout 0.5", "dropout", rate=0.5)
SPLIT = Split(*(np.arange(start, start + 10) for start in (0, 10, 20)))

MATTERS: dict[str, Any] = {
    "data_digest": "0",
    "task": "regression",
    "input_shape": (4,),
    "n_outputs": 3,
    "model_digest": "0",
    "sites": {"dropout": ("0",)},
    "class_weight": "balanced",
    "epochs": 3,
    "batch": 7,
    "learning_rate": 0.5,
    "versions": {"torch": "0"},
}
APART: dict[str, Any] = {
    "data": "renamed.csv",
    "model": "moved/net.py:make",
    "metric": "nll",
    "unit": "",
    "guess_error": 0.1,
    "own_dropout": ("1 x Dropout",),
    "random_modes": ("training",),
    "notes": ("a note",),
    "fingerprint": "0",
    "arms": (NONE,),
    "pairs": 7,
    "alpha": 0.1,
    "power": 0.9,
    "comparisons": 9,
    "detectable": 9.0,
    "floor": 9.0,
    "margin": 0.1,
    "overlap": 0.5,
    "rows": 81,
    "train_rows": 41,
    "select_rows": 1,
    "test_rows": 1,
}
"""`seed` is neither: it counts by the seeds of the pair that follow from it."""


@pytest.fixture
def plan(arrays: Any) -> Plan:
    return make_plan(array_dataset(*arrays), ModelSource("mlp"), Options(arms=(NONE, DROP), epochs=2))


@pytest.mark.parametrize("name", MATTERS)
def test_what_a_run_depends_on_changes_its_id(plan: Plan, name: str) -> None:
    assert run_id(replace(plan, **{name: MATTERS[name]}), DROP, 0, SPLIT) != run_id(plan, DROP, 0, SPLIT)


@pytest.mark.parametrize("name", APART)
def test_what_a_run_does_not_depend_on_leaves_its_id(plan: Plan, name: str) -> None:
    changed = replace(plan, **{name: APART[name]})
    assert changed != plan
    assert run_id(changed, DROP, 0, SPLIT) == run_id(plan, DROP, 0, SPLIT)


def test_places_of_other_methods_leave_the_id(plan: Plan) -> None:
    more = replace(plan, sites=plan.sites | {"drop_path": ("2",)})
    assert run_id(more, DROP, 0, SPLIT) == run_id(plan, DROP, 0, SPLIT)


def test_every_field_of_a_plan_is_decided_upon() -> None:
    # A new field counts until it is set apart in run_id.py, which costs old runs; say here which it is.
    assert {field.name for field in fields(Plan)} == {*MATTERS, *APART, "seed"}


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 0.4},
        {"input_rate": 0.1},
        {"method": "gaussian_dropout"},
        {"weight_decay": 0.1},
        {"keeps_own": True},
    ],
)
def test_a_setting_changes_the_id(plan: Plan, changes: dict[str, Any]) -> None:
    assert run_id(plan, replace(DROP, **changes), 0, SPLIT) != run_id(plan, DROP, 0, SPLIT)


def test_names_of_an_arm_do_not_change_the_id(plan: Plan) -> None:
    renamed = replace(DROP, name="half", family="hidden")
    assert run_id(plan, renamed, 0, SPLIT) == run_id(plan, DROP, 0, SPLIT)


def test_seed_and_pair_change_the_id(plan: Plan) -> None:
    made = {run_id(replace(plan, seed=seed), DROP, pair, SPLIT) for seed in (0, 1) for pair in (0, 1)}
    assert len(made) == 4


@pytest.mark.parametrize("part", ["train", "select", "test"])
def test_any_row_of_any_part_changes_the_id(plan: Plan, part: str) -> None:
    rows = getattr(SPLIT, part)
    for other in (rows[::-1], rows[:-1], np.append(rows[:-1], 77)):
        assert run_id(plan, DROP, 0, replace(SPLIT, **{part: other})) != run_id(plan, DROP, 0, SPLIT)


def test_the_way_a_run_is_trained_changes_the_id(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run_id(plan, DROP, 0, SPLIT)
    monkeypatch.setattr(module, "RECIPE", module.RECIPE + 1)
    assert run_id(plan, DROP, 0, SPLIT) != before


def test_ids_go_pair_by_pair_and_survive_more_arms_and_pairs(plan: Plan) -> None:
    more = replace(plan, pairs=3, arms=(*plan.arms, replace(DROP, name="dropout 0.1", rate=0.1)))
    few, many = run_ids(replace(plan, pairs=2), [SPLIT] * 2), run_ids(more, [SPLIT] * 3)
    assert list(few) == [("none", 0), ("dropout 0.5", 0), ("none", 1), ("dropout 0.5", 1)]
    assert few.items() <= many.items()
    assert len(set(many.values())) == 9
