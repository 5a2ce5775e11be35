"""TensorFlow against the NumPy reference: the same engine on the same types gives the same numbers."""

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tests.array_cases import ALONG, DECIDED, KEY, SHAPE, ULP, WINDOWS, Array, some

import dropkit
from dropkit.arrays.tensorflow import perturb, words_of
from dropkit.core.bind import Window
from dropkit.core.check import DropkitError
from dropkit.core.groups import Blocks, KofN
from dropkit.core.key import Key

Call = Callable[[Any], Any]


def ways(call: Call, shape: tuple[int, ...]) -> list[Call]:
    """The call as it is, in a graph, in a compiled one, and in one that does not know the batch."""
    open_batch = [tf.TensorSpec((None, *shape[1:]))]
    return [
        call,
        tf.function(call),
        tf.function(call, jit_compile=True),
        tf.function(call, input_signature=open_batch),
        tf.function(call, input_signature=open_batch, jit_compile=True),
    ]


def traced(call: Call, shape: Any) -> Call:
    """Without AutoGraph, which hands on the words of an error and not its type."""
    open_sizes = [tf.TensorSpec(shape)]
    traced: Call = tf.function(call, input_signature=open_sizes, autograph=False)
    return traced


def check(x: Array, *arguments: Any, **named: Any) -> None:
    """Every way gives the result of NumPy but for one rounding: XLA may join a product and a sum."""
    numpy = dropkit.drop(x, *arguments, **named)
    for way in ways(lambda x: dropkit.drop(x, *arguments, **named), x.shape):
        found = way(tf.constant(x))
        assert found.dtype == x.dtype.name
        np.testing.assert_array_equal(found.numpy() == 0, numpy == 0)
        np.testing.assert_allclose(found.numpy(), numpy, rtol=0, atol=8 * ULP)


@pytest.mark.parametrize(
    ("rate", "groups", "scale"), [(*case, "train") for case in DECIDED] + [(0.3, "...", "none")]
)
def test_decisions_are_those_of_numpy_bit_for_bit(rate: Any, groups: Any, scale: Any) -> None:
    numpy = dropkit.drop(np.ones(SHAPE, "float32"), rate, groups, key=KEY, scale=scale)
    for way in ways(lambda x: dropkit.drop(x, rate, groups, key=KEY, scale=scale), SHAPE):
        np.testing.assert_array_equal(way(tf.ones(SHAPE)).numpy(), numpy)


@pytest.mark.parametrize(("rate", "groups"), DECIDED[:1] + DECIDED[3:])
def test_alpha_dropout_is_that_of_numpy(rate: Any, groups: Any) -> None:
    check(some(), rate, groups, noise="alpha", key=KEY)


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
@pytest.mark.parametrize(
    ("rate", "groups"), [(0.5, "..."), (0.9, "b c h w -> b c"), (ALONG, "b c h w -> b c")]
)
def test_continuous_factors_are_those_of_numpy(noise: str, rate: Any, groups: Any) -> None:
    check(some(), rate, groups, noise=noise, key=KEY)


@pytest.mark.parametrize(("window", "noise"), WINDOWS)
def test_a_part_of_a_larger_array_has_its_draws(window: Window, noise: Any) -> None:
    named: dict[str, Any] = {"noise": noise, "key": KEY, "window": window}
    numpy = dropkit.drop(np.ones(SHAPE, "float32"), 0.5, **named)
    found = dropkit.drop(tf.ones(SHAPE), 0.5, **named)
    np.testing.assert_allclose(found.numpy(), numpy, rtol=0, atol=8 * ULP)


@pytest.mark.parametrize("shape", [(2, 3, 6), (5, 1, 6), (0, 4, 6), (1, 1, 6), (64, 33, 6)])
@pytest.mark.parametrize(
    "pattern", ["...", "b t d -> b t", "b t d -> d b", "b t d -> b d", "... -> ", "b t d -> d"]
)
def test_every_size_may_be_unknown(shape: tuple[int, ...], pattern: str) -> None:
    open_sizes = [tf.TensorSpec((None, None, 6))]
    call = tf.function(lambda x: dropkit.drop(x, 0.5, pattern, key=KEY), input_signature=open_sizes)
    numpy = dropkit.drop(np.ones(shape, "float32"), 0.5, pattern, key=KEY)
    np.testing.assert_array_equal(call(tf.ones(shape)).numpy(), numpy)


