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
from dropkit.torch.methods.condition_dropout import ConditionDropout, guided
from dropkit.torch.methods.ct_gan import ct_gan
from dropkit.torch.methods.dro_q import dro_q
from dropkit.torch.methods.drop_max import DropMax
from dropkit.torch.methods.dropout_distillation import dropout_distillation
from dropkit.torch.methods.fraternal_dropout import fraternal_dropout, squared_difference
from dropkit.torch.methods.modality_dropout import ModalityDropout
from dropkit.torch.methods.multi_sample_dropout import MultiSampleDropout
from dropkit.torch.methods.nested_dropout import NestedDropout
from dropkit.torch.methods.ordered_dropout import OrderedDropout
from dropkit.torch.methods.r_drop import r_drop, symmetric_kl
from dropkit.torch.penalty import PenaltyHook, parameter_groups, penalty
from dropkit.torch.schedule import Stepper, set_depth_rates, set_rates
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.streams import name_streams, under_key
from dropkit.torch.tokens import EmbeddingDropout, TokenDropout
from dropkit.torch.two_passes import passes, two_passes

__all__ = [
    "AlphaDropout",
    "ConditionDropout",
    "Drop",
    "DropBlock2d",
    "DropMax",
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
    "ModalityDropout",
    "MultiSampleDropout",
    "NestedDropout",
    "OrderedDropout",
    "PenaltyHook",
    "SpatialDropout",
    "Stepper",
    "Stochastic",
    "TokenDropout",
    "UniformDropout",
    "Zoneout",
    "ct_gan",
    "dro_q",
    "dropout_distillation",
    "fraternal_dropout",
    "functional",
    "guided",
    "max_norm_",
    "name_streams",
    "parameter_groups",
    "passes",
    "penalty",
    "r_drop",
    "set_depth_rates",
    "set_rates",
    "squared_difference",
    "symmetric_kl",
    "two_passes",
    "under_key",
]
