"""Progressive layer dropping: branches are skipped more often with depth and as training goes on."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.check import check_kind
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import depth_rates, threshold
from dropkit.core.reference import draws
from dropkit.core.schedule import Curriculum

__all__ = ["METHOD", "progressive_rates"]

_SHAPE, _RATE, _GAMMA = (12, 16), 0.5, 0.2


def progressive_rates(
    rate: float, depth: int, gamma: float, first_runs: bool = True
) -> tuple[Curriculum, ...]:
    """Return one schedule a layer: rate_l(t) = ((l - 1) / depth) rate (1 - exp(-gamma t)), l = 1 ... depth.

    Written with what is kept, theta(t) = (1 - theta_bar) exp(-gamma t) + theta_bar with theta_bar = 1 - rate,
    and layer l keeps 1 - ((l - 1) / depth) (1 - theta(t)): the code of Zhang and He 2020, which begins with
    the probability 1 and lowers it behind each draw. So the first layer always runs.

    Args:
        rate: what the rates approach in the end with depth, in [0, 1]: 1 - theta_bar.
        depth: the number of layers, at least 1.
        gamma: the speed for each step, above 0.
        first_runs: False has l in place of l - 1, as stochastic depth has it: the first layer is skipped too,
            and the last one has `rate` in the end.

    Raises:
        DropkitError: a number is out of its range.

    >>> [round(schedule(1000), 3) for schedule in progressive_rates(0.5, 4, 0.01)]
    [0.0, 0.125, 0.25, 0.375]
    """
    rates = depth_rates(rate, depth)
    check_kind("first_runs", first_runs, bool, "write True or False")
    return tuple(Curriculum(own, gamma) for own in ((0.0, *rates[:-1]) if first_runs else rates))


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
    summary="Skips layers of a transformer, more often the deeper they lie and the longer training runs.",
    formula="theta(t) = (1 - theta_bar) exp(-gamma t) + theta_bar; kept_l ~ Bernoulli(1 - ((l - 1) / L) (1 - "
    "theta(t))) once for each layer and pass, for its attention and its feed-forward part together; for each "
    "of the two: x <- x + branch(norm(x)) kept / (its probability). The authors' code lowers the probability "
    "before it divides: by that of layer l + 1",
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
        checked="the authors' code: DeepSpeed's progressive_layer_drop.py for the schedule, and the BERT of "
        "DeepSpeedExamples (bing_bert/nvidia/modelingpreln_layerdrop.py) for the one coin of a layer, the "
        "growth with depth and the factor; the conference's page for the reference. The paper's own text was "
        "not read",
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
            "def branch():\n"
            "    return torch.nn.Sequential(torch.nn.LayerNorm(8), torch.nn.Linear(8, 8))\n\n"
            "rates = progressive_rates({rate}, depth=4, gamma=0.001)\n"
            "layers = [SwitchedBranch([branch(), branch()], rate) for rate in rates]\n"
            "model = torch.nn.Sequential(*layers)\n"
            "schedule = Stepper(model)  # schedule.step() after each step of the optimizer\n"
            "y = model(torch.randn(2, 8))"
        },
    ),
    aliases=("pld", "progressive_layer_dropping"),
    old_names={"theta, pld_theta": "DeepSpeed's probability that a layer is kept in the end: 1 - rate"},
    layers={"torch": "SwitchedBranch"},
)
