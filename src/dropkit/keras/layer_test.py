"""The layers on the backend of this process: against the NumPy reference, and as Keras wants its layers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import dropkit
import dropkit.keras as dk
from dropkit.core import reference
from dropkit.core.key import Key
from dropkit.core.rate import PerAxis
from dropkit.methods import catalogue

Array = np.ndarray[Any, Any]
BACKEND = keras.backend.backend()
SHAPE = (3, 5, 6, 4)
ULP = 2.0**-24
MAPS: list[Callable[[], dk.Layer]] = [
    lambda: dk.Dropout(0.3, seed=5),
    lambda: dk.Dropout(1.0, seed=5),
    lambda: dk.Dropout(0.3, noise_shape=(None, 1, 6, 1), seed=5),
    lambda: dk.Dropout(0.3, scale="none", seed=5),
    lambda: dk.AlphaDropout(0.3, seed=5),
    lambda: dk.AlphaDropout(1.0, noise_shape=(None, 1, 1, None), seed=5),
    lambda: dk.GaussianDropout(0.3, seed=5),
    lambda: dk.GaussianDropout(1.0, seed=5),
    lambda: dk.UniformDropout(0.3, seed=5),
    lambda: dk.InputDropout(0.3, seed=5),
    lambda: dk.SpatialDropout2D(0.3, seed=5),
    lambda: dk.SpatialDropout2D(0.3, data_format="channels_first", seed=5),
    lambda: dk.FeatureAlphaDropout(0.3, seed=5),
    lambda: dk.DropBlock2D(0.3, 3, seed=5),
    lambda: dk.DropBlock2D(0.3, (2, 3), "channels_first", seed=5, couple_channels=True),
    lambda: dk.DropPath(0.5, seed=5),
    lambda: dk.DropPath(0.5, per="batch", scale_by_keep=False, seed=2**31 - 5),
    lambda: dk.HeadDropout(0.5, seed=5),
    lambda: dk.Drop(None, dropkit.KofN(2, over="c", pattern="b h w c -> b c"), seed=5),
    lambda: dk.Drop(0.4, "b h w (c 2) -> b c", noise="gaussian", seed=5),
    lambda: dk.Drop(PerAxis((0.0, 0.2, 0.5, 1.0), over="c"), "b h w c -> b c", seed=5),
    lambda: dk.Dropout(dropkit.linear_schedule(0.5, 1.0, 10), seed=5),
]
SEQUENCES: list[Callable[[], dk.Layer]] = [
    lambda: dk.LockedDropout(0.5, seed=5),
    lambda: dk.TokenDropout(0.5, seed=5),
    lambda: dk.SpatialDropout1D(0.5, seed=5),
    lambda: dk.DropBlock1D(0.5, 2, seed=5),
]
VOLUMES: list[Callable[[], dk.Layer]] = [
    lambda: dk.SpatialDropout3D(0.5, seed=5),
    lambda: dk.DropBlock3D(0.5, 2, seed=5),
]
MATRICES: list[Callable[[], dk.Layer]] = [
    lambda: dk.FeatureMask(0.5, seed=5),
    lambda: dk.FeatureMask(0.5, seed=5, per="entry"),
    lambda: dk.GraphDropConnect(0.5, 3, seed=5),
    lambda: dk.GraphDropConnect(0.5, seed=5),
]
ALL: list[tuple[tuple[int, ...], list[Callable[[], dk.Layer]]]] = [
    (SHAPE, MAPS),
    ((3, 7, 4), SEQUENCES),
    ((2, 3, 4, 5, 2), VOLUMES),
    ((7, 6), MATRICES),
]


class Several(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Layers side by side, which are compiled at once: one by one they would take minutes."""

    def __init__(self, layers: list[dk.Layer]) -> None:
        super().__init__()
        self.layers = layers

    def call(self, inputs: Any, training: bool = False) -> Any:
        return [layer(inputs, training=training) for layer in self.layers]


def some(shape: tuple[int, ...] = SHAPE) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def array(x: Any) -> Array:
    return np.asarray(ops.convert_to_numpy(x))