def test_sizes_like_the_numbers_that_stand_for_unknown_ones_are_no_trouble() -> None:
    open_batch = [tf.TensorSpec((None, 1048583))]
    call = tf.function(lambda x: dropkit.drop(x, 0.5, key=KEY), input_signature=open_batch)
    numpy = dropkit.drop(np.ones((2, 1048583), "float32"), 0.5, key=KEY)
    np.testing.assert_array_equal(call(tf.ones((2, 1048583))).numpy(), numpy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, Blocks(3, over="h w")), "x has a known size where .* names 'h'"),
        ((None, KofN(1, over="w")), "x has a known size where .* names 'w'"),
        ((0.5, "b (h 4) w c -> b h"), "x has a known size where .* names 'h 4'"),
        ((ALONG, "b h c w -> b c"), "x has a known size where .* names 'c'"),
    ],
)
def test_sizes_that_are_needed_are_asked_for(arguments: Any, message: str) -> None:
    call = traced(lambda x: dropkit.drop(x, *arguments, key=1), (None, None, None, None))
    with pytest.raises(DropkitError, match=message):
        call(tf.ones((2, 4, 4, 4)))


def test_the_number_of_axes_and_the_sizes_under_a_window_are_asked_for() -> None:
    call = traced(lambda x: dropkit.drop(x, 0.5, key=1), None)
    with pytest.raises(DropkitError, match="x has a known number of axes"):
        call(tf.ones(3))
    part = Window((3,))
    call = traced(lambda x: dropkit.drop(x, 0.5, key=1, window=part), (None, 3))
    with pytest.raises(DropkitError, match="window goes with a tensor whose every size is known"):
        call(tf.ones((3, 3)))


def test_a_key_may_be_a_tensor() -> None:
    x, expected = tf.ones(1000), dropkit.drop(np.ones(1000, "float32"), 0.3, key=2**63 + 2**32 + 5)
    word = 2**63 + 2**32 + 5
    for key in (
        tf.constant(word - 2**64, tf.int64),
        tf.constant(word, tf.uint64),
        tf.constant((5, 2**31 + 1), tf.uint32),
        tf.constant((5, 1 - 2**31), tf.int32),
    ):
        np.testing.assert_array_equal(dropkit.drop(x, 0.3, key=key).numpy(), expected)
        inside = tf.function(lambda key: dropkit.drop(x, 0.3, key=key), jit_compile=True)
        np.testing.assert_array_equal(inside(key).numpy(), expected)


def test_without_a_key_the_generator_of_tensorflow_gives_one_at_each_call() -> None:
    x = tf.ones(1000)
    for call in ways(lambda x: dropkit.drop(x, 0.5), (1000,)):
        assert (call(x).numpy() != call(x).numpy()).any()
    tf.random.set_seed(7)
    first = dropkit.drop(x, 0.5).numpy()
    tf.random.set_seed(7)
    np.testing.assert_array_equal(dropkit.drop(x, 0.5).numpy(), first)


@pytest.mark.parametrize("noise", ["bernoulli", "alpha", "gaussian"])
def test_the_gradient_is_the_factor_at_every_order(noise: Any) -> None:
    m = dropkit.mask(KEY, SHAPE, dropkit.Drop(0.3, noise=noise))

    def slopes(x: Any) -> Any:
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = dropkit.drop(x, 0.3, noise=noise, key=KEY)
                loss = tf.reduce_sum(y * x)
            first = inner.gradient(loss, x)
            total = tf.reduce_sum(first * first)
        return y, first, outer.gradient(total, x)

    x = tf.constant(some())
    for way in ways(slopes, SHAPE):
        y, first, second = way(x)
        np.testing.assert_allclose(first, y.numpy() + m * x.numpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(second, 4 * m * first.numpy(), rtol=1e-5, atol=1e-5)


def test_what_is_dropped_is_replaced_not_multiplied() -> None:
    found = dropkit.drop(tf.fill((100,), np.inf), 0.5, key=1).numpy()
    assert set(found.tolist()) == {0.0, np.inf}
    x = tf.ones(3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = dropkit.drop(x, 1.0, noise="gaussian", key=1)
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), np.zeros(3))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_are_computed_in_float32(dtype: str) -> None:
    x = tf.cast(some(), dtype)
    wide = dropkit.drop(tf.cast(x, "float32"), 0.1, key=3)
    found = dropkit.drop(x, 0.1, key=3)
    assert found.dtype == dtype
    np.testing.assert_array_equal(tf.cast(found, "float32").numpy(), tf.cast(tf.cast(wide, dtype), "float32"))


