"""JAX against the NumPy reference: decisions bit for bit, continuous factors to float32's rounding."""

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from tests.array_cases import ALONG, DECIDED, KEY, SHAPE, ULP, WINDOWS, Array, some

import dropkit
from dropkit.arrays.jax import JaxDraws, _high_product, address_of, perturb
from dropkit.core.address import Words
from dropkit.core.bind import Window
from dropkit.core.check import DropkitError
from dropkit.core.groups import Blocks, KofN, Pattern
from dropkit.core.key import Key


def both(x: Array, *arguments: Any, **named: Any) -> tuple[Array, Array]:
    """The result of NumPy and that of JAX, eager and inside a compiled function, which are the same."""
    numpy = dropkit.drop(x, *arguments, **named)
    eager = dropkit.drop(jnp.asarray(x), *arguments, **named)
    inside = jax.jit(lambda x: dropkit.drop(x, *arguments, **named))(x)
    np.testing.assert_array_equal(np.asarray(eager), np.asarray(inside))
    assert isinstance(eager, jax.Array)
    assert eager.dtype == x.dtype
    return numpy, np.asarray(eager)


@pytest.mark.parametrize(("rate", "groups"), DECIDED)
@pytest.mark.parametrize("scale", ["train", "none"])
def test_decisions_are_those_of_numpy_bit_for_bit(rate: Any, groups: Any, scale: Any) -> None:
    numpy, found = both(np.ones(SHAPE, "float32"), rate, groups, key=KEY, scale=scale)
    np.testing.assert_array_equal(found == 0, numpy == 0)
    np.testing.assert_allclose(found, numpy, rtol=4 * ULP)  # 1 / (1 - rate), rounded twice at most


@pytest.mark.parametrize(("rate", "groups"), [each for each in DECIDED if each[0] is not ALONG])
def test_alpha_dropout_is_that_of_numpy(rate: Any, groups: Any) -> None:
    numpy, found = both(some(), rate, groups, noise="alpha", key=KEY)
    # m x + b: each of the three numbers and both operations are rounded once, and |m x| + |b| stays below 8.
    np.testing.assert_allclose(found, numpy, rtol=0, atol=5 * 8 * ULP)


@pytest.mark.parametrize(
    ("rate", "groups"), [(0.5, "..."), (0.9, "b c h w -> b c"), (ALONG, "b c h w -> b c")]
)
def test_gaussian_factors_differ_by_roundings_alone(rate: Any, groups: Any) -> None:
    """|z| <= 6.7 is a root with 4 roundings times a cosine with 8 of its angle's: 80 units."""
    numpy, found = both(np.ones(SHAPE, "float32"), rate, groups, noise="gaussian", key=KEY)
    deviation = 3.0 if rate == 0.9 else 2.0 if rate is ALONG else 1.0
    np.testing.assert_allclose(found, numpy, rtol=0, atol=(80 * deviation + 20) * ULP)


def test_uniform_factors_differ_by_roundings_alone() -> None:
    numpy, found = both(np.ones(SHAPE, "float32"), 0.5, "...", noise="uniform", key=KEY)
    np.testing.assert_allclose(found, numpy, rtol=0, atol=8 * ULP)


def test_gaussian_tails_keep_their_digits() -> None:
    """Words at both ends, where float32 alone would give log 0 and log 1."""
    from dropkit.core.noise import Gaussian

    words = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)
    narrow = Gaussian().standard(jnp, jnp.asarray(words), lambda: jnp.zeros(6, jnp.uint32))
    wide = Gaussian().standard(np, words.astype(np.int64), lambda: np.zeros(6, np.int64))
    np.testing.assert_allclose(np.asarray(narrow), wide, rtol=8 * ULP)


@pytest.mark.parametrize(("window", "noise"), WINDOWS)
def test_a_part_of_a_larger_array_has_its_draws(window: Window, noise: str) -> None:
    numpy, found = both(np.ones(SHAPE, "float32"), 0.5, "...", noise=noise, key=KEY, window=window)
    np.testing.assert_allclose(found, numpy, rtol=0, atol=100 * ULP)


