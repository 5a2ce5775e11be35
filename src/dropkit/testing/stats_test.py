import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from dropkit.core.check import DropkitError
from dropkit.testing import stats
from dropkit.testing.registry import FALSE_ALARM, RUNS, share

RNG = np.random.default_rng(20_141)


def test_all_runs_together_share_one_false_alarm_rate() -> None:
    assert sum(share(test) * runs for test, runs in RUNS.items()) == pytest.approx(FALSE_ALARM, rel=1e-12)
    with pytest.raises(DropkitError, match=r"did you mean 'contract.rate'"):
        share("contract.rates")


@pytest.mark.parametrize("draws", [1, 7, 40])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("alpha", [0.3, 0.01])
def test_the_binomial_test_alarms_at_most_as_often_as_it_says(draws: int, rate: float, alpha: float) -> None:
    law = scipy.stats.binom.pmf(np.arange(draws + 1), draws, rate)
    alarms = [stats.binomial(hits, draws, rate) < alpha for hits in range(draws + 1)]
    assert law[alarms].sum() <= alpha


def test_the_binomial_test_agrees_with_scipy_at_rate_one_half() -> None:
    for hits in range(31):
        assert stats.binomial(hits, 30, 0.5) == pytest.approx(scipy.stats.binomtest(hits, 30).pvalue)


def test_many_comparisons_cost_their_number() -> None:
    one = stats.binomial(20, 100, 0.5)
    assert stats.binomial([20, 50, 50, 50], 100, 0.5) == pytest.approx(4 * one)
    assert stats.joint([]) == 1.0


@pytest.mark.parametrize("n", [1, 2, 23, 512])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.93, 1.0])
def test_the_central_half_has_the_probability_that_is_said(n: int, rate: float) -> None:
    law = scipy.stats.binom(n, rate)
    inside = [stats.central(np.array([count]), n, rate)[0] for count in range(n + 1)]
    _, of, expected = stats.central(np.zeros((2, 3)), n, rate)
    assert of == 6
    assert expected == pytest.approx(6 * law.pmf(np.arange(n + 1)) @ inside)
    assert law.cdf(max(np.flatnonzero(inside))) >= 0.75
    assert law.cdf(min(np.flatnonzero(inside)) - 1) < 0.25


@pytest.mark.parametrize("counts", [np.full(200, 250), np.tile([225, 275], 100)])
def test_counts_that_spread_too_little_or_too_much_are_seen(counts: Any) -> None:
    inside, of, expected = stats.central(counts, 500, 0.5)
    assert stats.binomial(inside, of, expected / of) < share("contract.counts")


@pytest.mark.parametrize(("rate", "actual"), [(0.5, 0.6), (0.1, 0.05), (0.3, 0.9)])
def test_power_never_says_more_than_enumeration(rate: float, actual: float) -> None:
    draws, alpha = 60, 0.01
    alarms = [stats.binomial(hits, draws, rate) < alpha for hits in range(draws + 1)]
    exact = scipy.stats.binom.pmf(np.arange(draws + 1), draws, actual)[alarms].sum()
    said = stats.power(rate, actual, draws, alpha)
    largest_step = scipy.stats.binom.pmf(np.arange(draws + 1), draws, actual).max()
    assert exact - 2 * largest_step <= said <= exact + 1e-12


