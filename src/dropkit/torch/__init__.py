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
from dropkit.torch.methods.bert_dropout import bert_dropout
from dropkit.torch.methods.cutoff import Cutoff, jensen_shannon
from dropkit.torch.methods.drop_attention import DropAttention
from dropkit.torch.methods.drop_head import DropHead
from dropkit.torch.methods.drop_key import DropKey
from dropkit.torch.methods.forgetful_causal_mask import ForgetfulCausalMask
from dropkit.torch.methods.patch_dropout import PatchDropout
from dropkit.torch.methods.token_dropping import TokenDropping
from dropkit.torch.methods.uni_drop import DataDropout, uni_drop
from dropkit.torch.penalty import PenaltyHook, parameter_groups, penalty
from dropkit.torch.schedule import Stepper, set_depth_rates, set_rates
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.streams import name_streams, under_key
from dropkit.torch.tokens import EmbeddingDropout, TokenDropout

__all__ = [
    "AlphaDropout",
    "Cutoff",
    "DataDropout",
    "Drop",
    "DropAttention",
    "DropBlock2d",
    "DropHead",
    "DropKey",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "EmbeddingDropout",
    "FeatureAlphaDropout",
    "ForgetfulCausalMask",
    "GaussianDropout",
    "HeadDropout",
    "InputDropout",
    "Layer",
    "LockedDropout",
    "PatchDropout",
    "PenaltyHook",
    "SpatialDropout",
    "Stepper",
    "Stochastic",
    "TokenDropout",
    "TokenDropping",
    "UniformDropout",
    "Zoneout",
    "bert_dropout",
    "functional",
    "jensen_shannon",
    "max_norm_",
    "name_streams",
    "parameter_groups",
    "penalty",
    "set_depth_rates",
    "set_rates",
    "under_key",
    "uni_drop",
]
