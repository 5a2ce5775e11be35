from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.bind import Shape, Window
from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks, KofN
from dropkit.core.key import Key
from dropkit.core.rate import Learned, PerAxis
from dropkit.core.reference import apply, entry_rate, mask, masks, normal, passes, transform
from dropkit.core.schedule import Linear

Array = np.ndarray[Any, Any]
SHAPE = (4, 6, 8, 9)
DROPS = [
    Drop(0.5),
    Drop(0.3, "b c ... -> b c"),
    Drop(0.3, "b c (h 4) w -> c h"),
    Drop(0.2, Blocks((3, 4), over="h w")),
    Drop(None, KofN(3, over="c", pattern="b c h w -> b c")),
    Drop(0.4, KofN(over="w")),
    Drop(PerAxis((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), over="c"), "b c h w -> b c"),
    Drop(0.5, scale="eval"),
    Drop(0.5, scale="none"),
    Drop(0.3, noise="alpha"),
    Drop(0.3, "b c h w -> b c", noise="alpha"),
    Drop(0.3, noise="gaussian"),
    Drop(PerAxis((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), over="c"), "b c h w -> b c", noise="gaussian"),
    Drop(0.3, "b ... -> b", noise="uniform"),
]


def ones(shape: Shape = SHAPE, dtype: Any = np.float64) -> Array:
    return np.ones(shape, dtype)


def some(shape: Shape = SHAPE, dtype: Any = np.float64) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


# --- the law y = m x + b


