import itertools
import math

import numpy as np
import pytest

from dropkit import DropkitError
from dropkit.methods.masksembles import active_channels, covering_ways, masksembles, new_chances


def chance_of(family: tuple[frozenset[int], ...], channels: int, active: int) -> float:
    """The probability of a family of masks: of each count of new channels, and of which ones they are."""
    ways, covered, chance = covering_ways(channels, len(family), active), frozenset[int](), 1.0
    for i, kept in enumerate(family):
        uncovered, new = channels - len(covered), len(kept - covered)
        chance *= new_chances(channels, active, uncovered, ways[i + 1])[new]
        chance /= math.comb(uncovered, new) * math.comb(channels - uncovered, active - new)
        covered |= kept
    return chance


@pytest.mark.parametrize(("channels", "n", "active"), [(4, 3, 2), (4, 2, 3), (5, 3, 2), (3, 3, 1), (3, 1, 3)])
def test_every_family_that_leaves_no_channel_out_is_equally_likely(
    channels: int, n: int, active: int
) -> None:
    masks = [frozenset(each) for each in itertools.combinations(range(channels), active)]
    families = [
        family for family in itertools.product(masks, repeat=n) if len(frozenset().union(*family)) == channels
    ]
    chances = [chance_of(family, channels, active) for family in families]
    assert chances == pytest.approx([1 / len(families)] * len(families), rel=1e-12)
    assert math.exp(covering_ways(channels, n, active)[0, channels]) == pytest.approx(len(families))


@pytest.mark.parametrize(
    ("channels", "n", "scale"), [(1, 4, 2.0), (3, 2, 1.5), (7, 7, 5.0), (64, 4, 2.0), (9, 3, 9e9)]
)
@pytest.mark.parametrize("key", range(5))
def test_each_mask_has_m_channels_and_no_channel_is_left_out(
    channels: int, n: int, scale: float, key: int
) -> None:
    masks = masksembles(channels, n, scale, key)
    assert masks.shape == (n, channels)
    assert (masks.sum(1) == active_channels(channels, n, scale)).all()
    assert masks.any(0).all()


def test_m_is_that_of_the_paper() -> None:
    for active, n, scale in itertools.product((10, 24), (2, 4, 8), (2.0, 4.0)):
        expected = active * scale * (1 - (1 - 1 / scale) ** n)
        if expected == int(expected):
            assert active_channels(int(expected), n, scale) == active
    assert active_channels(64, 4, 2.0) == int(64 / (2 * (1 - 0.5**4)))


def test_scale_1_is_one_model_and_a_huge_scale_shares_nothing() -> None:
    assert masksembles(16, 4, 1.0).all()
    assert (masksembles(16, 4, 1e9).sum(0) == 1).all()


def test_the_key_is_the_ensemble() -> None:
    assert np.array_equal(masksembles(64, 4, 2.0, key=3), masksembles(64, 4, 2.0, key=3))
    assert not np.array_equal(masksembles(64, 4, 2.0, key=3), masksembles(64, 4, 2.0, key=4))
    assert len(np.unique(masksembles(64, 4, 2.0, key=3), axis=0)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "channels must be a whole number of at least 1, got 0"),
        ({"channels": 8, "n": 2.5}, "n must be a whole number of at least 1, got 2.5"),
        ({"channels": 8, "scale": 0.5}, r"scale must be a number in \[1, inf\), got 0.5"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        masksembles(**arguments)  # type: ignore[arg-type]  # wrong on purpose
