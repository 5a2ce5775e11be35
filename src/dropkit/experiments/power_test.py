import dataclasses
from typing import Any

import numpy as np
import pytest

from dropkit.experiments.decision import decide
from dropkit.experiments.inference import paired_test
from dropkit.experiments.power import Design
from dropkit.testing.registry import share
from dropkit.testing.stats import binomial

STUDIES, ALPHA = 1500, 0.05


def studies(pairs: int, overlap: float, effect: float) -> Any:
    """Differences of pairs that share rows, in units of their own spread, around a true mean."""
    rng = np.random.default_rng(2)
    shared = rng.normal(size=(STUDIES, 1)) * np.sqrt(overlap)
    return effect + shared + rng.normal(size=(STUDIES, pairs))


@pytest.mark.parametrize(("pairs", "overlap", "comparisons"), [(10, 0.0, 1), (10, 0.2, 8), (6, 0.0, 4)])
def test_the_detectable_effect_is_found_four_times_in_five(
    pairs: int, overlap: float, comparisons: int
) -> None:
    design = Design(pairs, overlap, comparisons)
    d = studies(pairs, overlap, design.detectable)
    found = sum(paired_test(row, overlap).p < ALPHA / comparisons for row in d)
    assert binomial(found, STUDIES, 0.8) > share("study")


def test_a_gain_is_ruled_out_as_often_as_is_said() -> None:
    design = Design(10, overlap=0.2)
    outcomes = decide(studies(10, 0.2, 0.5)[:, None, :], [1.5], 0.2).p_no_better < ALPHA
    assert binomial(int(outcomes.sum()), STUDIES, design.rules_out(1.5, 0.5)) > share("study")


def test_there_is_a_floor_only_where_pairs_share_rows() -> None:
    many = Design(100_000, overlap=0.2, comparisons=8)
    assert many.detectable == pytest.approx(many.floor, rel=1e-3)
    assert Design(10, comparisons=8).floor == 0


@pytest.mark.parametrize(("effect", "margin"), [(0.5, None), (-0.5, None), (0.0, 0.5), (0.2, 0.4)])
def test_the_pairs_that_decide_are_the_fewest_that_have_the_power(
    effect: float, margin: float | None
) -> None:
    design = Design(10, comparisons=4)
    pairs = design.pairs_to_decide(effect, margin)
    assert pairs is not None

    def decides(count: int) -> bool:
        other = dataclasses.replace(design, pairs=count)
        return max(other.finds(effect), other.rules_out(margin, effect) if margin else 0.0) >= 0.8

    assert [decides(pairs - 1), decides(pairs)] == [False, True]


def test_no_number_of_pairs_decides_below_the_floor_or_beyond_the_room() -> None:
    shared = Design(10, overlap=0.2)
    assert shared.pairs_to_decide(0.99 * shared.floor) is None
    assert shared.pairs_to_decide(1.1 * shared.floor) is not None
    assert Design(10).pairs_to_decide(0.5, most=33) is None
    assert Design(10).pairs_to_decide(0.5, most=34) == 34


def test_equal_arms_are_decided_by_a_margin_alone() -> None:
    assert Design(10).pairs_to_decide(0.0) is None
    assert Design(10).pairs_to_decide(0.0, margin=0.5) == 27