@pytest.mark.parametrize("drop", DROPS)
def test_the_mask_replays_the_factor_of_the_call(drop: Drop) -> None:
    x = some()
    b = apply(np.zeros(SHAPE), drop, key=7)
    np.testing.assert_allclose(apply(x, drop, key=7), mask(7, SHAPE, drop) * x + b, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("drop", DROPS)
def test_the_gradients_map_is_m_alone(drop: Drop) -> None:
    g = some()
    back = transform(g, drop, Key(7).words, entry_rate(drop, SHAPE), linear=True)
    np.testing.assert_allclose(back, mask(7, SHAPE, drop) * g, rtol=1e-15)


@pytest.mark.parametrize("drop", DROPS)
def test_the_same_key_the_same_mask_another_key_another(drop: Drop) -> None:
    first = mask(7, SHAPE, drop)
    np.testing.assert_array_equal(first, mask(Key(7), SHAPE, drop))
    for other in (Key(8), Key(7).fold("a"), Key(7).fold("a", 1)):
        assert (mask(other, SHAPE, drop) != first).any()


@pytest.mark.parametrize("drop", DROPS)
def test_monte_carlo_draws_as_training_does(drop: Drop) -> None:
    np.testing.assert_array_equal(apply(some(), drop, 7, "mc"), apply(some(), drop, 7, "train"))


def test_bernoulli_keeps_scales_and_drops() -> None:
    y = apply(some(), Drop(0.2), key=1)
    gone = y == 0
    assert 0 < gone.mean() < 1
    np.testing.assert_array_equal(y[~gone], (some() * (1 / 0.8))[~gone])


def test_alpha_sends_a_dropped_entry_to_the_floor_of_selu() -> None:
    drop = Drop(0.5, noise="alpha")
    gone = mask(7, SHAPE, drop) == 0
    y = apply(some(), drop, key=7)
    assert len(set(y[gone])) == 1
    assert y[gone][0] == pytest.approx(-0.7791939)


# --- rates


@pytest.mark.parametrize("noise", ["bernoulli", "alpha", "gaussian", "uniform"])
def test_rate_0_changes_nothing_and_rate_1_leaves_nothing(noise: str) -> None:
    x = some()
    np.testing.assert_array_equal(apply(x, Drop(0, noise=noise), key=1), x)
    x[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(apply(x, Drop(1, noise=noise), key=1), np.zeros(SHAPE))


def test_a_dropped_entry_is_replaced_not_multiplied() -> None:
    x = np.full((100,), np.nan)
    y = apply(x, Drop(0.5), key=1)
    np.testing.assert_array_equal(y == 0, mask(1, (100,), Drop(0.5)) == 0)
    assert np.isnan(y[y != 0]).all()


def test_one_rate_for_each_channel() -> None:
    rates = (0.0, 0.5, 1.0)
    drop = Drop(PerAxis(rates, over="c"), "b c ... -> c b")
    y = apply(ones((1000, 3, 2)), drop, key=3)
    assert [set(np.unique(y[:, c])) for c in range(3)] == [{1.0}, {0.0, 2.0}, {0.0}]
    for c, rate in enumerate(rates):
        # The group index runs over (c, b): the same rate alone falls in the same groups.
        alone = apply(ones((1000, 3, 2)), Drop(rate, "b c ... -> c b"), key=3)
        np.testing.assert_array_equal(y[:, c], alone[:, c])


def test_k_of_n_is_scaled_by_its_rate() -> None:
    y = apply(ones((5, 8)), Drop(None, KofN(2)), key=1)
    assert sorted(set(y.reshape(-1))) == [0, 1 / 0.75]
    assert ((y == 0).sum(1) == 2).all()


@pytest.mark.parametrize("rate", [Linear(0, 1, 5), Learned(0.5)])
def test_a_rate_that_moves_has_to_be_brought_to_a_number(rate: Any) -> None:
    with pytest.raises(
        DropkitError, match=r"rate is a number where it is applied, got .*; write drop\.at\(step\)"
    ):
        apply(ones(), Drop(rate), key=1)


# --- evaluation


@pytest.mark.parametrize("drop", [drop for drop in DROPS if drop.scale != "eval"])
def test_evaluation_of_inverted_dropout_returns_the_very_object(drop: Drop) -> None:
    for dtype in (np.float64, np.float32, np.float16):
        x = some(dtype=dtype)
        assert apply(x, drop, mode="eval") is x


def test_the_eval_scale_shrinks_at_evaluation() -> None:
    x = some(dtype=np.float32)
    np.testing.assert_array_equal(apply(x, Drop(0.25, scale="eval"), mode="eval"), x * np.float32(0.75))
    assert apply(x, Drop(0, scale="eval"), mode="eval") is x
    drop = Drop(PerAxis((0.0, 0.5), over="c"), "b (c 3) -> c", scale="eval")
    y = apply(ones((2, 6)), drop, mode="eval")
    np.testing.assert_array_equal(y, [[1, 1, 1, 0.5, 0.5, 0.5]] * 2)


def test_evaluation_checks_what_training_checks() -> None:
    with pytest.raises(DropkitError, match="has 2 axes but the array has 4"):
        apply(ones(), Drop(0.5, "b c -> b"), mode="eval")
    with pytest.raises(DropkitError, match="key must be an int or"):
        apply(ones(), Drop(0.5), key="7", mode="eval")  # type: ignore[arg-type]  # what is refused is the point
    with pytest.raises(DropkitError, match="needs whole="):
        apply(ones(), Drop(0.5), mode="eval", window=Window((0, 1)))


# --- fill


@pytest.mark.parametrize("scale", ["train", "eval", "none"])
@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_a_dropped_entry_becomes_its_fill(scale: Any, rate: float) -> None:
    x, fill, drop = some(), 100 + some()[::-1], Drop(rate, "b c h w -> b c", scale=scale)
    y = apply(x, drop, key=7, fill=fill)
    gone = mask(7, SHAPE, drop) == 0
    np.testing.assert_array_equal(y[gone], fill[gone])
    kept = (x - rate * fill) / (1 - rate) if scale == "train" and rate < 1 else x
    np.testing.assert_allclose(y[~gone], kept[~gone], rtol=1e-12)
    expected = {"train": x, "none": x, "eval": (1 - rate) * x + rate * fill}[scale]
    np.testing.assert_allclose(apply(x, drop, mode="eval", fill=fill), expected, rtol=1e-12)


def test_fill_broadcasts_and_must_fit() -> None:
    y = apply(ones((50, 3)), Drop(0.5, scale="none"), key=1, fill=np.array([5.0, 6.0, 7.0]))
    assert [set(column) for column in y.T] == [{1.0, 5.0}, {1.0, 6.0}, {1.0, 7.0}]
    with pytest.raises(DropkitError, match=r"fill broadcasts to x of shape \(50, 3\), got \(2, 50, 3\)"):
        apply(ones((50, 3)), Drop(0.5), key=1, fill=ones((2, 50, 3)))


@pytest.mark.parametrize("noise", ["alpha", "gaussian"])
def test_a_noise_that_says_what_becomes_of_an_entry_takes_no_fill(noise: str) -> None:
    with pytest.raises(DropkitError, match=f"fill goes with noise 'bernoulli', got '{noise}'"):
        apply(ones(), Drop(0.5, noise=noise), key=1, fill=ones())


# --- arrays of every make


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_type_stays_and_the_mask_does_not_depend_on_it(drop: Drop, dtype: Any) -> None:
    y = apply(ones(dtype=dtype), drop, key=7)
    assert y.dtype == dtype
    exact = apply(ones(), drop, key=7)
    np.testing.assert_array_equal(y == 0, exact == 0)
    # The factor is rounded to float32 at least, once more with the product, and the result to its own type.
    np.testing.assert_allclose(y, exact, rtol=2 * float(np.finfo(dtype).eps))


def test_half_precision_is_computed_in_single() -> None:
    x = some(dtype=np.float16)
    y = apply(x, Drop(0.1), key=1)
    exact = (x.astype(np.float64) / 0.9).astype(np.float16)
    single = (x.astype(np.float32) * np.float32(1 / 0.9)).astype(np.float16)
    np.testing.assert_array_max_ulp(np.where(y == 0, 0, exact), y, 1)
    np.testing.assert_array_equal(np.where(y == 0, 0, single), y)


@pytest.mark.parametrize("drop", DROPS)
def test_memory_layout_does_not_matter(drop: Drop) -> None:
    x = some()
    expected = apply(x, drop, key=7)
    before = x.copy()
    for other in (
        np.asfortranarray(x),
        x.transpose(3, 1, 0, 2).copy().transpose(2, 1, 3, 0),
        x[::-1].copy()[::-1],
    ):
        np.testing.assert_array_equal(apply(other, drop, key=7), expected)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
@pytest.mark.parametrize("noise", ["bernoulli", "alpha", "gaussian", "uniform"])
def test_scalars_and_empty_arrays(shape: Shape, noise: str) -> None:
    y = apply(ones(shape, np.float32), Drop(0.5, noise=noise), key=7)
    assert isinstance(y, np.ndarray)
    assert (y.shape, y.dtype) == (shape, np.float32)
    assert mask(7, shape, Drop(0.5, noise=noise)).shape == shape


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex128, object, "U3", "M8[s]"])
def test_only_real_floating_arrays_are_dropped(dtype: Any) -> None:
    with pytest.raises(DropkitError, match="x has a real floating type, got dtype"):
        apply(np.zeros(3, dtype), Drop(0.5), key=1)


