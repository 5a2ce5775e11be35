"""What each foreign call becomes, and that this runs."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from dropkit.migrate import CONVENTIONS
from dropkit.migrate.check import check_source

# Source, the convention, and what it becomes.
CALLS = [
    ("import torch.nn as nn; nn.Dropout(0.2)", "torch", "dropkit.torch.Dropout(0.2)"),
    ("from torch import nn; nn.Dropout2d(p=0.2)", "torch", "dropkit.torch.Dropout2d(0.2)"),
    ("import torch; torch.nn.AlphaDropout()", "torch", "dropkit.torch.AlphaDropout(0.5)"),
    ("from torch.nn import Dropout as D; D(p)", "torch", "dropkit.torch.Dropout(p)"),
    ("from torch.nn import *; Dropout(.3)", "torch", "dropkit.torch.Dropout(0.3)"),
    ("from torch.nn.modules.dropout import Dropout; Dropout(.3)", "torch", "dropkit.torch.Dropout(0.3)"),
    (
        "from torch.nn import functional as F; F.dropout(h, 0.2)",
        "torch function",
        "dropkit.torch.functional.dropout(h, 0.2, training=self.training)",
    ),
    (
        "import torch.nn.functional as F; F.dropout2d(h, p=0.2, training=mode)",
        "torch function",
        "dropkit.torch.functional.dropout2d(h, 0.2, training=mode)",
    ),
    ("import tensorflow as tf; tf.nn.dropout(x, keep_prob=0.9)", "tensorflow 1", "dropkit.drop(x, 0.1)"),
    ("import tensorflow as tf; tf.nn.dropout(x, rate=0.9)", "tensorflow 2", "dropkit.drop(x, 0.9)"),
    ("import tensorflow.compat.v1 as tf; tf.nn.dropout(x, 0.9)", "tensorflow 1", "dropkit.drop(x, 0.1)"),
    ("import tensorflow as tf; tf.compat.v1.nn.dropout(x, rate=0.9)", "tensorflow 2", "dropkit.drop(x, 0.9)"),
    (
        "import tensorflow as tf; k = tf.placeholder('float'); tf.nn.dropout(x, k)",
        "tensorflow 1",
        "dropkit.drop(x, 1 - k)",
    ),
    (
        "import tensorflow as tf; tf.nn.dropout(x, keep_prob=a + b)",
        "tensorflow 1",
        "dropkit.drop(x, 1 - (a + b))",
    ),
    (
        "import tensorflow as tf; tf.nn.dropout(x, rate=.5, noise_shape=[n, 1, c])",
        "tensorflow 2",
        'dropkit.drop(x, 0.5, dropkit.migrate.pattern_from("tensorflow 2", [n, 1, c], x.ndim))',
    ),
    ("import tensorflow as tf; tf.layers.dropout(x)", "tensorflow 1 layers", "dropkit.drop(x, 0.5)"),
    ("import tensorflow as tf; slim = tf.contrib.slim; slim.dropout(x, 0.8)", "slim", "dropkit.drop(x, 0.2)"),
    ("import tf_slim as slim; slim.dropout(x)", "slim", "dropkit.drop(x, 0.5)"),
    ("import tflearn; tflearn.dropout(x, 0.8)", "tflearn", "dropkit.drop(x, 0.2)"),
    ("from keras.layers import Dropout; Dropout(rate=0.3)", "keras", "dropkit.keras.Dropout(rate=0.3)"),
    ("from tensorflow import keras; keras.layers.Dropout(.3)", "keras", "dropkit.keras.Dropout(.3)"),
    (
        "from tensorflow.keras import layers as L; L.SpatialDropout2D(.3)",
        "keras",
        "dropkit.keras.SpatialDropout2D(.3)",
    ),
    ("from keras.layers.core import Dropout; Dropout(.3)", "keras", "dropkit.keras.Dropout(.3)"),
    ("from tensorflow.python.keras.layers import Dropout; Dropout(.3)", "keras", "dropkit.keras.Dropout(.3)"),
    ("import mindspore.nn as nn; nn.Dropout(0.9)", "mindspore keep_prob", "dropkit.torch.Dropout(0.1)"),
    ("from mindspore import nn; nn.Dropout(p=0.9)", "mindspore", "dropkit.torch.Dropout(0.9)"),
    ("import paddle; paddle.nn.Dropout(0.3)", "paddle", "dropkit.torch.Dropout(0.3)"),
    (
        "import paddle.nn.functional as F; F.dropout(x, 0.3, mode='downscale_in_infer')",
        "paddle function",
        'dropkit.torch.Dropout(0.3, scale="eval")',
    ),
    (
        "from paddle import nn; nn.Dropout(0.3, axis=[0, 1])",
        "paddle",
        'dropkit.torch.Drop(0.3, dropkit.migrate.pattern_from("paddle", [0, 1], x.ndim))',
    ),
    (
        "import paddle.fluid as fluid; fluid.layers.dropout(x, dropout_prob=0.3)",
        "paddle 1",
        'dropkit.torch.Dropout(0.3, scale="eval")',
    ),
    (
        "import paddle.fluid as fluid; fluid.dygraph.Dropout(dropout_implementation='upscale_in_train')",
        "paddle 1 layer",
        "dropkit.torch.Dropout(0.5)",
    ),
    (
        "from caffe import layers as L; L.Dropout(n.fc6, dropout_ratio=0.4, in_place=True)",
        "caffe",
        "dropkit.torch.Dropout(0.4)",
    ),
    ("import mxnet as mx; mx.nd.Dropout(x, p=0.3)", "mxnet", "dropkit.torch.Dropout(0.3)"),
    ("from mxnet.gluon import nn; nn.Dropout(0.3)", "gluon", "dropkit.torch.Dropout(0.3)"),
    ("import flax.linen as nn; nn.Dropout(rate=0.3)", "flax", "dropkit.drop(x, 0.3, key=key)"),
    ("from flax import nnx; nnx.Dropout(0.3, rngs=rngs)", "flax", "dropkit.drop(x, 0.3, key=key)"),
    (
        "import haiku as hk; hk.dropout(hk.next_rng_key(), 0.3, x)",
        "haiku",
        "dropkit.drop(x, 0.3, key=hk.next_rng_key())",
    ),
    ("import equinox as eqx; eqx.nn.Dropout(0.3)", "equinox", "dropkit.drop(x, 0.3, key=key)"),
    (
        "import lasagne; lasagne.layers.DropoutLayer(net, p=.3, rescale=False)",
        "lasagne",
        'dropkit.torch.Dropout(0.3, scale="none")',
    ),
    ("import chainer.functions as F; F.dropout(x, ratio=0.3)", "chainer", "dropkit.torch.Dropout(0.3)"),
    (
        "import tensorflow as tf; tf.nn.dropout(h, None, [n, 1, c, 5], rate=0.9)",
        "tensorflow 2",
        'dropkit.drop(h, 0.9, dropkit.migrate.pattern_from("tensorflow 2", [n, 1, c, 5], h.ndim))',
    ),
    (
        "import tensorflow as tf; tf.nn.experimental.stateless_dropout(x, .3, n)",
        "tensorflow 2 stateless",
        "dropkit.drop(x, 0.3, key=n)",
    ),
    (
        "import tensorflow as tf; tf.layers.dropout(inputs=h, rate=.3, training=mode)",
        "tensorflow 1 layers",
        'dropkit.drop(h, 0.3, mode="train" if mode else "eval")',
    ),
    ("import tf_slim as slim; slim.dropout(x, .8, None, False)", "slim", 'dropkit.drop(x, 0.2, mode="eval")'),
    ("import tf_slim as slim; slim.dropout(x, .8, is_training=True)", "slim", "dropkit.drop(x, 0.2)"),
    (
        "import tensorflow as tf; tf.nn.rnn_cell.DropoutWrapper(cell, 0.9)",
        "tensorflow 1 input_keep_prob",
        "dropkit.drop(x, 0.1)",
    ),
    (
        "import tensorflow as tf; tf.contrib.rnn.DropoutWrapper(cell, 1.0, output_keep_prob=k)",
        "tensorflow 1 output_keep_prob",
        "dropkit.drop(output, 1 - k)",
    ),
    (
        "from tensorflow.nn import *; RNNCellDropoutWrapper(c, 1, 1, .7, variational_recurrent=True)",
        "tensorflow 1 state_keep_prob",
        'dropkit.drop(state, 0.3, "... d -> d")',
    ),
    (
        "from tensorflow.nn import rnn_cell; rnn_cell.DropoutWrapper(c, .7, variational_recurrent=mode)",
        "tensorflow 1 input_keep_prob",
        'dropkit.drop(x, 0.3, "... d -> d" if mode else "...")',
    ),
    (
        "from keras import layers; layers.Dropout(p, (None, 1, None), seed=7)",
        "keras",
        "dropkit.keras.Dropout(p, (None, 1, None), seed=7)",
    ),
    (
        "from torch.nn import functional as F; F.scaled_dot_product_attention(q, q, q, None, 0.1)",
        "torch attention",
        "dropkit.torch.scaled_dot_product_attention(q, q, q, None, 0.1)",
    ),
    (
        "from torch.nn.functional import *; scaled_dot_product_attention(q, q, q, dropout_p=p, scale=c)",
        "torch attention",
        "dropkit.torch.scaled_dot_product_attention(q, q, q, dropout_p=p, scale=c)",
    ),
    ("from mindspore import ops; ops.dropout(x, 0.3)", "mindspore function", "dropkit.torch.Dropout(0.3)"),
    (
        "import mindspore; mindspore.ops.dropout2d(x, p=0.3)",
        "mindspore function",
        "dropkit.torch.Dropout2d(0.3)",
    ),
    (
        "import paddle; paddle.nn.Dropout(0.3, 0, 'downscale_in_infer')",
        "paddle",
        'dropkit.torch.Drop(0.3, dropkit.migrate.pattern_from("paddle", 0, x.ndim), scale="eval")',
    ),
    (
        "import paddle; paddle.nn.functional.dropout2d(x, 0.3, True)",
        "paddle function",
        "dropkit.torch.Dropout2d(0.3)",
    ),
    (
        "import flax.linen as nn; nn.Dropout(0.3, (1,), deterministic=mode)",
        "flax",
        'dropkit.drop(x, 0.3, dropkit.migrate.pattern_from("flax", (1,), x.ndim), '
        'mode="eval" if mode else "train", key=key)',
    ),
]


@pytest.mark.parametrize(("text", "convention", "becomes"), CALLS, ids=[call[0] for call in CALLS])
def test_a_call_is_found_and_translated(text: str, convention: str, becomes: str) -> None:
    (found,) = check_source(text)
    assert (found.convention, found.becomes, found.doubt) == (convention, becomes, "")
    assert found.active
    assert found.trap


def test_every_convention_of_python_is_found() -> None:
    assert {call[1] for call in CALLS} == {name for name, known in CONVENTIONS.items() if known.calls}


def names() -> dict[str, Any]:
    """What the names in the calls may stand for."""
    torch: Any = pytest.importorskip("torch", reason="PyTorch is an optional package")
    import dropkit

    return {
        "dropkit": dropkit,
        **dict.fromkeys(("x", "output", "state"), torch.ones(2, 3, 4)),
        "h": torch.ones(2, 3, 4, 5),
        "q": torch.ones(2, 3, 4, 5),
        "self": torch.nn.ReLU(),
        "hk": SimpleNamespace(next_rng_key=lambda: 3),
        **{"p": 0.5, "k": 0.5, "a": 0.2, "b": 0.2, "mode": True, "n": 2, "c": 4, "key": 1},
    }


def test_the_suggestions_run_and_do_what_the_call_said() -> None:
    for text, convention, becomes in CALLS:
        if convention == "keras":
            continue
        meant = names()
        made = eval(becomes, meant)
        (found,) = check_source(text)
        if isinstance(made, meant["dropkit"].torch.Layer) and found.rate is not None:
            assert made.description.rate == found.rate


_KERAS = """
import json, sys
import dropkit, dropkit.keras
p = 0.5
for becomes, rate in json.loads(sys.argv[1]):
    layer = eval(becomes)
    assert rate is None or layer.rate == rate, becomes
for name in json.loads(sys.argv[2]):
    assert callable(getattr(dropkit.keras, name)), name
"""


def test_the_suggestions_for_keras_run_too() -> None:
    suggested = [(call[2], check_source(call[0])[0].rate) for call in CALLS if call[1] == "keras"]
    targets = [target.removeprefix("keras.") for target in CONVENTIONS["keras"].calls.values()]
    subprocess.run(
        [sys.executable, "-c", _KERAS, json.dumps(suggested), json.dumps(targets)],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        check=True,
    )
