import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.changes import changes
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan, question
from dropkit.experiments.recipe import Recipe
from dropkit.report.messages import Note
from dropkit.report.plan import Plan


@pytest.fixture
def plan(arrays: Any) -> Plan:
    return make_plan(array_dataset(*arrays), ModelSource("mlp"), Options())[0]


def test_the_same_plan_has_no_changes(plan: Plan) -> None:
    assert changes(json.dumps(asdict(plan)), plan) == ()


def test_what_was_decided_later_is_named_with_before_and_now(plan: Plan) -> None:
    first = json.dumps(asdict(plan))
    later = replace(plan, seed=5, tests=replace(plan.tests, pairs=12, margin=None), notes=(Note("new"),))
    assert changes(first, later) == ("tests.margin: 0.005 -> null", "tests.pairs: 10 -> 12", "seed: 0 -> 5")


def test_another_metric_of_ones_own_is_a_change_of_the_same_question(arrays: Any) -> None:
    def plan_of(metric: Any) -> Plan:
        options = Options(metric="mine", own_metric=True)
        return make_plan(array_dataset(*arrays), ModelSource("mlp"), options, Recipe(metric=metric))[0]

    first, later = plan_of(lambda y, outputs: 0.0), plan_of(lambda y, outputs: 1.0 + len(y))
    other = replace(first, model=replace(first.model, digest="0" * 32))
    assert question(first) == question(later) != question(other)
    (said,) = changes(json.dumps(asdict(first)), later)
    assert said.startswith("model.digest: ")


def test_numbers_are_told_in_four_figures(plan: Plan) -> None:
    later = replace(plan, tests=replace(plan.tests, detectable=2.71828182))
    (said,) = changes(json.dumps(asdict(plan)), later)
    assert said.endswith(" -> 2.718")


def test_long_values_are_cut(plan: Plan) -> None:
    later = replace(plan, search=replace(plan.search, families=tuple(f"family {at}" for at in range(30))))
    (said,) = changes(json.dumps(asdict(plan)), later)
    assert said.startswith("search.families: [")
    assert len(said) < 110


def test_a_space_that_was_changed_is_one_entry(plan: Plan) -> None:
    (said,) = changes(json.dumps(asdict(plan)), replace(plan, search=replace(plan.search, space={})))
    assert said.startswith("search.space: {")
    assert said.endswith("... -> {}")
