import math
from typing import Any

import numpy as np
import pytest

from dropkit.core import rate as rates
from dropkit.core.address import Words
from dropkit.core.drop import Drop
from dropkit.core.groups import Draws, Groups
from dropkit.core.reference import apply, mask
from dropkit.methods.drop_block import drop_block, drop_block_3d

NEVER, ALWAYS = 2**32 - 1, 0


class Chosen(Draws):
    """Draws that were not drawn."""

    def __init__(self, groups: Groups, shape: tuple[int, ...], u: np.ndarray) -> None:
        super().__init__(np, groups.layout(shape), Words(0, 0, 0))
        self.u = u


def outcomes(height: int, width: int, sides: tuple[int, int], published: bool = False) -> np.ndarray:
    """What every pattern of seeds on a tiny map drops, pattern by pattern: nothing is sampled."""
    groups = drop_block(0.5, sides, published=published).groups
    seeds = patterns(height, width, sides)
    u = np.where(seeds, ALWAYS, NEVER)[:, None]
    return np.array(groups.decide(Chosen(groups, (len(seeds), 1, height, width), u), 0.5))[:, 0]


def patterns(height: int, width: int, sides: tuple[int, int]) -> np.ndarray:
    """Every pattern of seeds: the bits of every whole number."""
    shape = (height + sides[0] - 1, width + sides[1] - 1)
    total = shape[0] * shape[1]
    return (np.arange(2**total)[:, None] >> np.arange(total) & 1).astype(bool).reshape(-1, *shape)


def rate_by_place(height: int, width: int, sides: tuple[int, int], rate: float) -> np.ndarray:
    """The probability that each entry is dropped, summed over every pattern of seeds."""
    seed = rates.root(rate, sides[0] * sides[1], np)
    chances = np.where(patterns(height, width, sides), seed, 1 - seed).prod((1, 2))
    return np.asarray(np.tensordot(chances, outcomes(height, width, sides), 1))


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [
        pytest.param(3, 3, (2, 2), id="even block"),
        pytest.param(3, 2, (2, 3), id="block wider than the map"),
        pytest.param(1, 4, (3, 1), id="block taller than the map"),
        pytest.param(5, 1, (3, 1), id="odd block"),
    ],
)
def test_corner_edge_and_centre_are_dropped_at_the_written_rate(
    height: int, width: int, sides: tuple[int, int]
) -> None:
    assert rate_by_place(height, width, sides, 0.3) == pytest.approx(np.full((height, width), 0.3), rel=1e-12)


def seeds_over(drop: Drop, shape: tuple[int, ...], sides: tuple[int, ...]) -> np.ndarray:
    """How many places of a seed drop each entry: every seed falls alone, one array of the batch for each."""
    seeds = tuple(size + side - 1 for size, side in zip(shape, sides, strict=True))
    u = np.full((math.prod(seeds), 1, *seeds), NEVER)
    u.reshape(len(u), -1)[np.arange(len(u)), np.arange(len(u))] = ALWAYS
    gone = drop.groups.decide(Chosen(drop.groups, (len(u), 1, *shape), u), 0.5)
    return np.asarray(np.array(gone).sum((0, 1)))


MAPS = [
    pytest.param((14, 14), (7, 7), id="14 x 14, block 7"),
    pytest.param((7, 7), (7, 7), id="7 x 7, block 7"),
    pytest.param((28, 28), (7, 7), id="28 x 28, block 7"),
    pytest.param((7, 7), (3, 3), id="7 x 7, block 3"),
    pytest.param((14, 14), (4, 4), id="even block"),
    pytest.param((6, 6), (7, 7), id="block = height + 1"),
    pytest.param((3, 20), (5, 5), id="block taller than a long map"),
    pytest.param((20, 3), (5, 5), id="block wider than a tall map"),
    pytest.param((4, 5, 6), (2, 3, 4), id="three axes"),
    pytest.param((3, 3, 3), (4, 4, 4), id="three axes, even block, depth + 1"),
]