def test_only_a_rate_of_one_drops_the_largest_word() -> None:
    largest = jnp.full(3, 2**32 - 1, jnp.uint32)
    draws = JaxDraws(jnp, Pattern("...").layout((3,)), Words(0, 0, 0))
    found = draws.falls(largest, np.array([1.0, 1 - 1e-12, 0.5]))
    np.testing.assert_array_equal(found, [True, False, False])


def test_blocks_beyond_two_to_the_thirty_two_carry() -> None:
    """Eight blocks serve 64 groups, so the upper word of the block index begins at group 2**35."""
    numpy, found = both(np.ones(512, "float32"), 0.5, "n -> n", key=1, window=Window((2**35 - 200,)))
    np.testing.assert_array_equal(found, numpy)


def test_a_key_of_jax_is_the_number_it_was_made_of() -> None:
    x = jnp.ones(1000)
    for seed in (0, 7, 2**32 - 1):
        for key in (jax.random.key(seed), jax.random.PRNGKey(seed), seed, Key(seed)):
            np.testing.assert_array_equal(dropkit.drop(x, 0.3, key=key), dropkit.drop(x, 0.3, key=seed))
    assert (dropkit.drop(x, 0.3) != dropkit.drop(x, 0.3)).any()


def test_the_gradient_is_the_factor_and_keeps_the_key_alone() -> None:
    x = jnp.asarray(some())
    for noise in ("bernoulli", "alpha", "gaussian"):
        y, back = jax.vjp(lambda x, noise=noise: dropkit.drop(x, 0.3, noise=noise, key=KEY), x)
        m = dropkit.mask(KEY, SHAPE, dropkit.Drop(0.3, noise=noise))
        np.testing.assert_allclose(back(jnp.ones_like(y))[0], m, rtol=1e-6, atol=300 * ULP)
        assert sum(leaf.size for leaf in jax.tree.leaves(back)) <= 8


def test_every_order_of_derivative_goes_both_ways() -> None:
    x = jnp.asarray(some((5,)))

    def call(x: Any) -> Any:
        return dropkit.drop(x, 0.5, key=2)

    m = dropkit.mask(2, (5,), dropkit.Drop(0.5))
    np.testing.assert_array_equal(jax.jvp(call, (x,), (x,))[1], call(x))
    np.testing.assert_array_equal(jax.hessian(lambda x: (call(x) ** 2).sum())(x), np.diag(2 * m * m))


@pytest.mark.parametrize("rate", [0.0, 2.0**-33, 0.3, 0.5, 1 - 2.0**-24, 1.0])
@pytest.mark.parametrize("groups", ["...", Blocks(3, over="h w"), KofN(over="w")])
@pytest.mark.parametrize("noise", ["bernoulli", "alpha", "gaussian"])
def test_a_rate_that_moves_is_read_when_the_function_runs(rate: float, groups: Any, noise: Any) -> None:
    if noise == "gaussian" and groups != "...":
        return
    rate = float(np.float32(rate))
    drop = dropkit.Drop(0.7, groups, noise)
    call = jax.jit(lambda x, rate: perturb(x, drop, address_of(KEY), rate=rate))
    numpy = dropkit.drop(some(), rate, groups, noise=noise, key=KEY)
    found = np.asarray(call(jnp.asarray(some()), jnp.float32(rate)))
    # The same draws fall, of blocks and counts too, though they take a root or a product of a float32.
    np.testing.assert_array_equal(found == 0, numpy == 0)
    # Noise near a rate of 1 multiplies by up to sqrt(2**24).
    deviation = 1 if rate < 0.9 else 2.0**12
    np.testing.assert_allclose(found, numpy, rtol=0, atol=400 * ULP * deviation)


def test_samples_of_vmap_draw_apart_where_their_keys_do() -> None:
    x, keys = jnp.ones((4, 100)), jax.random.split(jax.random.key(0), 4)
    found = jax.vmap(lambda x, key: dropkit.drop(x, 0.5, key=key))(x, keys)
    for i in range(4):
        np.testing.assert_array_equal(found[i], dropkit.drop(x[i], 0.5, key=keys[i]))
    assert (found[0] != found[1]).any()


def test_the_product_by_halves_is_that_of_the_instruction() -> None:
    words = np.random.default_rng(0).integers(0, 2**32, (2, 10_000), np.uint64)
    words[:, :4] = [[0, 2**32 - 1, 2**16, 2**32 - 1], [5, 2**32 - 1, 2**16, 1]]
    a, b = (jnp.asarray(each.astype(np.uint32)) for each in words)
    np.testing.assert_array_equal(
        _high_product(a, b), (words[0] * words[1] >> np.uint64(32)).astype(np.uint32)
    )


