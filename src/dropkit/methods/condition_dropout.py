"""Condition dropout: the condition of a generative model is replaced by nothing, for guidance without "
"classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "guided"]


def guided(conditional: Any, unconditional: Any, w: Any) -> Any:
    """Return (1 + w) conditional - w unconditional, as written by Ho and Salimans 2022, equation (6).

    Args:
        conditional: what the model says under the condition.
        unconditional: what it says without one.
        w: the strength: 0 is the conditional model, -1 the unconditional one. What other libraries call the
            guidance scale is 1 + w.

    >>> guided(3.0, 1.0, 0.5)
    4.0
    """
    return (1 + w) * conditional - w * unconditional


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    return mask(key, METHOD.example.shape, Drop(0.25, "b d -> b", scale="none"))


METHOD = Method(
    name="condition_dropout",
    title="Condition dropout (classifier-free guidance)",
    summary="Replaces the condition of a sample by a null condition at random, so that one model learns to "
    "generate with and without it.",
    formula="training: c = null with probability rate for each sample, else c unscaled; sampling: "
    "(1 + w) model(x, c) - w model(x, null)",
    paper=Paper(
        title="Classifier-Free Diffusion Guidance",
        authors=("Ho, Jonathan", "Salimans, Tim"),
        year=2022,
        venue="arXiv",
        url="https://arxiv.org/abs/2207.12598",
        bibtex="""@article{ho2022classifier,
  title   = {Classifier-Free Diffusion Guidance},
  author  = {Ho, Jonathan and Salimans, Tim},
  journal = {arXiv preprint arXiv:2207.12598},
  year    = {2022}
}""",
        checked="the abstract for the reference; issue 207 of lucidrains/denoising-diffusion-pytorch, which "
        "quotes equation (6), for the guidance; several summaries for the null condition at random",
    ),
    site="embedding",
    fields=("vision", "text", "speech"),
    good_for="Diffusion and flow models that take a class, a text or another condition, and shall follow it "
    "more or less closely at sampling time. Rates between 0.1 and 0.2 are usual.",
    bad_for="Models that are never sampled with guidance, whose unconditional half is wasted; null "
    "conditions that are also real ones, such as class 0.",
    sketch=_sketch,
    instead="the null condition",
    example=Example(
        shape=(16, 32),
        axes="b d",
        arguments={"rate": 0.25},
        usage={
            "torch": "from dropkit.torch import guided\n"
            "layer = ConditionDropout(torch.nn.Parameter(torch.zeros(32)), 0.1)\n"
            "model, c = torch.nn.Linear(32, 8), torch.randn(16, 32)\n"
            "trained = model(layer(c))\n"
            "layer.eval()\n"
            "sampled = guided(model(c), model(layer.nothing(c)), w=1.5)"
        },
    ),
    evidence="Ho and Salimans 2022 find a trade-off between quality and diversity like that of classifier "
    "guidance, without a classifier (abstract). Issue 5882 of huggingface/diffusers shows how often w and "
    "the guidance scale are taken for each other.",
    aliases=("classifier_free_guidance", "cfg_dropout"),
    old_names={
        "guidance_scale, cond_scale": "1 + w: there 1 is the conditional model and 0 the unconditional one",
        "cond_drop_prob, p_uncond": "the rate: the probability that the condition is replaced",
    },
    layers={"torch": "ConditionDropout"},
    waived={
        "mean": "Ho and Salimans 2022 replace the condition and rescale nothing: the mean is (1 - rate) c + "
        "rate null"
    },
)
