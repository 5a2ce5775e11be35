"""Progressive layer dropping: branches are skipped more often with depth and as training goes on."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import Curriculum, depth_rates, threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "progressive_rates"]

_SHAPE, _RATE, _GAMMA = (12, 16), 0.5, 0.2


def progressive_rates(rate: float, depth: int, gamma: float) -> tuple[Curriculum, ...]:
    """Return one schedule a layer: rate_l(t) = (l / depth) rate (1 - exp(-gamma t)) for l = 1 ... depth.

    Written with what is kept, theta(t) = (1 - theta_bar) exp(-gamma t) + theta_bar with theta_bar = 1 - rate,
    and layer l keeps 1 - (l / depth) (1 - theta(t)) (Zhang and He 2020).

    Args:
        rate: the rate of the last layer in the end, in [0, 1].
        depth: the number of layers, at least 1.
        gamma: the speed for each step, above 0.

    Raises:
        DropkitError: a number is out of its range.

    >>> [round(schedule(1000), 3) for schedule in progressive_rates(0.5, 4, 0.01)]
    [0.125, 0.25, 0.375, 0.5]
    """
    return tuple(Curriculum(own, gamma) for own in depth_rates(rate, depth))


def _sketch(key: Key) -> Any:
    """Step by step the layers that run, at the rates of the step."""
    schedules = progressive_rates(_RATE, _SHAPE[1], _GAMMA)
    kept = []
    for step in range(_SHAPE[0]):
        rates = np.array([schedule(step) for schedule in schedules])
        kept.append(draws(key.fold("step", step), _SHAPE[1:]).u >= threshold(rates, np))
    return np.where(np.stack(kept), 1.0, 0.0)


METHOD = Method(
    name="progressive_layer_drop",
    title="Progressive layer dropping (PLD)",
    summary="Skips branches of a transformer, more often the deeper they lie and the longer training runs.",
    formula="theta(t) = (1 - theta_bar) exp(-gamma t) + theta_bar; kept_l ~ Bernoulli(1 - (l / L) (1 - "
    "theta(t))) once for each branch and pass; x + branch(norm(x)) kept / (its probability)",
    paper=Paper(
        title="Accelerating Training of Transformer-Based Language Models with Progressive Layer Dropping",
        authors=("Zhang, Minjia", "He, Yuxiong"),
        year=2020,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2010.13369",
        bibtex="""@inproceedings{zhang2020accelerating,
  title     = {Accelerating Training of Transformer-Based Language Models with Progressive Layer Dropping},
  author    = {Zhang, Minjia and He, Yuxiong},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  year      = {2020}
}""",
        checked="DeepSpeed's progressive_layer_drop.py for the schedule, torchtune's documentation for the "
        "linear growth with depth, the conference's page for the reference; where the growth begins and the "
        "factor of a kept branch are from memory",
    ),
    site="layer",
    fields=("text",),
    good_for="Pre-training of deep transformers with the norm inside the branch, where skipped branches "
    "save time. DeepSpeed begins at theta_bar 0.5, a rate of 0.5, and gamma 0.001.",
    bad_for="Short fine-tuning, which ends before the schedule is through; transformers with the norm "
    "behind the sum, which suffer where a branch is missing; networks that are limited by communication.",
    evidence="The abstract reports 24 % less training time for BERT with the same number of samples at "
    "similar or higher accuracy on GLUE.",
    variant_of="drop_path",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="step layer",
        arguments={"rate": _RATE, "gamma": _GAMMA},
        usage={
            "torch": "from dropkit.methods.progressive_layer_drop import progressive_rates\n"
            "from dropkit.torch import Stepper\n\n"
            "norm, linear = torch.nn.LayerNorm(8), torch.nn.Linear(8, 8)\n"
            "branches = [torch.nn.Sequential(norm, linear) for _ in range(4)]\n"
            "rates = progressive_rates({rate}, depth=4, gamma=0.001)\n"
            "model = torch.nn.Sequential(*map(SwitchedBranch, branches, rates))\n"
            "schedule = Stepper(model)  # schedule.step() after each step of the optimizer\n"
            "y = model(torch.randn(2, 8))"
        },
    ),
    aliases=("pld", "progressive_layer_dropping"),
    old_names={"theta, pld_theta": "DeepSpeed's probability that a layer is kept in the end: 1 - rate"},
    layers={"torch": "SwitchedBranch"},
)
