"""Caffe's BatchNorm where the file says whose statistics it takes, whatever the phase."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["BatchNormOfBatch", "FrozenBatchNorm"]


class _AnyRank(nn.BatchNorm1d):
    def _check_input_dim(self, input: Tensor) -> None:
        pass


class FrozenBatchNorm(_AnyRank):
    """Normalization by fixed statistics, in training too: `use_global_stats: true`.

    >>> FrozenBatchNorm(3, affine=False).train().training
    False
    """

    def train(self, mode: bool = True) -> FrozenBatchNorm:
        """Stay as it is."""
        super().train(False)
        return self


class BatchNormOfBatch(_AnyRank):
    """Normalization by the batch's own statistics, in evaluation too: `use_global_stats: false`.

    >>> BatchNormOfBatch(1, affine=False).eval()(torch.tensor([[1.0], [3.0]])).round().flatten().tolist()
    [-1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer; training counts the statistics as well."""
        if self.training:
            return super().forward(input)
        dims = [axis for axis in range(input.dim()) if axis != 1]
        centred = input - input.mean(dims, keepdim=True)
        return centred / torch.sqrt(centred.square().mean(dims, keepdim=True) + self.eps)