@pytest.mark.parametrize(("shape", "sides"), MAPS)
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.9])
def test_the_rate_that_is_asked_is_the_rate_of_every_entry(
    shape: tuple[int, ...], sides: tuple[int, ...], rate: float
) -> None:
    describe: Any = drop_block if len(shape) == 2 else drop_block_3d
    drop = describe(rate, sides)
    seed = rates.threshold(rates.root(rate, math.prod(sides), np), np) / 2**32
    happens = 1 - (1 - seed) ** seeds_over(drop, shape, sides)
    # A seed's rate is kept to 2**-33, and so many seeds reach an entry.
    assert happens == pytest.approx(np.full(shape, rate), abs=math.prod(sides) * 2.0**-33)


def decision(rate: float, side: int, shape: tuple[int, int], u: int, published: bool = False) -> np.ndarray:
    """What is dropped where every seed has drawn u."""
    groups = drop_block(rate, side, published=published).groups
    drawn = np.full((1, 1, shape[0] + side - 1, shape[1] + side - 1), u)
    return np.array(groups.decide(Chosen(groups, (1, 1, *shape), drawn), rate))


def test_a_seed_falls_at_the_closed_form_and_not_a_step_above() -> None:
    word = round((1 - 0.7 ** (1 / 9)) * 2**32)
    assert decision(0.3, 3, (5, 6), word - 1).all()
    assert not decision(0.3, 3, (5, 6), word).any()


def test_the_seed_rate_has_a_closed_form() -> None:
    assert rates.root(0.3, 49, np) == pytest.approx(1 - 0.7 ** (1 / 49), rel=1e-13)
    assert rates.root(1e-18, 49, np) == pytest.approx(1e-18 / 49, rel=1e-15)


def test_each_seed_drops_the_block_that_begins_at_it() -> None:
    blocks = {tuple(map(tuple, np.argwhere(gone))) for gone in outcomes(2, 2, (2, 2)) if gone.sum() == 2}
    assert ((0, 0), (0, 1)) in blocks
    assert ((0, 0), (1, 0)) in blocks


def test_published_seeds_lie_where_a_whole_block_fits() -> None:
    sizes = {int(gone.sum()) for gone in outcomes(2, 3, (2, 2), published=True)}
    assert sizes == {0, 4, 6}


def test_the_published_seed_rate_is_the_papers_gamma() -> None:
    height, width, side, rate = 7, 9, 3, 0.1
    gamma = rate * height * width / (side**2 * (height - side + 1) * (width - side + 1))
    word = rates.threshold(gamma, np)
    assert decision(rate, side, (height, width), word - 1, published=True).all()
    assert not decision(rate, side, (height, width), word, published=True).any()


@pytest.mark.parametrize("couple_channels", [False, True])
def test_published_blocks_divide_by_the_share_that_is_kept_in_the_whole_mask(couple_channels: bool) -> None:
    shape = (4, 3, 14, 14)
    drop = drop_block(0.3, 7, couple_channels, published=True)
    drawn = mask(1, shape, drop)
    assert drawn.mean() == pytest.approx(1, rel=1e-12)
    assert np.unique(drawn) == pytest.approx([0, drawn.size / (drawn != 0).sum()], rel=1e-12)
    x = np.random.default_rng(0).normal(size=shape)
    assert apply(x, drop, key=1) == pytest.approx(x * drawn, rel=1e-12)
    plain = drop_block(0.3, 7, couple_channels, "none", published=True)
    assert np.array_equal(mask(1, shape, plain), drawn != 0)


def test_channels_share_their_blocks_when_coupled() -> None:
    drawn = mask(1, (2, 3, 9, 9), drop_block(0.3, 3, couple_channels=True))
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :1], drawn.shape))
    alone = mask(1, (2, 3, 9, 9), drop_block(0.3, 3))
    assert not np.array_equal(alone[:, 0], alone[:, 1])


def test_blocks_of_one_entry_are_dropout() -> None:
    shape = (2, 3, 4, 5)
    entries = mask(1, shape, drop_block(0.4, 1))
    assert set(np.unique(entries)) == {0.0, 1 / 0.6}
