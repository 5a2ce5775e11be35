"""Expert dropout: dropout inside the experts of a mixture, at a higher rate than elsewhere."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "expert_dropout"]


def expert_dropout(rate: Any = 0.4, scale: Scale = "train") -> Drop:
    """Return expert dropout for the hidden units of an expert: dropout at a rate of its own.

    While a mixture of experts is fine-tuned, its experts drop at 0.4 and everything else at 0.1 (Fedus et
    al. 2022): it has many more parameters than a dense model of the same cost and overfits small data more.

    Args:
        rate: the probability that a hidden unit of an expert is dropped, in [0, 1].
        scale: where the factor 1 / (1 - rate) goes.

    >>> expert_dropout().rate
    0.4
    """
    return Drop(rate, scale=scale)


METHOD = Method(
    name="expert_dropout",
    title="Expert dropout",
    summary="Drops hidden units of the experts of a mixture at a higher rate than the rest of the network.",
    formula="kept ~ Bernoulli(1 - rate) for each hidden unit of an expert, between its two maps; y = x "
    "kept / (1 - rate); rate 0.4 in experts and 0.1 elsewhere",
    paper=Paper(
        title="Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient Sparsity",
        authors=("Fedus, William", "Zoph, Barret", "Shazeer, Noam"),
        year=2022,
        venue="JMLR",
        url="https://arxiv.org/abs/2101.03961",
        bibtex="""@article{fedus2022switch,
  title   = {Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient Sparsity},
  author  = {Fedus, William and Zoph, Barret and Shazeer, Noam},
  journal = {Journal of Machine Learning Research},
  volume  = {23},
  year    = {2022}
}""",
        checked="the paper's text on expert dropout and its table 4, which agree in four public conversions; "
        "the factor 1 / (1 - rate) is that of dropout today",
    ),
    site="activation",
    fields=("text",),
    good_for="Fine-tuning a sparse mixture of experts on little data: raise the rate inside the experts "
    "alone, and leave the dense layers at 0.1.",
    bad_for="Pre-training on much data, where it slows learning; dense networks, which have no experts; "
    "experts that see so many tokens that they do not overfit.",
    evidence="Fedus et al. 2022, table 4 (GLUE, CNNDM, SQuAD, SuperGLUE) for Switch-Base: 84.7, 19.1, 83.7, "
    "73.0 with 0.1 everywhere; 85.2, 19.6, 83.7, 73.0 with 0.4 in the experts. Higher rates everywhere: "
    "84.4, 19.2, 83.9, 73.2 with 0.2 and 83.9, 19.6, 83.4, 70.7 with 0.3. So it gains on two tasks of four.",
    variant_of="dropout",
    describe=expert_dropout,
    example=Example(
        shape=(12, 24),
        axes="t d",
        arguments={"rate": 0.4},
        usage={
            "torch": "expert = torch.nn.Sequential(\n"
            "    torch.nn.Linear(8, 32), torch.nn.ReLU(), Dropout({rate}), torch.nn.Linear(32, 8)\n"
            ")\n"
            "y = expert(torch.randn(4, 8))  # the tokens that were routed to this expert"
        },
    ),
    aliases=("moe_dropout",),
    layers={"torch": "Dropout", "keras": "Dropout"},
)
