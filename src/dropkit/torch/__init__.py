"""dropkit for PyTorch: drop-in layers and functions, and every other dropout in the same form."""

from dropkit.core.check import try_import

# Before the first import below fails without a line to type.
try_import("torch", extra="torch")

from dropkit.torch import functional
from dropkit.torch.layer import Drop, Layer
from dropkit.torch.layers import (
    AlphaDropout,
    DropBlock2d,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    DropPath,
    FeatureAlphaDropout,
    GaussianDropout,
    HeadDropout,
    InputDropout,
    LockedDropout,
    SpatialDropout,
    UniformDropout,
    Zoneout,
)
from dropkit.torch.max_norm import max_norm_
from dropkit.torch.methods.channel_drop_back import ChannelDropBack
from dropkit.torch.methods.drop_connect import DropConnect
from dropkit.torch.methods.l0_gates import L0Gates, L0Weights
from dropkit.torch.methods.lora_dropout import LoRALinear
from dropkit.torch.methods.mixout import Mixout
from dropkit.torch.methods.quant_noise import QuantNoise
from dropkit.torch.methods.sparse_variational_dropout import SparseVariationalDropout
from dropkit.torch.methods.structured_bayesian_pruning import StructuredBayesianPruning
from dropkit.torch.methods.targeted_weight_dropout import TargetedWeightDropout
from dropkit.torch.methods.weight_drop_lstm import WeightDrop
from dropkit.torch.noisy import NoisyWeights, unwrap_weights, wrap_weights
from dropkit.torch.penalty import PenaltyHook, parameter_groups, penalty
from dropkit.torch.schedule import Stepper, set_depth_rates, set_rates
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.streams import name_streams, under_key
from dropkit.torch.tokens import EmbeddingDropout, TokenDropout

__all__ = [
    "AlphaDropout",
    "ChannelDropBack",
    "Drop",
    "DropBlock2d",
    "DropConnect",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "EmbeddingDropout",
    "FeatureAlphaDropout",
    "GaussianDropout",
    "HeadDropout",
    "InputDropout",
    "L0Gates",
    "L0Weights",
    "Layer",
    "LoRALinear",
    "LockedDropout",
    "Mixout",
    "NoisyWeights",
    "PenaltyHook",
    "QuantNoise",
    "SparseVariationalDropout",
    "SpatialDropout",
    "Stepper",
    "Stochastic",
    "StructuredBayesianPruning",
    "TargetedWeightDropout",
    "TokenDropout",
    "UniformDropout",
    "WeightDrop",
    "Zoneout",
    "functional",
    "max_norm_",
    "name_streams",
    "parameter_groups",
    "penalty",
    "set_depth_rates",
    "set_rates",
    "under_key",
    "unwrap_weights",
    "wrap_weights",
]
