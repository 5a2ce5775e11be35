import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dropkit.experiments.dataset import Dataset, Split
from dropkit.experiments.randomness import pair_seeds
from dropkit.experiments.task import Task, check_epochs, epochs_of, member_seeds, share_of
from dropkit.report.plan import Arm


@pytest.mark.parametrize(
    ("share", "members", "epochs"),
    [(1.0, 1, 30), (0.5, 1, 45), (0.25, 1, 90), (1.0, 5, 6), (1.0, 100, 1), (0.5, 3, 15)],
)
def test_all_arms_take_about_as_many_steps(
    data: Dataset, make_task: Callable[..., Task], share: float, members: int, epochs: int
) -> None:
    plan = make_task(data, Arm("none", "none"), epochs=30).plan  # 40 rows in batches of 16
    assert epochs_of(plan, Arm("a", "a", share=share, members=members)) == epochs


@pytest.mark.parametrize("epochs", [1, 2, 7, 100])
@pytest.mark.parametrize("checks", [1, 2, 5, 20])
def test_checks_are_as_many_as_planned_and_end_with_the_last_epoch(epochs: int, checks: int) -> None:
    found = check_epochs(epochs, checks)
    assert len(found) == min(epochs, checks)
    assert found[-1] == epochs
    assert checks == 1 or found[0] == 1
    gaps = np.diff(found)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_shares_are_nested_in_an_order_of_the_seed() -> None:
    rows = np.arange(100) + 1000
    shares = [set(share_of(Split(rows, rows, rows), part, seed=3).train) for part in (0.1, 0.25, 0.5, 1.0)]
    assert [len(each) for each in shares] == [10, 25, 50, 100]
    assert all(one < other for one, other in itertools.pairwise(shares))
    other = share_of(Split(rows, rows, rows), 0.5, seed=4)
    assert set(other.train) != shares[2]
    assert np.array_equal(other.stop, rows)


def test_networks_of_a_pair_draw_from_streams_of_their_own(
    data: Dataset, make_task: Callable[..., Task]
) -> None:
    plan = make_task(data, Arm("none", "none")).plan
    first = member_seeds(plan, 2)
    assert (first.init, first.order, first.noise) == pair_seeds(plan.seed, 2)[1:]
    seeds = [member_seeds(replace(plan, seed=s), p, m) for s in (0, 1) for p in (0, 1) for m in (0, 1, 2)]
    assert len({value for each in seeds for value in vars(each).values()}) == 3 * len(seeds)