def arrays(several: list[Any]) -> list[Array]:
    return [array(x) for x in several]


def compiled(layer: Any, training: bool = True) -> Callable[[Any], Any]:
    """The layer, compiled: by XLA, by `jax.jit` around a stateless call, by `torch.compile`."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        function: Callable[[Any], Any] = tf.function(lambda x: layer(x, training=training), jit_compile=True)
        return function
    if BACKEND == "torch":
        import torch

        torch._dynamo.reset()
        return torch.compile(lambda x: layer(x, training=training), fullgraph=True)
    import jax

    step = jax.jit(lambda state, x: layer.stateless_call([], state, x, training=training))

    def call(x: Any) -> Any:
        y, state = step([v.value for v in layer.non_trainable_variables], x)
        for variable, value in zip(layer.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return y

    return call


def failing_anew(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A compiled function of torch that may not be compiled again."""
    import torch

    def guarded(x: Any) -> Any:
        with torch.compiler.set_stance("fail_on_recompile"):
            return call(x)

    return guarded


def expected(layer: dk.Layer, x: Array, key: Key) -> Array:
    return reference.apply(x, layer.description.at(0), key)


def assert_equal(found: Array, numpy: Array) -> None:
    """Decisions bit for bit; factors but for roundings: 80 units on JAX, which has no float64."""
    np.testing.assert_array_equal(found == 0, numpy == 0)
    np.testing.assert_allclose(found, numpy, rtol=80 * ULP, atol=80 * ULP)


@pytest.mark.parametrize(("shape", "makes"), ALL)
def test_masks_are_those_of_numpy_eager_and_compiled(shape: Any, makes: Any) -> None:
    x = some(shape)
    eager, others = Several([make() for make in makes]), Several([make() for make in makes])
    for layers in (eager, others):
        layers(x)  # which builds them
    call = compiled(others)
    for _ in range(2):
        keys = [layer.next_key for layer in eager.layers]
        assert keys == [layer.next_key for layer in others.layers]
        both = eager(x, training=True), call(ops.convert_to_tensor(x))
        for layer, key, *found in zip(eager.layers, keys, *both, strict=True):
            numpy = expected(layer, x, key)
            for each in found:
                assert_equal(array(each), numpy)
            assert layer.next_key != key


def test_the_mask_is_that_of_the_torch_layer_and_of_a_replay() -> None:
    import torch

    from dropkit.torch import Dropout

    layer = dk.Dropout(0.3, seed=11)
    key = layer.next_key
    found = array(layer(np.ones((4, 5), "float32"), training=True))
    np.testing.assert_array_equal(found, Dropout(0.3)(torch.ones(4, 5), key=key).numpy())
    np.testing.assert_array_equal(found, dropkit.mask(key, (4, 5), layer.description, dtype="float32"))


@pytest.mark.parametrize(("shape", "makes"), ALL)
def test_saving_and_loading_keep_the_layers(shape: Any, makes: Any, tmp_path: Path) -> None:
    x, inputs = some(shape), keras.Input(shape[1:])
    model = keras.Model(inputs, [make()(inputs) for make in makes])
    first, still = arrays(model(x, training=True)), arrays(model(x))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(again.layers, model.layers, strict=True):
        assert one.get_config() == other.get_config()
    json.dumps(model.get_config())
    # Keras saves no state of a generator: it begins again at the seed.
    for fresh in (again, keras.models.clone_model(model)):
        for found, before in zip(arrays(fresh(x, training=True)), first, strict=True):
            np.testing.assert_array_equal(found, before)
        for found, before in zip(arrays(fresh(x)), still, strict=True):
            np.testing.assert_array_equal(found, before)


def test_it_draws_where_keras_says_training() -> None:
    x = np.ones((4, 50), "float32")
    layer = dk.Dropout(0.5, seed=1)
    for training in (False, None):
        np.testing.assert_array_equal(array(layer(x, training=training)), x)
    np.testing.assert_array_equal(array(layer(x)), x)
    assert (array(layer(x, training=True)) == 0).any()

    class Model(keras.Model):  # type: ignore[misc]  # Keras ships no types
        def __init__(self) -> None:
            super().__init__()
            self.drop = dk.Dropout(0.5)

        def call(self, inputs: Any) -> Any:
            return self.drop(inputs)

    model = Model()
    np.testing.assert_array_equal(array(model(x)), x)
    assert (array(model(x, training=True)) == 0).any()