# --- windows and masks


@given(st.integers(0, 9), st.integers(1, 10), st.sampled_from(DROPS))
def test_a_batch_that_is_split_keeps_its_mask(start: int, count: int, drop: Drop) -> None:
    whole = mask(7, (10, *SHAPE[1:]), drop)
    part = whole[start : start + count]
    drawn = mask(7, part.shape, drop, window=Window((start,), whole.shape))
    np.testing.assert_array_equal(drawn, part)
    np.testing.assert_array_equal(mask(7, part.shape, drop, window=Window((start,))), part)


def test_a_mask_has_the_type_that_is_asked_for_and_may_be_written() -> None:
    made = mask(7, (3, 4), Drop(0.5, "b t -> b"), dtype=np.float32)
    assert made.dtype == np.float32
    made[:] = 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, (3,), Drop(0.5)), "key must be an int or a dropkit.Key, got None; give the key of the call"),
        ((7, 3, Drop(0.5)), "shape must be a tuple of numbers, got 3"),
        ((7, (3, -1), Drop(0.5)), r"shape\[1\] must be a whole number of at least 0, got -1"),
        ((7, (2.5,), Drop(0.5)), r"shape\[0\] must be a whole number of at least 0, got 2.5"),
        ((7, (3,), 0.5), "drop must be a Drop, got 0.5"),
        (
            (7, (3,), Drop(PerAxis((0.1, 0.2), "c"), "c")),
            "one rate for each of the 3 places of axis 'c', got 2",
        ),
    ],
)
def test_masks_refuse(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        mask(*arguments)


@pytest.mark.parametrize("dtype", ["nope", "int32", bool, 3])
def test_a_mask_of_another_type_is_refused(dtype: Any) -> None:
    with pytest.raises(DropkitError, match="dtype is a real floating type of NumPy"):
        mask(1, (2,), Drop(0.5), dtype=dtype)


def test_each_step_of_a_schedule_has_a_mask_of_its_own_at_its_own_rate() -> None:
    drawn = masks(5, (40,), Drop(Linear(1.0, 0.0, 2)), steps=3)
    assert np.array_equal(drawn[1], mask(Key(5).fold("step", 1), (40,), Drop(0.5)))
    assert not drawn[0].any()
    assert (drawn[2] == 1).all()


def test_normal_draws_are_those_of_gaussian_noise() -> None:
    drawn = mask(4, SHAPE, Drop(0.5, "b c ... -> b c", noise="gaussian"))
    assert np.array_equal(np.broadcast_to(1 + normal(4, SHAPE, "b c ... -> b c"), SHAPE), drawn)


def test_each_pass_has_the_mask_of_its_folded_key() -> None:
    drawn = passes(5, 3, (4, 6), Drop(0.5))
    expected = [mask(Key(5).fold("pass", i), (4, 6), Drop(0.5)) for i in range(3)]
    assert np.array_equal(drawn, np.stack(expected))
    assert len({each.tobytes() for each in drawn}) == 3