@pytest.mark.parametrize(("rate", "groups"), [(0.5, 58_000), (0.1, 521_000)])
def test_three_percent_needs_this_many_groups(rate: float, groups: int) -> None:
    needed = stats.groups_needed(rate, 0.03, FALSE_ALARM, 0.99)
    assert round(needed, -3) == groups
    # The plan takes the variance of the declared rate: true on average over an error up and an error down.
    both = [stats.power(rate, rate * (1 + error), needed, FALSE_ALARM) for error in (0.03, -0.03)]
    assert sum(both) / 2 == pytest.approx(0.99, abs=0.001)
    tenth = [stats.power(rate, rate * (1 + error), needed // 10, FALSE_ALARM) for error in (0.03, -0.03)]
    assert max(tenth) < 0.01


CASES = list(itertools.product([5, 66, 131], [1, 2, 3, 7, 64], [1, 2, 3, 5]))


@pytest.mark.parametrize(("length", "lag", "span"), [case for case in CASES if case[2] <= case[1] < case[0]])
def test_pairs_share_no_coin_and_keep_their_distance(length: int, lag: int, span: int) -> None:
    first = stats._starts(length - lag, lag, span)
    used = np.sort(np.concatenate([first, first + lag]))
    assert len(first) > 0
    assert used[-1] < length
    assert np.diff(used).min() >= span


def test_pairs_cover_every_lag_of_every_axis() -> None:
    found = list(stats.pairs(RNG.random((70, 3, 66)) < 0.5, spans=(1, 1, 4)))
    assert {(pair.axis, pair.lag) for pair in found} == {
        *((0, lag) for lag in range(1, 65)),
        (1, 1),
        (1, 2),
        *((2, lag) for lag in range(4, 65)),
    }
    with pytest.raises(DropkitError, match="spans"):
        list(stats.pairs(np.zeros((2, 2), bool), spans=(1,)))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_agreement_is_counted_right(rate: float) -> None:
    coins = RNG.random((66, 40)) < rate
    for pair in stats.pairs(coins):
        lines = np.moveaxis(coins, pair.axis, 0)
        starts = [i for i in range(len(lines) - pair.lag) if i % (2 * pair.lag) < pair.lag]
        agreeing = sum(int((lines[i] == lines[i + pair.lag]).sum()) for i in starts)
        assert (pair.agreeing, pair.total) == (agreeing, len(starts) * lines.shape[1])
    assert stats.agreement(coins, rate) > 1e-6


@pytest.mark.parametrize("lag", [1, 17, 64])
@pytest.mark.parametrize("axis", [0, 1])
def test_agreement_sees_one_pair_of_axes_that_share(lag: int, axis: int) -> None:
    coins = RNG.random((70, 70)) < 0.5
    lines = np.moveaxis(coins, axis, 0)
    lines[lag:] = np.where(np.arange(70 - lag)[:, None] % 2 == 0, lines[:-lag], lines[lag:])
    assert stats.agreement(coins, 0.5) < share("contract.independence")


@pytest.mark.parametrize("length", [64, 128])
def test_a_stretch_that_comes_twice_is_seen_at_any_offset(length: int) -> None:
    coins = RNG.random((4, 1000)) < 0.5
    assert stats.repeats(coins, length) == 1.0
    coins[3, 801 : 801 + length] = coins[1, 7 : 7 + length]
    assert stats.repeats(coins, length) < share("contract.independence")
    coins[3, 833] ^= True
    assert stats.repeats(coins, length) == 1.0
    assert stats.repeats(coins[:, : length - 1], length) == 1.0


def test_two_masks_that_are_equal_are_seen_wherever_they_stand() -> None:
    masks = RNG.random((300, 67)) < 0.5
    assert stats.collisions(masks) == 1.0
    masks[211] = masks[4]
    assert stats.collisions(masks) == math.comb(300, 2) * 2.0**-67
    masks[211, 66] ^= True
    assert stats.collisions(masks) == 1.0


def test_the_chance_of_two_equal_masks_is_that_of_their_rate() -> None:
    masks = np.zeros((2, 3), bool)
    assert stats.collisions(masks, 0.1) == pytest.approx(0.82**3)
    assert stats.collisions(np.zeros((100, 3), bool), 0.1) == 1.0


def test_a_stretch_has_one_of_two_lengths() -> None:
    with pytest.raises(DropkitError, match="length is 64 or 128, got 65"):
        stats.repeats(np.zeros((1, 70), bool), 65)


def normal(m: Any) -> Any:
    return scipy.stats.norm.cdf(m, 1, 2)


def test_a_law_is_judged_as_scipy_judges_it() -> None:
    values = 1 + 2 * RNG.standard_normal(500)
    assert stats.distribution(values, normal) == pytest.approx(scipy.stats.ks_1samp(values, normal).pvalue)


@pytest.mark.parametrize(
    "change", [lambda m: 1 + 1.03**0.5 * (m - 1), lambda m: m + 0.03, lambda m: 1 + 0.97 * (m - 1)]
)
def test_scores_see_three_percent_of_the_moments(change: Any) -> None:
    values = 1 + 2 * RNG.standard_normal(1_000_000)
    assert stats.scores(values, normal) > 1e-6
    assert stats.scores(change(values), normal) < share("contract.moments")


def test_scores_refuse_what_lies_outside_of_the_support() -> None:
    assert stats.scores(np.array([0.5, 2.0]), lambda m: np.clip(m, 0, 1)) == 0.0


def test_scores_are_uniform_under_the_law() -> None:
    # 400 p-values against their own law, by the registered bound: the test of the test.
    p = [stats.scores(1 + 2 * RNG.standard_normal(50), normal) for _ in range(400)]
    alarms = sum(value < 0.1 for value in p)
    assert scipy.stats.binom.sf(alarms - 1, 400, 0.1) >= share("contract.moments")
