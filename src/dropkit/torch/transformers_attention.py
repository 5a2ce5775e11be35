"""dropkit's attention in the models of transformers, through their own interface."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError, try_import
from dropkit.torch.attention import scaled_dot_product_attention

__all__ = ["use_attention"]

Tensor = torch.Tensor
_NAME = "dropkit"
# What some models give beside the usual arguments; without it the attention would be another.
_CHANGING = "s_aux", "softcap"


def use_attention(model: Any) -> None:
    """Let a model of transformers attend by `dropkit.torch.scaled_dot_product_attention`, in place.

    Its dropout, whatever the configuration calls it, then draws at dropkit's addresses, and on a CPU in
    float32 takes memory that grows with the length alone. Without dropout, and so in evaluation, the model
    computes what it does with "sdpa". `model.set_attn_implementation("sdpa")` undoes it.

    Args:
        model: a `transformers.PreTrainedModel` that can attend by "sdpa".

    Raises:
        DropkitError: the model is of another kind, or its attention cannot be chosen; it is left as it was.
            When it attends: it has sinks or caps its scores, which "sdpa" cannot either.

    >>> import transformers
    >>> config = transformers.BertConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1)
    >>> model = transformers.BertModel(config)
    >>> use_attention(model)
    >>> model.config._attn_implementation
    'dropkit'
    """
    transformers = try_import("transformers", extra="transformers")
    if not hasattr(model, "set_attn_implementation"):
        rule = "is a model of transformers"
        raise DropkitError("model", rule, type(model).__name__, "see dropkit.surgery.use_dropkit for others")
    transformers.AttentionInterface.register(_NAME, _attend)
    transformers.AttentionMaskInterface.register(_NAME, transformers.masking_utils.sdpa_mask)
    rule, mend = "can attend by 'sdpa'", "leave it as it is"
    try:
        # The library asks of its own names alone whether a model can attend so.
        model.set_attn_implementation("sdpa")
    except ValueError as error:
        raise DropkitError("model", rule, type(model).__name__, f"{mend} ({error})") from error
    if model.config._attn_implementation != "sdpa":  # the library only warns
        raise DropkitError("model", rule, type(model).__name__, mend)
    model.set_attn_implementation(_NAME)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    for name in _CHANGING:
        if rest.get(name) is not None:
            mend = "call model.set_attn_implementation('eager')"
            raise DropkitError("model", f"attends without {name}", type(module).__name__, mend)
    if dropout == 0:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        told = {"dropout": dropout, "scaling": scaling, "is_causal": is_causal, **rest}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **told)
    wanted = getattr(module, "is_causal", True) if is_causal is None else is_causal
    causal = bool(wanted) and query.shape[2] > 1 and attention_mask is None
    bias = rest.get("position_bias")
    if causal and key.shape[2] > query.shape[2]:
        key, value = (x[:, :, : query.shape[2]] for x in (key, value))
        bias = None if bias is None else bias[..., : query.shape[2]]
    if bias is not None:
        from transformers.integrations.sdpa_attention import create_position_bias_mask

        attention_mask, causal = create_position_bias_mask(bias, attention_mask, causal, query, key), False
    shared = key.shape[1] != query.shape[1]
    out = scaled_dot_product_attention(
        query, key, value, attention_mask, dropout, causal, scaling, enable_gqa=shared
    )
    return out.transpose(1, 2).contiguous(), None
