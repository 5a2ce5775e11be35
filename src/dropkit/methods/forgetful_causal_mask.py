"""Forgetful causal mask: random past tokens are hidden from causal attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "forgotten", "visible"]

Array = Any
_SHAPE = (2, 1, 12, 12)


def forgotten(u: Array, fraction: Array, max_rate: float, xp: Any) -> Array:
    """Return which tokens of each sequence are forgotten, at a rate of its own in [0, max_rate].

    rate = max_rate fraction; a token is forgotten where u < round(rate 2**32) (Liu et al. 2022). Over all
    rates that is a token in 2 / max_rate.

    Args:
        u: a draw for each token, whole numbers below 2**32 `(batch, tokens)`.
        fraction: uniform in (0, 1), in float64 `(batch, 1)`.
        max_rate: the largest rate.
        xp: the module of the arrays, numpy or torch.

    >>> forgotten(np.array([[2**29, 2**31]]), np.array([[0.5]]), 0.5, np)
    array([[ True, False]])
    """
    return u < threshold(fraction * max_rate, xp)


def visible(hidden: Array, xp: Any) -> Array:
    """Return which keys each query sees: those before it that are not hidden, and itself.

    Args:
        hidden: which tokens are hidden from later ones, bool `(batch, tokens)`.
        xp: the module of the arrays, numpy or torch.

    Returns:
        bool `(batch, 1, queries, keys)`, true where a query sees a key.

    >>> visible(np.array([[False, True, False]]), np)[0, 0]
    array([[ True, False, False],
           [ True,  True, False],
           [ True, False,  True]])
    """
    place = xp.arange(hidden.shape[-1], device=hidden.device)
    query, key = place[:, None], place[None, :]
    return (key == query) | ((key < query) & ~hidden[:, None, None, :])


def _sketch(key: Key) -> Array:
    shape = (_SHAPE[0], _SHAPE[-1])
    fraction = unit(key.fold("rate"), (shape[0], 1))
    hidden = forgotten(draws(key.fold("tokens"), shape).u, fraction, 0.5, np)
    hidden[:, 0] = False
    return np.where(visible(hidden, np), 1.0, 0.0)


METHOD = Method(
    name="forgetful_causal_mask",
    title="Forgetful causal masking (FCM)",
    summary="Hides random past tokens from a causal language model, at a rate drawn anew for each sequence, "
    "so that it learns to look further back.",
    formula="rate ~ Uniform(0, max_rate) for each b; hidden ~ Bernoulli(rate) for each (b, k); query q sees "
    "key k where k = q, or k < q and k is not hidden",
    paper=Paper(
        title="FCM: Forgetful Causal Masking Makes Causal Language Models Better Zero-Shot Learners",
        authors=(
            "Liu, Hao",
            "Geng, Xinyang",
            "Lee, Lisa",
            "Mordatch, Igor",
            "Levine, Sergey",
            "Narang, Sharan",
            "Abbeel, Pieter",
        ),
        year=2022,
        venue="arXiv",
        url="https://arxiv.org/abs/2210.13432",
        bibtex="""@article{liu2022fcm,
  title   = {FCM: Forgetful Causal Masking Makes Causal Language Models Better Zero-Shot Learners},
  author  = {Liu, Hao and Geng, Xinyang and Lee, Lisa and Mordatch, Igor and Levine, Sergey and
             Narang, Sharan and Abbeel, Pieter},
  journal = {arXiv preprint arXiv:2210.13432},
  year    = {2022}
}""",
        checked="the abstract and a citing bibliography; public code of haliax (one coin a key, the rate "
        "uniform up to the given one, the first token always seen) and of EasyDeL (one coin a query and "
        "key). That a token always sees itself is this catalogue's: only so no row of attention is empty",
    ),
    site="attention",
    fields=("text",),
    good_for="Pretraining and fine-tuning of causal language models, with a largest rate of 0.15; protect "
    "the first token. The mask goes into fused attention.",
    bad_for="Evaluation and generation, where the mask is the plain causal one; bidirectional encoders, "
    "whose own masking does this already; copying tasks, which need every token.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b h q k",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = ForgetfulCausalMask(0.15)\n"
            "ids = torch.randint(100, (2, 12))\n"
            "query, key, value = torch.randn(3, 2, 4, 12, 8)\n"
            "y = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=layer(ids))"
        },
    ),
    evidence="Its abstract reports zero-shot SuperGLUE from 55.7 to 59.2 for a PaLM of 1 billion parameters "
    "and from 61.6 to 64.0 for one of 8 billion.",
    aliases=("fcm", "forgetful_causal_masking"),
    old_names={
        "fcm_max_ratio": "the largest rate, in EasyLM and EasyDeL",
        "mask_prob in AutoregressiveWrapper": "x-transformers' name, at one rate for all sequences",
    },
    layers={"torch": "ForgetfulCausalMask"},
    waived={
        "rate": "definition of the mask: the rate of a sequence is uniform up to the written one",
        "moments": "definition of the mask: weights of keys that stay grow in the softmax",
        "mean": "definition of the mask: weights of keys that stay grow in the softmax",
        "independence": "definition of the mask: tokens of a sequence share its rate",
        "gradient": "the output is a mask and has no gradient",
        "edges": "a token always sees itself, whatever the rate",
    },
)
