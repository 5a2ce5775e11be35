"""Monte Carlo DropConnect: weights are dropped in prediction too, and the spread tells the uncertainty."""

from __future__ import annotations

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD"]

METHOD = Method(
    name="monte_carlo_drop_connect",
    title="MC-DropConnect",
    summary="Predicts several times with other weights dropped each time; the mean is the prediction, the "
    "spread its uncertainty.",
    formula="y = 1/T sum over t of f(x; W kept_t / (1 - rate)), kept_t ~ Bernoulli(1 - rate) for each weight",
    paper=Paper(
        title="DropConnect Is Effective in Modeling Uncertainty of Bayesian Deep Networks",
        authors=(
            "Mobiny, Aryan",
            "Nguyen, Hien V.",
            "Moulik, Supratik",
            "Garg, Naveen",
            "Wu, Carol C.",
        ),
        year=2019,
        venue="arXiv",
        url="https://arxiv.org/abs/1906.04569",
        bibtex="""@article{mobiny2019dropconnect,
  title   = {DropConnect Is Effective in Modeling Uncertainty of Bayesian Deep Networks},
  author  = {Mobiny, Aryan and Nguyen, Hien V. and Moulik, Supratik and Garg, Naveen and Wu, Carol C.},
  journal = {arXiv preprint arXiv:1906.04569},
  year    = {2019}
}""",
        checked="a copy of the preprint's first page for the reference and for the law in words: Bernoulli "
        "distributions on the weights, at test time too; its equations were not read",
    ),
    site="weight",
    fields=("vision", "tabular", "text"),
    good_for="Uncertainty of a trained network that has no dropout: existing layers are wrapped in place, "
    "keep their weights and options, and can be unwrapped again.",
    bad_for="Predictions that must be fast, for T passes are T times the work; networks trained without "
    "noise at a high rate, whose mean prediction suffers.",
    sketch=lambda key: mask(key, (16, 32), Drop(0.5)),
    example=Example(
        shape=(16, 32),
        axes="o i",
        arguments={"rate": 0.5},
        usage={
            "torch": "import dropkit\nfrom dropkit.torch import wrap_weights\n\n"
            "model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))\n"
            "wrap_weights(model.eval(), lambda layer: DropConnect(layer, 0.1))\n"
            'with dropkit.mode(model, "mc"), torch.no_grad():\n'
            "    draws = torch.stack([model(torch.ones(4, 8)) for _ in range(20)])\n"
            "mean, spread = draws.mean(0), draws.std(0)"
        },
    ),
    variant_of="drop_connect",
    evidence="The abstract reports better accuracy and better uncertainty estimates than earlier methods, in "
    "classification and segmentation (Mobiny et al. 2019).",
    aliases=("mc_drop_connect", "mc_dropconnect"),
    old_names={
        "MCDropoutConnectModule (baal 2.1)": "makes new layers with fresh weights and the default stride, "
        "groups and bias in the place of trained ones",
    },
    around="module",
    layers={"torch": "DropConnect", "keras": "DropConnect"},
)
