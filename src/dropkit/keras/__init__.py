"""dropkit for Keras 3 on TensorFlow, JAX and PyTorch: drop-in layers, and every other in the same form."""

from dropkit.core.check import try_import

# Before the first import below fails without a line to type.
try_import("keras", extra="keras")

from dropkit.keras.supported import check_keras

check_keras()

from dropkit.keras.attention import MultiHeadAttention
from dropkit.keras.check import KerasError
from dropkit.keras.concrete_dropout import ConcreteDropout
from dropkit.keras.exchange import from_torch, to_torch
from dropkit.keras.layer import Drop, Layer
from dropkit.keras.layers import (
    AlphaDropout,
    DropBlock1D,
    DropBlock2D,
    DropBlock3D,
    Dropout,
    DropPath,
    FeatureAlphaDropout,
    FeatureMask,
    GaussianDropout,
    GraphDropConnect,
    HeadDropout,
    InputDropout,
    LockedDropout,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
    TokenDropout,
    UniformDropout,
)
from dropkit.keras.op import perturb
from dropkit.keras.r_drop import RDrop, SymmetricKL
from dropkit.keras.recurrent import DropRNN
from dropkit.keras.stepper import Stepper
from dropkit.keras.weights import DropConnect, EmbeddingDropout, StochasticDepth

__all__ = [
    "AlphaDropout",
    "ConcreteDropout",
    "Drop",
    "DropBlock1D",
    "DropBlock2D",
    "DropBlock3D",
    "DropConnect",
    "DropPath",
    "DropRNN",
    "Dropout",
    "EmbeddingDropout",
    "FeatureAlphaDropout",
    "FeatureMask",
    "GaussianDropout",
    "GraphDropConnect",
    "HeadDropout",
    "InputDropout",
    "KerasError",
    "Layer",
    "LockedDropout",
    "MultiHeadAttention",
    "RDrop",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Stepper",
    "StochasticDepth",
    "SymmetricKL",
    "TokenDropout",
    "UniformDropout",
    "from_torch",
    "perturb",
    "to_torch",
]