def test_eval_returns_the_very_input_or_applies_the_map() -> None:
    x = ops.ones((2, 4))
    assert dk.Dropout(0.5).call(x) is x
    np.testing.assert_allclose(array(dk.Dropout(0.25, scale="eval")(x)), np.full((2, 4), 0.75))
    rates = PerAxis((0.0, 0.25, 0.5, 1.0), over="c")
    found = dk.Drop(rates, "b c -> b c", scale="eval")(x)
    np.testing.assert_allclose(array(found), np.tile(1 - np.array(rates.rates), (2, 1)))


@pytest.mark.parametrize("jit", [True] if BACKEND == "jax" else [False, True])  # on JAX nobody asks for it
@pytest.mark.filterwarnings("default")  # torch's compiler warns of Keras's loops
def test_models_of_every_kind_train_and_their_batch_may_be_unknown(jit: bool) -> None:
    x = some((70, 8, 6))
    inputs = keras.Input((None, 6))
    y = dk.LockedDropout(0.2)(inputs)
    if not (jit and BACKEND == "torch"):  # whose compiler would take a minute
        y = keras.layers.Dense(8, activation="relu")(y)
        y = dk.Dropout(0.2, noise_shape=(None, 1, None))(dk.TokenDropout(0.1)(y))
        y = y + dk.DropPath(0.5)(keras.layers.Dense(8)(y))
        y = dk.GaussianDropout(0.1)(y)
    y = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(y))
    model = keras.Model(inputs, y)
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit)
    history = model.fit(x, x.mean((1, 2)), epochs=8, batch_size=32, verbose=0).history["loss"]
    assert history[-1] < history[0]
    np.testing.assert_allclose(model.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")  # JAX has none
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_precision_follows_the_policy(policy: str) -> None:
    layer = dk.Dropout(0.1, seed=3, dtype=policy)
    dtype = layer.compute_dtype
    key = layer.next_key
    found = layer(np.ones((4, 100), "float32"), training=True)
    if BACKEND == "jax" and dtype == "float64":
        return  # it is float32 there
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    values = array(ops.cast(found, "float64" if dtype == "float64" else "float32"))
    kept = values[values != 0]
    gone = dropkit.mask(key, (4, 100), dropkit.Drop(0.1)) == 0
    assert len(kept) == (~gone).sum()
    eps = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float64": 2.0**-52}[dtype]
    np.testing.assert_allclose(kept, 1 / 0.9, rtol=eps)


def test_masks_of_keras_pass_through() -> None:
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(np.array([[1, 2, 0], [3, 0, 0]]))
    found = dk.LockedDropout(0.5)(embedded, training=True)
    np.testing.assert_array_equal(array(found._keras_mask), [[True, True, False], [True, False, False]])


def test_gradients_are_the_mask() -> None:
    x = keras.Variable(np.ones((3, 7), "float32"))
    layer = dk.Dropout(0.4, seed=9)
    m = dropkit.mask(layer.next_key, (3, 7), layer.description)

    def loss(value: Any) -> Any:
        return ops.sum(layer(value, training=True))

    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            total = loss(x.value)
        slope = tape.gradient(total, x.value)
    elif BACKEND == "jax":
        import jax

        state = [v.value for v in layer.non_trainable_variables]
        slope = jax.grad(lambda value: ops.sum(layer.stateless_call([], state, value, training=True)[0]))(
            x.value
        )
    else:
        loss(x.value).backward()
        slope = x.value.grad
    np.testing.assert_allclose(array(slope), m, rtol=1e-6)


def test_a_rate_on_a_schedule_moves_without_a_new_trace() -> None:
    traced = []

    class Counted(dk.Dropout):
        def law(self, inputs: Any) -> Any:
            traced.append(1)
            return super().law(inputs)

    # torch's compiler sees the list too, and says itself where it compiles anew.
    kind = dk.Dropout if BACKEND == "torch" else Counted
    layer = kind(dropkit.linear_schedule(0.0, 1.0, 4), seed=2)
    call = compiled(layer)
    x = ops.ones((10, 100))
    call(x)
    call(x)  # the first call of a layer names it, which torch's compiler sees
    before = len(traced)
    if BACKEND == "torch":
        call = failing_anew(call)
    shares = []
    for step in range(5):
        layer.move_to(step)
        assert layer.rate == step / 4
        key = layer.next_key
        found = array(call(x))
        np.testing.assert_array_equal(found, dropkit.drop(np.ones((10, 100), "float32"), step / 4, key=key))
        shares.append((found == 0).mean())
    assert shares[0] == 0
    assert shares[-1] == 1
    assert len(traced) == before


def test_eval_has_the_rate_of_now() -> None:
    layer = dk.Dropout(dropkit.linear_schedule(0.0, 1.0, 4), scale="eval")
    call = compiled(layer, training=False)
    x = ops.ones((2, 3))
    for step in (0, 3, 4):
        layer.move_to(step)
        assert layer.step == step
        for found in (layer(x), call(x)):
            np.testing.assert_array_equal(array(found), np.full((2, 3), 1 - step / 4))


def test_a_rate_may_be_set_to_zero_and_back() -> None:
    layer = dk.Dropout(0.5, seed=1)
    x = np.ones((4, 50), "float32")
    first = array(layer(x, training=True))
    layer.rate = 0
    np.testing.assert_array_equal(array(layer(x, training=True)), x)
    layer.rate = 0.5
    assert ((array(layer(x, training=True)) == 0) != (first == 0)).any()


def test_two_layers_with_a_seed_draw_alike_and_without_one_apart() -> None:
    x = np.ones((10, 100), "float32")
    same = [array(dk.Dropout(0.5, seed=1)(x, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(same[0], same[1])
    keras.utils.set_random_seed(3)
    apart = [array(dk.Dropout(0.5)(x, training=True)) for _ in range(2)]
    assert (apart[0] != apart[1]).any()
    keras.utils.set_random_seed(3)
    np.testing.assert_array_equal(array(dk.Dropout(0.5)(x, training=True)), apart[0])


def test_a_rate_of_zero_has_no_generator_and_draws_nothing() -> None:
    layer = dk.Dropout(0.0)
    assert not layer.non_trainable_variables
    x = np.ones(3, "float32")
    np.testing.assert_array_equal(array(layer(x, training=True)), x)


@pytest.mark.parametrize("name", [name for name, method in catalogue().items() if "keras" in method.layers])
def test_the_layer_of_a_record_is_there(name: str) -> None:
    assert issubclass(getattr(dk, catalogue()[name].layers["keras"]), keras.layers.Layer)


def test_twins_are_found_by_the_class_of_keras() -> None:
    assert isinstance(dk.Dropout(0.5), keras.layers.Dropout)
    assert isinstance(dk.SpatialDropout2D(0.5), keras.layers.SpatialDropout2D)


@pytest.mark.skipif(BACKEND != "jax", reason="Keras distributes on JAX")
def test_a_batch_that_is_distributed_has_its_mask() -> None:
    """Two devices hold half of the batch each: the mask is that of the whole."""
    code = """
import keras, numpy as np, dropkit, dropkit.keras as dk
assert len(keras.distribution.list_devices()) == 2
keras.distribution.set_distribution(keras.distribution.DataParallel())
class Shown(keras.losses.Loss):
    def call(self, true, predicted):
        return keras.ops.mean(keras.ops.square(predicted - true), -1)
layer = dk.Dropout(0.5, seed=4)
model = keras.Sequential([keras.Input((100,)), layer])
model.compile("sgd", loss=Shown())
x = np.ones((8, 100), "float32")
key = layer.next_key
found = model.fit(x, np.zeros_like(x), batch_size=8, epochs=1, verbose=0).history["loss"][0]
mask = dropkit.mask(key, x.shape, layer.description)
np.testing.assert_allclose(found, (mask**2).mean(), rtol=1e-6)
"""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
