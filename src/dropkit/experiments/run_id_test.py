from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from dropkit.experiments import run_id as module
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Split
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.run_id import make_job
from dropkit.report.messages import Note
from dropkit.report.plan import Arm, Plan

DROP = Arm("dropout 0.5", "dropout", rate=0.5)
SPLIT = Split(*(np.arange(start, start + 10) for start in (0, 10, 20)))

MATTERS: dict[str, Any] = {
    "data.digest": "0",
    "data.task": "regression",
    "data.n_outputs": 3,
    "data.class_weight": "balanced",
    "model.digest": "0",
    "model.sites": {"dropout": ("0",)},
    "training.epochs": 3,
    "training.checks": 3,
    "training.patience": 3,
    "training.batch": 7,
    "training.learning_rate": 0.5,
    "tests.metric": "nll",
    "versions": {"torch": "0"},
}
APART: dict[str, Any] = {
    "data.name": "renamed.csv",
    "data.rows": 81,
    "data.guess_error": 0.1,
    "model.name": "moved/net.py:make",
    "model.own_dropout": ("1 x Dropout",),
    "model.random_modes": ("training",),
    "model.pieces": {"loss": "moved/own.py:loss"},
    "parts.train": 1,
    "parts.test": 1,
    "parts.overlap": 0.5,
    "parts.design": "seeds",
    "search.trials": 9,
    "tests.pairs": 7,
    "tests.margin": 0.1,
    "tests.alpha": 0.1,
    "tests.looks": 2,
    "notes": (Note("note.latin"),),
    "fingerprint": "0",
    "arms": (UNREGULARISED,),
}
"""`seed` is neither: it counts by the seeds of the pair that follow from it."""


def changed(plan: Plan, path: str, value: Any) -> Plan:
    name, _, inner = path.partition(".")
    made = replace(plan, **{name: replace(getattr(plan, name), **{inner: value}) if inner else value})
    assert made != plan
    return made


def name_of(plan: Plan, arm: Arm = DROP, pair: int = 0, split: Split = SPLIT) -> str:
    return make_job(plan, arm, pair, split).id


@pytest.fixture
def plan(arrays: Any) -> Plan:
    data = array_dataset(*arrays)
    return make_plan(data, ModelSource("mlp"), Options(arms=(UNREGULARISED, DROP), epochs=2))[0]


@pytest.mark.parametrize("path", MATTERS)
def test_what_a_run_depends_on_changes_its_id(plan: Plan, path: str) -> None:
    assert name_of(changed(plan, path, MATTERS[path])) != name_of(plan)


@pytest.mark.parametrize("path", APART)
def test_what_a_run_does_not_depend_on_leaves_its_id(plan: Plan, path: str) -> None:
    assert name_of(changed(plan, path, APART[path])) == name_of(plan)


def test_places_of_other_methods_leave_the_id(plan: Plan) -> None:
    more = changed(plan, "model.sites", plan.model.sites | {"drop_path": ("2",)})
    assert name_of(more) == name_of(plan)


SETTINGS: dict[str, Any] = {
    "method": "gaussian_dropout",
    "at": ("1",),
    "schedule": "early",
    "members": 2,
    "bagging": True,
    "keeps_own": True,
}


@pytest.mark.parametrize("name", [each.name for each in fields(Arm) if each.name not in ("name", "family")])
def test_every_setting_changes_the_id(plan: Plan, name: str) -> None:
    assert name_of(plan, replace(DROP, **{name: SETTINGS.get(name, 0.25)})) != name_of(plan)


def test_names_of_an_arm_do_not_change_the_id(plan: Plan) -> None:
    assert name_of(plan, replace(DROP, name="half", family="hidden")) == name_of(plan)


def test_seed_and_pair_change_the_id(plan: Plan) -> None:
    made = {name_of(replace(plan, seed=seed), DROP, pair) for seed in (0, 1) for pair in (0, 1)}
    assert len(made) == 4


@pytest.mark.parametrize("part", ["train", "stop", "select"])
def test_any_row_of_any_part_changes_the_id(plan: Plan, part: str) -> None:
    rows = getattr(SPLIT, part)
    for other in (rows[::-1], rows[:-1], np.append(rows[:-1], 77)):
        assert name_of(plan, split=replace(SPLIT, **{part: other})) != name_of(plan)


def test_the_way_a_run_is_trained_changes_the_id(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    before = name_of(plan)
    monkeypatch.setattr(module, "RECIPE", module.RECIPE + 1)
    assert name_of(plan) != before


def test_a_pause_has_an_id_of_its_own_and_the_trial_of_its_end(plan: Plan) -> None:
    end, pause, later = (make_job(plan, DROP, 0, SPLIT, until=until) for until in (0, 1, 2))
    assert len({end.id, pause.id, later.id}) == 3
    assert {end.trial, pause.trial, later.trial} == {end.id}


def test_keeping_weights_leaves_the_id(plan: Plan) -> None:
    assert make_job(plan, DROP, 0, SPLIT, keep=True).id == name_of(plan)


def test_the_version_of_what_proposes_settings_is_apart(plan: Plan) -> None:
    later = plan.versions | {"optuna": "0"}
    assert name_of(changed(plan, "versions", later)) == name_of(plan)
    assert name_of(changed(plan, "versions", later | {"scikit-learn": "0"})) != name_of(plan)