def test_another_key_compiles_nothing_anew() -> None:
    from dropkit.arrays.jax import _dropped

    x = jnp.ones((3, 77))
    dropkit.drop(x, 0.5, key=1)
    before = _dropped._cache_size()  # type: ignore[attr-defined]  # of compiled functions, untyped
    dropkit.drop(x, 0.5, key=2**63)
    assert _dropped._cache_size() == before  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_are_computed_in_float32(dtype: str) -> None:
    x = jnp.asarray(some(), dtype)
    wide = dropkit.drop(x.astype("float32"), 0.1, key=3)
    np.testing.assert_array_equal(dropkit.drop(x, 0.1, key=3), wide.astype(dtype))


def test_float64_is_served_where_it_is_enabled() -> None:
    with jax.enable_x64(True):
        x = jnp.asarray(some().astype("float64"))
        found = dropkit.drop(x, 0.3, "b c ... -> b c", key=3)
        assert found.dtype == np.float64
        np.testing.assert_allclose(
            found, dropkit.drop(np.asarray(x), 0.3, "b c ... -> b c", key=3), rtol=1e-15
        )


def test_the_page_says_what_happens() -> None:
    page = Path(__file__).parents[3] / "docs" / "jax.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 5
    assert failed == 0


def test_evaluation_returns_the_very_array() -> None:
    x = jnp.ones(3)
    assert dropkit.drop(x, 0.5, mode="eval") is x
    np.testing.assert_array_equal(dropkit.drop(x, 0.25, scale="eval", mode="eval"), [0.75] * 3)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_no_entries_and_no_axes_are_shapes_too(shape: tuple[int, ...]) -> None:
    assert both(np.ones(shape, "float32"), 0.5, key=1)[1].shape == shape


def test_what_is_dropped_is_replaced_not_multiplied() -> None:
    x = jnp.full(100, jnp.inf)
    assert set(np.asarray(dropkit.drop(x, 0.5, key=1)).tolist()) == {0.0, float("inf")}
    slope = jax.grad(lambda x: dropkit.drop(x, 1.0, key=1).sum())(jnp.ones(3))
    np.testing.assert_array_equal(slope, np.zeros(3))


def test_a_key_must_be_given_under_transformations() -> None:
    x = jnp.ones(3)
    calls: list[Callable[[], Any]] = [
        lambda: jax.jit(lambda x: dropkit.drop(x, 0.5))(x),
        lambda: jax.jit(lambda _: dropkit.drop(x, 0.5))(x),  # x is not traced here
        lambda: jax.grad(lambda x: dropkit.drop(x, 0.5).sum())(x),
        lambda: jax.vmap(lambda x: dropkit.drop(x, 0.5))(x),
    ]
    for call in calls:
        with pytest.raises(DropkitError, match=r"^key is given under a transformation.*jax\.random\.split"):
            call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": jnp.ones(3, int)}, "x has a real floating type of 16 bits or more, got .*int32"),
        ({"x": jnp.ones(3, complex)}, "x has a real floating type"),
        ({"rate": 1.5}, "rate "),
        ({"rate": jnp.ones(())}, "rate"),
        ({"pattern": "a b -> a"}, "a b -> a"),
        ({"key": jax.random.key(0, impl="rbg")}, "key has two words of 32 bits, got 'uint32.4"),
        ({"key": jnp.ones(2)}, "key has two words of 32 bits, got 'float32.2"),
        ({"key": jax.random.split(jax.random.key(0))}, "key has two words of 32 bits, got 'uint32.2, 2"),
        ({"key": -1}, "key must be"),
        ({"key": "seed"}, "key must be an int or a dropkit.Key"),
        ({"mode": "test"}, "mode must be"),
        ({"window": (1,)}, "window"),
        ({"scale": "test"}, "scale must be"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    named: dict[str, Any] = {"x": jnp.ones(3), "rate": 0.5, "key": 1} | arguments
    with pytest.raises(DropkitError, match=message):
        dropkit.drop(named.pop("x"), named.pop("rate"), named.pop("pattern", "..."), **named)
