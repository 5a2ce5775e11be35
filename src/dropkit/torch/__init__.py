"""dropkit for PyTorch: drop-in layers and functions, and every other dropout in the same form."""

from dropkit.core.check import try_import

# Before the first import below fails without a line to type.
try_import("torch", extra="torch")

from dropkit.torch import functional
from dropkit.torch.graph import gcn_norm
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
from dropkit.torch.methods.drop_edge import DropEdge
from dropkit.torch.methods.drop_gnn import DropGNN
from dropkit.torch.methods.drop_node import DropNode
from dropkit.torch.methods.feature_mask import FeatureMask
from dropkit.torch.methods.gating_dropout import GatingDropout
from dropkit.torch.methods.grand import RandomPropagation, grand_consistency
from dropkit.torch.methods.graph_drop_connect import GraphDropConnect
from dropkit.torch.methods.graph_drop_path import GraphDropPath
from dropkit.torch.methods.layer_drop import LayerDropList
from dropkit.torch.methods.progressive_layer_drop import SwitchedBranch
from dropkit.torch.penalty import PenaltyHook, parameter_groups, penalty
from dropkit.torch.schedule import Stepper, set_depth_rates, set_rates
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.streams import name_streams, under_key
from dropkit.torch.tokens import EmbeddingDropout, TokenDropout

__all__ = [
    "AlphaDropout",
    "Drop",
    "DropBlock2d",
    "DropEdge",
    "DropGNN",
    "DropNode",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "EmbeddingDropout",
    "FeatureAlphaDropout",
    "FeatureMask",
    "GatingDropout",
    "GaussianDropout",
    "GraphDropConnect",
    "GraphDropPath",
    "HeadDropout",
    "InputDropout",
    "Layer",
    "LayerDropList",
    "LockedDropout",
    "PenaltyHook",
    "RandomPropagation",
    "SpatialDropout",
    "Stepper",
    "Stochastic",
    "SwitchedBranch",
    "TokenDropout",
    "UniformDropout",
    "Zoneout",
    "functional",
    "gcn_norm",
    "grand_consistency",
    "max_norm_",
    "name_streams",
    "parameter_groups",
    "penalty",
    "set_depth_rates",
    "set_rates",
    "under_key",
]
