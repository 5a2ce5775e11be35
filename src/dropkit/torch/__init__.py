"""dropkit for PyTorch: drop-in layers and functions, and every other dropout in the same form."""

from dropkit.core.check import try_import

# Before the first import below fails without a line to type.
try_import("torch", extra="torch")

from dropkit.torch import functional
from dropkit.torch.attention import Attention, scaled_dot_product_attention
from dropkit.torch.flex import drop_key_score_mod
from dropkit.torch.fused import bias_act_dropout, dropout_add, dropout_add_layer_norm
from dropkit.torch.fused_layers import DropoutAdd, DropoutAddLayerNorm, LinearActDropout
from dropkit.torch.graph import gcn_norm
from dropkit.torch.layer import Drop, Layer
from dropkit.torch.layers import (
    AlphaDropout,
    DropBlock2d,
    DropBlock3d,
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
from dropkit.torch.methods.channel_drop_back import ChannelDropBack
from dropkit.torch.methods.concrete_dropout import ConcreteDropout
from dropkit.torch.methods.condition_dropout import ConditionDropout, guided
from dropkit.torch.methods.consistent_dropout import ConsistentDropout
from dropkit.torch.methods.contextual_dropout import ContextualDropout, arm_backward
from dropkit.torch.methods.ct_gan import ct_gan
from dropkit.torch.methods.cutoff import Cutoff, jensen_shannon
from dropkit.torch.methods.cutout import Cutout
from dropkit.torch.methods.dro_q import dro_q
from dropkit.torch.methods.drop_activation import DropActivation
from dropkit.torch.methods.drop_attention import DropAttention
from dropkit.torch.methods.drop_connect import DropConnect
from dropkit.torch.methods.drop_edge import DropEdge
from dropkit.torch.methods.drop_gnn import DropGNN
from dropkit.torch.methods.drop_head import DropHead
from dropkit.torch.methods.drop_key import DropKey
from dropkit.torch.methods.drop_max import DropMax
from dropkit.torch.methods.drop_node import DropNode
from dropkit.torch.methods.dropout_distillation import dropout_distillation
from dropkit.torch.methods.fast_dropout import FastDropout, relu_moments, sigmoid_moments
from dropkit.torch.methods.feature_mask import FeatureMask
from dropkit.torch.methods.forgetful_causal_mask import ForgetfulCausalMask
from dropkit.torch.methods.fractal_drop_path import FractalDropPath, global_column
from dropkit.torch.methods.fraternal_dropout import fraternal_dropout, squared_difference
from dropkit.torch.methods.gating_dropout import GatingDropout
from dropkit.torch.methods.grand import RandomPropagation, grand_consistency
from dropkit.torch.methods.graph_drop_connect import GraphDropConnect
from dropkit.torch.methods.graph_drop_path import GraphDropPath
from dropkit.torch.methods.guided_dropout import GuidedDropout
from dropkit.torch.methods.hide_and_seek import HideAndSeek
from dropkit.torch.methods.information_dropout import InformationDropout
from dropkit.torch.methods.jumpout import Jumpout
from dropkit.torch.methods.l0_gates import L0Gates, L0Weights
from dropkit.torch.methods.layer_drop import LayerDropList
from dropkit.torch.methods.lora_dropout import LoRALinear
from dropkit.torch.methods.masksembles import Masksembles
from dropkit.torch.methods.max_dropout import MaxDropout
from dropkit.torch.methods.max_pooling_dropout import MaxPoolingDropout
from dropkit.torch.methods.mixout import Mixout
from dropkit.torch.methods.modality_dropout import ModalityDropout
from dropkit.torch.methods.multi_sample_dropout import MultiSampleDropout
from dropkit.torch.methods.nested_dropout import NestedDropout
from dropkit.torch.methods.ordered_dropout import OrderedDropout
from dropkit.torch.methods.patch_dropout import PatchDropout
from dropkit.torch.methods.progressive_layer_drop import SwitchedBranch
from dropkit.torch.methods.quant_noise import QuantNoise
from dropkit.torch.methods.r_drop import r_drop, symmetric_kl
from dropkit.torch.methods.random_erasing import RandomErasing
from dropkit.torch.methods.shake_drop import ShakeDrop
from dropkit.torch.methods.shake_shake import ShakeShake
from dropkit.torch.methods.shakeout import Shakeout
from dropkit.torch.methods.sparse_variational_dropout import SparseVariationalDropout
from dropkit.torch.methods.spec_augment import SpecAugment
from dropkit.torch.methods.spectral_dropout import SpectralDropout
from dropkit.torch.methods.standout import Standout
from dropkit.torch.methods.stochastic_pooling import StochasticPooling
from dropkit.torch.methods.structured_bayesian_pruning import StructuredBayesianPruning
from dropkit.torch.methods.swapout import Swapout
from dropkit.torch.methods.targeted_unit_dropout import TargetedUnitDropout
from dropkit.torch.methods.targeted_weight_dropout import TargetedWeightDropout
from dropkit.torch.methods.token_dropping import TokenDropping
from dropkit.torch.methods.uni_drop import DataDropout, uni_drop
from dropkit.torch.methods.variational_dropout import VariationalDropout, VariationalLinear
from dropkit.torch.methods.weight_drop_lstm import WeightDrop
from dropkit.torch.methods.weighted_channel_dropout import WeightedChannelDropout
from dropkit.torch.methods.whiteout import Whiteout
from dropkit.torch.multihead import MultiheadAttention
from dropkit.torch.noisy import NoisyWeights, unwrap_weights, wrap_weights
from dropkit.torch.penalties import PenaltyHook, parameter_groups, penalty
from dropkit.torch.recurrent import DropGRU, DropLSTM, DropRNN
from dropkit.torch.replace import replace_functional
from dropkit.torch.schedule import Stepper, set_depth_rates, set_rates
from dropkit.torch.skip import SkipBranch, Thinned
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.streams import name_streams, under_key
from dropkit.torch.thin_lstm import ThinLSTM
from dropkit.torch.tokens import EmbeddingDropout, TokenDropout
from dropkit.torch.transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer
from dropkit.torch.transformers_attention import use_attention
from dropkit.torch.two_passes import passes, two_passes

__all__ = [
    "AlphaDropout",
    "Attention",
    "ChannelDropBack",
    "ConcreteDropout",
    "ConditionDropout",
    "ConsistentDropout",
    "ContextualDropout",
    "Cutoff",
    "Cutout",
    "DataDropout",
    "Drop",
    "DropActivation",
    "DropAttention",
    "DropBlock2d",
    "DropBlock3d",
    "DropConnect",
    "DropEdge",
    "DropGNN",
    "DropGRU",
    "DropHead",
    "DropKey",
    "DropLSTM",
    "DropMax",
    "DropNode",
    "DropPath",
    "DropRNN",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "DropoutAdd",
    "DropoutAddLayerNorm",
    "EmbeddingDropout",
    "FastDropout",
    "FeatureAlphaDropout",
    "FeatureMask",
    "ForgetfulCausalMask",
    "FractalDropPath",
    "GatingDropout",
    "GaussianDropout",
    "GraphDropConnect",
    "GraphDropPath",
    "GuidedDropout",
    "HeadDropout",
    "HideAndSeek",
    "InformationDropout",
    "InputDropout",
    "Jumpout",
    "L0Gates",
    "L0Weights",
    "Layer",
    "LayerDropList",
    "LinearActDropout",
    "LoRALinear",
    "LockedDropout",
    "Masksembles",
    "MaxDropout",
    "MaxPoolingDropout",
    "Mixout",
    "ModalityDropout",
    "MultiSampleDropout",
    "MultiheadAttention",
    "NestedDropout",
    "NoisyWeights",
    "OrderedDropout",
    "PatchDropout",
    "PenaltyHook",
    "QuantNoise",
    "RandomErasing",
    "RandomPropagation",
    "ShakeDrop",
    "ShakeShake",
    "Shakeout",
    "SkipBranch",
    "SparseVariationalDropout",
    "SpatialDropout",
    "SpecAugment",
    "SpectralDropout",
    "Standout",
    "Stepper",
    "Stochastic",
    "StochasticPooling",
    "StructuredBayesianPruning",
    "Swapout",
    "SwitchedBranch",
    "TargetedUnitDropout",
    "TargetedWeightDropout",
    "ThinLSTM",
    "Thinned",
    "TokenDropout",
    "TokenDropping",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
    "UniformDropout",
    "VariationalDropout",
    "VariationalLinear",
    "WeightDrop",
    "WeightedChannelDropout",
    "Whiteout",
    "Zoneout",
    "arm_backward",
    "bert_dropout",
    "ct_gan",
    "dro_q",
    "drop_key_score_mod",
    "dropout_distillation",
    "fraternal_dropout",
    "bias_act_dropout",
    "dropout_add",
    "dropout_add_layer_norm",
    "functional",
    "gcn_norm",
    "global_column",
    "grand_consistency",
    "guided",
    "jensen_shannon",
    "max_norm_",
    "name_streams",
    "parameter_groups",
    "passes",
    "penalty",
    "r_drop",
    "relu_moments",
    "replace_functional",
    "scaled_dot_product_attention",
    "set_depth_rates",
    "set_rates",
    "sigmoid_moments",
    "squared_difference",
    "symmetric_kl",
    "two_passes",
    "under_key",
    "uni_drop",
    "unwrap_weights",
    "use_attention",
    "wrap_weights",
]