def test_float64_is_that_of_numpy() -> None:
    x = some().astype("float64")
    np.testing.assert_array_equal(
        dropkit.drop(tf.constant(x), 0.1, key=3).numpy(), dropkit.drop(x, 0.1, key=3)
    )


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("groups", ["...", Blocks(3, over="h w"), KofN(over="w")])
@pytest.mark.parametrize("noise", ["bernoulli", "alpha", "gaussian"])
def test_a_rate_that_moves_is_read_when_the_function_runs(rate: float, groups: Any, noise: Any) -> None:
    if noise == "gaussian" and groups != "...":
        return
    rate = float(np.float32(rate))
    drop = dropkit.Drop(0.7, groups, noise)
    call = tf.function(lambda x, rate: perturb(x, drop, words_of(KEY), rate=rate), jit_compile=True)
    numpy = dropkit.drop(some(), rate, groups, noise=noise, key=KEY)
    found = call(tf.constant(some()), tf.constant(rate)).numpy()
    np.testing.assert_array_equal(found == 0, numpy == 0)
    np.testing.assert_allclose(found, numpy, rtol=0, atol=16 * ULP)  # 1 - rate is rounded once more


def test_samples_of_a_vectorized_map_share_a_key_that_is_given() -> None:
    found = tf.vectorized_map(lambda x: dropkit.drop(x, 0.5, key=1), tf.ones((3, 100))).numpy()
    np.testing.assert_array_equal(found, np.tile(dropkit.drop(np.ones(100, "float32"), 0.5, key=1), (3, 1)))


def test_evaluation_returns_the_very_tensor() -> None:
    x = tf.ones(3)
    assert dropkit.drop(x, 0.5, mode="eval") is x
    np.testing.assert_array_equal(dropkit.drop(x, 0.25, scale="eval", mode="eval").numpy(), [0.75] * 3)
    found = dropkit.drop(tf.ones(SHAPE), ALONG, "b c h w -> b c", scale="eval", mode="eval")
    np.testing.assert_allclose(found[0, :, 0, 0], 1 - np.array(ALONG.rates), rtol=1e-6)


def test_variables_are_tensors_too() -> None:
    np.testing.assert_array_equal(
        dropkit.drop(tf.Variable(tf.ones(100)), 0.5, key=1), dropkit.drop(tf.ones(100), 0.5, key=Key(1))
    )


def test_no_entries_and_no_axes_are_shapes_too() -> None:
    for shape in ((), (0,), (3, 0, 2)):
        assert dropkit.drop(tf.zeros(shape), 0.5, key=1).shape == shape


def test_the_page_says_what_happens() -> None:
    page = Path(__file__).parents[3] / "docs" / "tensorflow.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 5
    assert failed == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": tf.ones(3, tf.int32)}, "x has a real floating type of 16 bits or more, got 'int32'"),
        ({"x": tf.ones(3, tf.complex64)}, "x has a real floating type"),
        ({"rate": 1.5}, "rate "),
        ({"rate": tf.ones(())}, "rate"),
        ({"pattern": "a b -> a"}, "a b -> a"),
        ({"key": tf.constant(1, tf.int32)}, "key is one whole number of 64 bits or two of 32, got 'int32"),
        ({"key": tf.ones(2)}, "key is one whole number of 64 bits or two of 32, got 'float32"),
        ({"key": tf.constant((1, 2), tf.int64)}, "key is one whole number of 64 bits or two of 32"),
        ({"key": -1}, "key must be"),
        ({"mode": "test"}, "mode must be"),
        ({"window": (1,)}, "window"),
        ({"scale": "test"}, "scale must be"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    named: dict[str, Any] = {"x": tf.ones(3), "rate": 0.5, "key": 1} | arguments
    with pytest.raises(DropkitError, match=message):
        dropkit.drop(named.pop("x"), named.pop("rate"), named.pop("pattern", "..."), **named)


def test_more_unknown_sizes_than_can_be_told_apart_are_refused() -> None:
    call = traced(lambda x: dropkit.drop(x, 0.5, key=1), (None,) * 12)
    with pytest.raises(DropkitError, match="x has at most 11 unknown sizes"):
        call(tf.ones((1,) * 12))


def test_the_slope_of_a_lookup_passes() -> None:
    table = tf.Variable(tf.ones((4, 3)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.gather(dropkit.drop(table, 0.4, "v d -> v", key=1), [1, 2, 2]))
    mask = dropkit.mask(1, (4, 3), dropkit.Drop(0.4, "v d -> v"))
    times = np.array([[0], [1], [2], [0]])
    np.testing.assert_allclose(tf.convert_to_tensor(tape.gradient(loss, table)), mask * times, rtol=1e-6)
