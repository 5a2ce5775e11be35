import math

import numpy as np
import pytest
import scipy.stats

from dropkit import Blocks, Drop, KofN, Pattern
from dropkit.core.groups import Groups
from dropkit.testing import Declared, Shapes, shapes_for


@pytest.mark.parametrize(
    ("drop", "shape", "split", "spans"),
    [
        (Drop(0.5), (2, 3), (2, 3), (1, 1)),
        (Drop(0.5, "b ... -> b"), (2, 3, 4), (2, 3, 4), (1, 0, 0)),
        (Drop(0.5, "b (h 4) d -> h b"), (2, 8, 3), (2, 2, 4, 3), (1, 1, 0, 0)),
        (
            Drop(0.5, Blocks((2, 3), over="h w", pattern="b c h w -> b h w")),
            (1, 2, 9, 9),
            (1, 2, 9, 9),
            (1, 0, 2, 3),
        ),
        (Drop(None, KofN(2, over="t")), (5, 7), (5, 7), (1, 7)),
    ],
)
def test_spans_say_from_where_on_draws_are_independent(
    drop: Drop, shape: tuple[int, ...], split: tuple[int, ...], spans: tuple[int, ...]
) -> None:
    declared = Declared.of(drop, shape)
    assert (declared.split, declared.spans) == (split, spans)
    assert declared.per_group(np.zeros(shape)).shape == tuple(
        n for n, span in zip(split, spans, strict=True) if span
    )


@pytest.mark.parametrize(
    ("split", "spans", "draws"),
    [
        ((4, 5), (1, 1), 20),
        ((4, 5), (1, 0), 4),
        ((4, 5, 6), (1, 2, 3), 24),
        ((4, 7), (1, 7), 4),
        ((2,), (0,), 1),
    ],
)
def test_draws_that_are_independent_are_counted_and_cut_out(
    split: tuple[int, ...], spans: tuple[int, ...], draws: int
) -> None:
    declared = Declared(0.5, split, spans)
    groups = declared.per_group(np.arange(math.prod(split)))
    assert declared.draws == declared.thin(groups).size == draws
    assert declared.thin(np.stack([groups] * 3)).shape == (3, *declared.thin(groups).shape)


@pytest.mark.parametrize(
    ("groups", "shapes"),
    [
        (Pattern("... -> "), Shapes((2,), ())),
        (Pattern("b (h 4) -> b"), Shapes((512, 8), ((66, 8),))),
        (Pattern("b (h d) -> h", {"d": 3}), Shapes((2, 1536), ((2, 198),))),
        (Blocks(3, over="h w"), Shapes((512, 5, 5), ((66, 5, 5), (4, 66, 5), (4, 5, 66)))),
        (KofN(9, over="t"), Shapes((512, 11), ((66, 11), (4, 66)))),
    ],
)
def test_shapes_suit_the_groups(groups: Groups, shapes: Shapes) -> None:
    assert shapes_for(groups) == shapes
    for shape in (shapes.base, *shapes.long):
        groups.layout(shape)


def test_declared_laws_are_those_of_scipy() -> None:
    m = np.linspace(-1, 3, 41)
    gaussian, uniform = (Declared.of(Drop(0.2, noise=noise), (3,)).law for noise in ("gaussian", "uniform"))
    assert gaussian is not None
    assert uniform is not None
    np.testing.assert_allclose(gaussian(m), scipy.stats.norm.cdf(m, 1, 0.5), rtol=1e-12)
    half = 3**0.5 * 0.5
    np.testing.assert_allclose(uniform(m), scipy.stats.uniform.cdf(m, 1 - half, 2 * half), atol=1e-15)


def test_a_wrong_scale_does_not_pass_for_a_drop() -> None:
    declared = Declared.of(Drop(0.5), (4,))
    assert declared.coins(np.array([0.0, 2.0, 0.5, 1.0])).tolist() == [True, False, False, False]
    alpha = Declared.of(Drop(0.5, noise="alpha"), (2,))
    dropped, kept = alpha.fill, alpha.scale + alpha.shift
    assert alpha.coins(np.array([dropped * 1.001, kept * 0.999])).tolist() == [True, False]
