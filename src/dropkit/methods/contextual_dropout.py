"""Contextual dropout: a small network reads each sample and says at which rate each unit is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "arm", "bernoulli_divergence", "gaussian_divergence", "mirrored"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)


def mirrored(u: Any) -> Any:
    """Return the antithetic draw of a whole number below 2**32: that of 1 - u."""
    return 2**32 - 1 - u


def arm(first: Any, second: Any, u: Any) -> Any:
    """Return the estimate of the gradient of the loss by the logit of the rate: (second - first) (u - 1/2).

    Augment-REINFORCE-merge (Yin and Zhou 2019), unbiased for Bernoulli gates.

    Args:
        first: the loss where a unit is dropped if u < rate.
        second: the loss where it is dropped if 1 - u < rate, all else alike.
        u: the uniform draw of the unit in (0, 1).

    >>> arm(3.0, 1.0, 0.25)
    0.5
    """
    return (second - first) * (u - 0.5)


def bernoulli_divergence(rate: Any, logs: tuple[Any, Any], prior_logs: tuple[Any, Any]) -> Any:
    """Return KL(Bernoulli(rate) || Bernoulli(prior)), from the logarithms of both outcomes.

    Args:
        rate: the probability that a unit is dropped.
        logs: (log rate, log(1 - rate)).
        prior_logs: the same of the prior.

    >>> import numpy
    >>> half = (numpy.log(0.5), numpy.log(0.5))
    >>> float(bernoulli_divergence(0.5, half, half))
    0.0
    """
    return rate * (logs[0] - prior_logs[0]) + (1 - rate) * (logs[1] - prior_logs[1])


def gaussian_divergence(logit: Any, prior: Any, xp: Any) -> Any:
    """Return KL(N(1, a) || N(1, b)) for the variances a = rate / (1 - rate) and b of two logits.

    With d = log(a / b), the difference of the logits, it is (exp(d) - 1 - d) / 2.

    >>> import numpy
    >>> float(gaussian_divergence(0.3, 0.3, numpy))
    0.0
    """
    d = logit - prior
    return (xp.expm1(d) - d) / 2


def _sketch(key: Key) -> Array:
    """Draw for samples of which every other one calls for a higher rate."""
    context = unit(key.fold("example"), (_SHAPE[0], 1))
    return np.where(draws(key, _SHAPE).below(np.broadcast_to(context, _SHAPE)), 0.0, 1.0)


METHOD = Method(
    name="contextual_dropout",
    title="Contextual dropout",
    summary="Learns a small network that reads each sample and chooses the rate at which each of its units "
    "is dropped.",
    formula="rate = sigmoid(h(x)) with a two-layer network h; Bernoulli: y = x kept, kept ~ Bernoulli(1 - "
    "rate), evaluation y = (1 - rate) x; Gaussian: y = x (1 + sqrt(rate / (1 - rate)) z), evaluation y = x; "
    "loss + KL(gates || prior)",
    paper=Paper(
        title="Contextual Dropout: An Efficient Sample-Dependent Dropout Module",
        authors=("Fan, Xinjie", "Zhang, Shujian", "Tanwisuth, Korawat", "Qian, Xiaoning", "Zhou, Mingyuan"),
        year=2021,
        venue="ICLR",
        url="https://arxiv.org/abs/2103.04181",
        bibtex="""@inproceedings{fan2021contextual,
  title     = {Contextual Dropout: An Efficient Sample-Dependent Dropout Module},
  author    = {Fan, Xinjie and Zhang, Shujian and Tanwisuth, Korawat and Qian, Xiaoning and Zhou, Mingyuan},
  booktitle = {International Conference on Learning Representations},
  year      = {2021}
}""",
        checked="the authors' own code (ARMDense.py, ARMConv.py, WRN.py) for both laws, the network, the ARM "
        "estimator and the divergence; the abstract for the claims; the published text's head for the "
        "reference. The divergence is taken in closed form, where the code samples it",
    ),
    site="activation",
    fields=("vision", "text"),
    good_for="Uncertainty that differs from sample to sample: hard inputs get other rates than easy ones. "
    "Take Gaussian gates for one pass a step, Bernoulli gates where units must really be dropped.",
    bad_for="Tight budgets: Bernoulli gates need one more pass a step and gate; tiny batches; features "
    "whose sign is all there is to read, of which the mean over a map leaves nothing.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b d",
        arguments={"rate": 0.3},
        usage={
            "torch": "layer = ContextualDropout(32, {rate}, noise='gaussian')\n"
            "y = layer(torch.randn(16, 32))\n"
            "loss = y.square().mean() + layer.penalty()"
        },
    ),
    evidence="Fan et al. 2021 report in their abstract better accuracy and better uncertainty than their "
    "baselines on image classification and visual question answering.",
    aliases=("sample_dependent_dropout",),
    old_names={
        "z_phi": "the authors' code: the logit of the probability that a unit is KEPT",
        "eta": "the authors' code: the logit of the prior probability that a unit is KEPT",
    },
    layers={"torch": "ContextualDropout"},
    waived={
        "rate": "ARMDense.py: each sample chooses its own rates",
        "moments": "ARMDense.py: each sample chooses its own rates",
        "mean": "ARMDense.py: Bernoulli gates are not scaled in training; evaluation takes their mean",
        "edges": "ARMDense.py: a rate is a sigmoid, which is neither 0 nor 1",
    },
)
