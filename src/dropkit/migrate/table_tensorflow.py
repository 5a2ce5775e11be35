"""The conventions of TensorFlow, of what stands on it, and of Keras."""

from __future__ import annotations

from dropkit.migrate.conventions import Convention

__all__ = ["TENSORFLOW"]

_ALWAYS = "at every call"
_KERAS = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    *("AlphaDropout", "GaussianDropout"),
)


def _arrays(*calls: str) -> dict[str, str]:
    return dict.fromkeys(calls, "drop")


def _wrapper(argument: str, position: int, x: str, trap: str) -> Convention:
    homes = ("tensorflow.nn.rnn_cell", "tensorflow.compat.v1.nn.rnn_cell", "tensorflow.contrib.rnn")
    return Convention(
        f"tensorflow 1 {argument}",
        argument,
        "keep",
        _arrays(*(f"{home}.DropoutWrapper" for home in homes), "tensorflow.nn.RNNCellDropoutWrapper"),
        position,
        1.0,
        active=_ALWAYS,
        trap=trap,
        source="https://www.tensorflow.org/api_docs/python/tf/nn/RNNCellDropoutWrapper",
        others={"x": (x, None), "recurrent": ("variational_recurrent", 4)},
    )


TENSORFLOW = (
    Convention(
        "tensorflow 1",
        "keep_prob",
        "keep",
        _arrays("tensorflow.nn.dropout", "tensorflow.compat.v1.nn.dropout"),
        1,
        None,
        active=_ALWAYS,
        trap="the same call means the opposite in TensorFlow 2: there the second argument is dropped",
        source="https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/nn/dropout",
        axes="noise_shape",
        axes_are="shape",
        axes_position=2,
        others={"x": ("x", 0)},
    ),
    Convention(
        "tensorflow 2",
        "rate",
        "drop",
        _arrays(
            "tensorflow.nn.dropout",
            "tensorflow.compat.v1.nn.dropout",
        ),
        1,
        None,
        active=_ALWAYS,
        trap="it has no training argument: the caller leaves it out in evaluation",
        source="https://www.tensorflow.org/api_docs/python/tf/nn/dropout",
        axes="noise_shape",
        axes_are="shape",
        axes_position=2,
        others={"x": ("x", 0)},
    ),
    Convention(
        "tensorflow 2 stateless",
        "rate",
        "drop",
        _arrays("tensorflow.nn.experimental.stateless_dropout"),
        1,
        None,
        active=_ALWAYS,
        trap="a key is one whole number or a tensor: a seed that is a list becomes tf.constant(seed)",
        source="https://www.tensorflow.org/api_docs/python/tf/nn/experimental/stateless_dropout",
        axes="noise_shape",
        axes_are="shape",
        axes_position=4,
        others={"x": ("x", 0), "key": ("seed", 2)},
    ),
    _wrapper("input_keep_prob", 1, "x", "it drops what the cell takes, at each step"),
    _wrapper("output_keep_prob", 2, "output", "it drops what the cell gives, not its state"),
    _wrapper(
        "state_keep_prob",
        3,
        "state",
        "it drops the state that a step leaves, of an LSTM h and not c; variational: one key for all steps",
    ),
    Convention(
        "tensorflow 1 layers",
        "rate",
        "drop",
        _arrays("tensorflow.layers.dropout", "tensorflow.compat.v1.layers.dropout"),
        1,
        0.5,
        active="never, unless training=True is given",
        trap="without training=True it did nothing: the model was trained without dropout",
        source="https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/layers/dropout",
        axes="noise_shape",
        axes_are="shape",
        axes_position=2,
        others={"x": ("inputs", 0), "training": ("training", 4)},
    ),
    Convention(
        "slim",
        "keep_prob",
        "keep",
        _arrays(
            "tf_slim.dropout",
            "tf_slim.layers.dropout",
            "tensorflow.contrib.slim.dropout",
            "tensorflow.contrib.layers.dropout",
        ),
        1,
        0.5,
        active="at every call unless is_training=False",
        trap="keep_prob is the share that is kept",
        source="https://github.com/google-research/tf-slim/blob/master/tf_slim/layers/layers.py",
        axes="noise_shape",
        axes_are="shape",
        axes_position=2,
        others={"x": ("inputs", 0), "training": ("is_training", 3)},
    ),
    Convention(
        "tflearn",
        "keep_prob",
        "keep",
        _arrays("tflearn.dropout", "tflearn.layers.core.dropout"),
        1,
        None,
        active="in training mode (tflearn.is_training)",
        trap="keep_prob is the share that is kept",
        source="https://github.com/tflearn/tflearn/blob/master/tflearn/layers/core.py",
        axes="noise_shape",
        axes_are="shape",
        axes_position=2,
        others={"x": ("incoming", 0)},
    ),
    Convention(
        "keras",
        "rate",
        "drop",
        {
            f"{home}.layers.{name}": f"keras.{name}"
            for home in ("keras", "tensorflow.keras", "tf_keras")
            for name in _KERAS
        },
        0,
        None,
        active="with training=True: in fit, not in predict",
        trap="training=True for Monte Carlo also moves BatchNorm: use dropkit.mode(model, 'mc')",
        source="https://keras.io/api/layers/regularization_layers/dropout/",
        axes="noise_shape",
        axes_are="shape",
    ),
)
