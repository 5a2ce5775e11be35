"""The layers of `nn.Transformer` with their dropout fused to what stands beside it.

They are torch's own, with the same parameters; only a call that draws takes another way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from dropkit.core.check import RATE, DropkitError, Whole
from dropkit.torch import fused
from dropkit.torch.layers import Dropout
from dropkit.torch.multihead import MultiheadAttention
from dropkit.torch.stochastic import taken_over

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]

Tensor = torch.Tensor
_ACTIVATIONS: dict[Any, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    F.gelu: "gelu",
    F.silu: "silu",
    nn.ReLU: "relu",
    nn.SiLU: "silu",
}

_SIZES = "give e.g. d_model=64, nhead=8"
_SIZE = Whole(1, _SIZES)


class _Block(NamedTuple):
    """A branch of the layer, the dropout at its end and the norm that belongs to it."""

    branch: Callable[[Tensor], Tensor]
    dropout: Any
    norm: Any


class _Layer(nn.Module):
    """What both have in common: which parts drop, and whether the fused forms may take their place."""

    attentions: ClassVar[tuple[str, ...]]
    dropouts: ClassVar[tuple[str, ...]]
    norms: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        *arguments: Any,
        **settings: Any,
    ) -> None:
        RATE.check("dropout", dropout)
        if _SIZE.check("d_model", d_model) % _SIZE.check("nhead", nhead):
            raise DropkitError("nhead", f"divides d_model, {d_model}", nhead, _SIZES)
        super().__init__(d_model, nhead, dim_feedforward, dropout, *arguments, **settings)
        for name in self.attentions:
            attention = taken_over(getattr(self, name), MultiheadAttention)
            attention.adopt()
            setattr(self, name, attention)
        for name in ("dropout", *self.dropouts):
            setattr(self, name, Dropout(getattr(self, name).p))

    def _fusable(self) -> bool:
        """Whether every part is what the fused forms compute, and nobody listens at it."""
        dropouts: list[Any] = [getattr(self, name) for name in ("dropout", *self.dropouts)]
        norms: list[Any] = [getattr(self, name) for name in self.norms]
        return (
            all(_bare(each, Dropout) and each.drawing for each in dropouts)
            and all(each.description.scale == "train" for each in dropouts)
            and not (torch.compiler.is_compiling() and any(each.scheduled for each in dropouts))
            and all(_bare(each, nn.LayerNorm) and len(each.normalized_shape) == 1 for each in norms)
            and _bare(self.linear1, nn.Linear)
            and _activation(self) is not None
        )


class TransformerEncoderLayer(_Layer, nn.TransformerEncoderLayer):
    """`torch.nn.TransformerEncoderLayer`, its dropouts fused to what stands beside them.

    In training, bias + activation + dropout and dropout + residual + norm are one pass over memory each, and
    attention keeps no probabilities. Masks are those of the same layer unfused. What does not draw is left to
    torch, its fast path included; so is a layer in which a part has hooks or is of another class.

    Args:
        d_model: the number of features.
        nhead: the number of heads, which parts it.
        dim_feedforward: the number of hidden features.
        dropout: the rate of every dropout in it, attention's too, in [0, 1].
        *arguments: the others of `torch.nn.TransformerEncoderLayer`, by position or by name.

    Shapes:
        As torch's: (batch, tokens, features) with `batch_first=True`, else (tokens, batch, features).

    Raises:
        DropkitError: the rate lies outside [0, 1], or the features do not part into the heads.

    >>> layer = TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    >>> layer(torch.randn(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    attentions = ("self_attn",)
    dropouts = "dropout1", "dropout2"
    norms = "norm1", "norm2"

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the layer's output: arguments as in torch."""
        if not self._fusable():
            return super().forward(src, src_mask, src_key_padding_mask, is_causal)

        def attend(x: Tensor) -> Tensor:
            return _attended(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal)

        attention = _Block(attend, self.dropout1, self.norm1)
        forward = _Block(lambda x: _fed_forward(self, x), self.dropout2, self.norm2)
        return _stacked(src, [attention, forward], self.norm_first)


class TransformerDecoderLayer(_Layer, nn.TransformerDecoderLayer):
    """`torch.nn.TransformerDecoderLayer`, its dropouts fused as in `TransformerEncoderLayer`.

    Args:
        d_model: the number of features.
        nhead: the number of heads, which parts it.
        dim_feedforward: the number of hidden features.
        dropout: the rate of every dropout in it, attention's too, in [0, 1].
        *arguments: the others of `torch.nn.TransformerDecoderLayer`, by position or by name.

    Shapes:
        As torch's: (batch, tokens, features) with `batch_first=True`, else (tokens, batch, features).

    Raises:
        DropkitError: the rate lies outside [0, 1], or the features do not part into the heads.

    >>> layer = TransformerDecoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    >>> layer(torch.randn(3, 5, 8), torch.randn(3, 7, 8)).shape
    torch.Size([3, 5, 8])
    """

    attentions = "self_attn", "multihead_attn"
    dropouts = "dropout1", "dropout2", "dropout3"
    norms = "norm1", "norm2", "norm3"

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Return the layer's output: arguments as in torch."""
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        if not self._fusable():
            return super().forward(tgt, memory, *masks, tgt_is_causal, memory_is_causal)

        def attend(x: Tensor) -> Tensor:
            return _attended(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def look(x: Tensor) -> Tensor:
            return _attended(
                self.multihead_attn, x, memory, memory_mask, memory_key_padding_mask, memory_is_causal
            )

        blocks = [
            _Block(attend, self.dropout1, self.norm1),
            _Block(look, self.dropout2, self.norm2),
            _Block(lambda x: _fed_forward(self, x), self.dropout3, self.norm3),
        ]
        return _stacked(tgt, blocks, self.norm_first)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Stay as it is in a copy, where torch's own would take ReLU for an activation that is a module."""
        nn.Module.__setstate__(self, state)  # type: ignore[no-untyped-call]  # it is untyped


def _bare(module: Any, kind: type[nn.Module]) -> bool:
    """Whether a module is of this very class and has neither hooks nor a forward of its own."""
    hooks = len(module._forward_pre_hooks) - getattr(module, "has_own_hook", False)
    others = module._forward_hooks, module._backward_hooks, module._backward_pre_hooks
    return type(module) is kind and not hooks and not any(others) and "forward" not in module.__dict__


def _activation(layer: Any) -> str | None:
    function = layer.activation
    if type(function) is nn.GELU:
        return "gelu" if function.approximate == "none" else "gelu_tanh"
    return _ACTIVATIONS.get(type(function) if isinstance(function, nn.Module) else function)


def _attended(
    attention: Any, x: Tensor, memory: Tensor, mask: Tensor | None, padding: Tensor | None, causal: bool
) -> Tensor:
    settings = {"attn_mask": mask, "key_padding_mask": padding, "is_causal": causal}
    out, _ = attention(x, memory, memory, need_weights=False, **settings)
    return out  # type: ignore[no-any-return]  # modules are untyped


def _fed_forward(layer: Any, x: Tensor) -> Tensor:
    product = F.linear(x, layer.linear1.weight)
    bias = None if layer.linear1.bias is None else layer.linear1.bias.to(product.dtype)
    dropout = layer.dropout
    hidden = fused.bias_act_dropout(product, bias, dropout.p, _activation(layer) or "", **dropout.source({}))
    return layer.linear2(hidden)  # type: ignore[no-any-return]  # modules are untyped


def _stacked(x: Tensor, blocks: Sequence[_Block], norm_first: bool) -> Tensor:
    """Return the blocks one after another: each a branch, dropped, added and normalised."""
    if not norm_first:
        for branch, dropout, norm in blocks:
            x, _ = _normed(branch(x), x, dropout, norm)
        return x
    y = blocks[0].norm(x)
    for (branch, dropout, _), (_, _, following) in itertools.pairwise(blocks):
        y, x = _normed(branch(y), x, dropout, following)
    branch, dropout, _ = blocks[-1]
    return fused.dropout_add(branch(y).contiguous(), x, dropout.p, **dropout.source({}))


def _normed(y: Tensor, x: Tensor, dropout: Any, norm: Any) -> tuple[Tensor, Tensor]:
    # Of sequences that come first attention's output lies transposed.
    return fused.dropout_add_layer_norm(  # type: ignore[return-value]  # both, as asked
        y.contiguous(),
        x,
        norm.weight,
        norm.bias,
        dropout.p,
        norm.eps,
        prenorm=True,
        **dropout.source({}),
    )
