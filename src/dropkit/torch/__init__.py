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
from dropkit.torch.methods.contextual_dropout import ContextualDropout, arm_backward
from dropkit.torch.methods.drop_activation import DropActivation
from dropkit.torch.methods.fractal_drop_path import FractalDropPath, global_column
from dropkit.torch.methods.guided_dropout import GuidedDropout
from dropkit.torch.methods.jumpout import Jumpout
from dropkit.torch.methods.max_dropout import MaxDropout
from dropkit.torch.methods.shakeout import Shakeout
from dropkit.torch.methods.swapout import Swapout
from dropkit.torch.methods.targeted_unit_dropout import TargetedUnitDropout
from dropkit.torch.methods.whiteout import Whiteout
from dropkit.torch.penalty import PenaltyHook, parameter_groups, penalty
from dropkit.torch.schedule import Stepper, set_depth_rates, set_rates
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.streams import name_streams, under_key
from dropkit.torch.tokens import EmbeddingDropout, TokenDropout

__all__ = [
    "arm_backward",
    "ContextualDropout",
    "GuidedDropout",
    "TargetedUnitDropout",
    "Jumpout",
    "MaxDropout",
    "Whiteout",
    "Shakeout",
    "global_column",
    "FractalDropPath",
    "Swapout",
    "DropActivation",
    "AlphaDropout",
    "Drop",
    "DropBlock2d",
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
    "Layer",
    "LockedDropout",
    "PenaltyHook",
    "SpatialDropout",
    "Stepper",
    "Stochastic",
    "TokenDropout",
    "UniformDropout",
    "Zoneout",
    "functional",
    "max_norm_",
    "name_streams",
    "parameter_groups",
    "penalty",
    "set_depth_rates",
    "set_rates",
    "under_key",
]
