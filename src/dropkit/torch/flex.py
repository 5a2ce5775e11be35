"""DropKey for FlexAttention: the decisions of the layer, asked for one score at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import torch

from dropkit.core import address
from dropkit.core.check import RATE, DropkitError, Whole
from dropkit.core.rate import threshold
from dropkit.torch.check import check_source
from dropkit.torch.functional import Source
from dropkit.torch.keys import draw_words, key_words
from dropkit.torch.query_thresholds import query_thresholds
from dropkit.torch.subsets import check_prefix

__all__ = ["drop_key_score_mod"]

Tensor = torch.Tensor
ScoreMod = Callable[..., Tensor]
MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
_AXES = "batch", "heads", "queries", "keys"
_SIZE = Whole(1, "give (batch, heads, queries, keys) of the scores")


def drop_key_score_mod(
    shape: tuple[int, int, int, int],
    p: float,
    *,
    mask_mod: MaskMod | None = None,
    prefix: int = 0,
    device: torch.device | str = "cpu",
    **source: Unpack[Source],
) -> ScoreMod:
    """Return a `score_mod` under which FlexAttention drops keys: score becomes -inf where u < min(word, top).

    The decisions are those of `DropKey` on scores of that shape under the same key (Li et al. 2023), with the
    last visible key of each query left. Kept is one number a query. FlexAttention works on the scores alone,
    so dropout of the probabilities is not possible there (`scaled_dot_product_attention` of dropkit has it),
    and on a CPU it has no backward pass.

    Args:
        shape: (batch, heads, queries, keys) of the scores.
        p: the probability that a query loses a key, in [0, 1].
        mask_mod: which keys a query may see, as FlexAttention asks for it; give it the same in `block_mask`.
        prefix: how many leading keys no query loses.
        device: where attention runs.
        **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

    Raises:
        DropkitError: the shape is not four whole numbers above 0, or p lies outside [0, 1].

    >>> mod = drop_key_score_mod((1, 2, 8, 4), 0.5, key=7)
    >>> [mod(torch.zeros(()), *torch.tensor([0, 1, 2, k])).item() for k in range(4)]
    [-inf, 0.0, 0.0, 0.0]
    """
    check_source(**source)
    p, prefix = RATE.check("p", p), check_prefix(prefix)
    if mask_mod is not None and not callable(mask_mod):
        raise DropkitError("mask_mod", "is a function of b, h, q, k", mask_mod, "give FlexAttention's own")
    if len(shape) != len(_AXES):
        raise DropkitError("shape", "is (batch, heads, queries, keys)", shape, "give four whole numbers")
    for name, size in zip(_AXES, shape, strict=True):
        _SIZE.check(name, size)
    _, heads, queries, keys = shape
    given = source.get("key")
    here = torch.empty(0, device="cpu")
    words = draw_words(here, source.get("generator")) if given is None else key_words(given)

    def visible(b: Tensor, h: Tensor, q: Tensor) -> Tensor:
        assert mask_mod is not None
        return mask_mod(b[:, None], h[:, None], q[:, None], torch.arange(keys, device="cpu")[None])

    sees = None if mask_mod is None else visible
    bound = query_thresholds(shape, threshold(p, torch), words, sees).to(device)
    # As tensors: a compiler would make numbers part of its kernel, and compile one for every key.
    held = address.Words(*(torch.tensor(_signed(word), dtype=torch.int64, device=device) for word in words))

    def score_mod(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        row = (b.to(torch.int64) * heads + h) * queries + q
        u = address.uniform_at(torch, held, row * keys + k)
        return torch.where((u < bound[b, h, q]) & (k >= prefix), -torch.inf, score)

    return score_mod


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
