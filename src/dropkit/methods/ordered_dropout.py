"""Ordered dropout: one width a step, and only the first units of every hidden layer are there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "chosen_width", "kept_units"]


def chosen_width(u: int, widths: Sequence[float]) -> float:
    """Return the width that a draw chooses, each with the same probability.

    Args:
        u: a whole number below 2**32, uniform.
        widths: shares of the units, in (0, 1].

    >>> chosen_width(0, (0.5, 1.0)), chosen_width(2**31, (0.5, 1.0))
    (0.5, 1.0)
    """
    return widths[sum(int(u >= threshold((i + 1) / len(widths), np)) for i in range(len(widths) - 1))]


def kept_units(units: int, width: float) -> int:
    """Return how many units a layer keeps: width * units, rounded up.

    >>> kept_units(10, 0.25), kept_units(10, 0.3)
    (3, 3)
    """
    # 0.55 * 100 is a little more than 55 in floating numbers, and would be rounded up to 56.
    return max(math.ceil(round(units * width, 9)), 1)


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    steps, units = METHOD.example.shape
    words = [int(draws(key.fold("step", i), (1,), "... -> ").u.item()) for i in range(steps)]
    kept = [kept_units(units, chosen_width(u, (0.25, 0.5, 0.75, 1.0))) for u in words]
    return np.where(np.arange(units) < np.array(kept)[:, None], 1.0, 0.0)


METHOD = Method(
    name="ordered_dropout",
    title="Ordered dropout",
    summary="Draws one width a step and runs the network with only the first units of every hidden layer, "
    "as smaller matrix products.",
    formula="w uniform over the widths, once a call; a hidden layer of K units keeps the first ceil(w K): "
    "its product takes W[:ceil(w K), :ceil(w K')]; evaluation: w = 1, or the width of the device",
    paper=Paper(
        title="FjORD: Fair and Accurate Federated Learning under heterogeneous targets with Ordered Dropout",
        authors=(
            "Horvath, Samuel",
            "Laskaridis, Stefanos",
            "Almeida, Mario",
            "Leontiadis, Ilias",
            "Venieris, Stylianos I.",
            "Lane, Nicholas D.",
        ),
        year=2021,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2102.13451",
        bibtex="""@inproceedings{horvath2021fjord,
  title     = {FjORD: Fair and Accurate Federated Learning under heterogeneous targets with Ordered Dropout},
  author    = {Horvath, Samuel and Laskaridis, Stefanos and Almeida, Mario and Leontiadis, Ilias and
               Venieris, Stylianos I. and Lane, Nicholas D.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021}
}""",
        checked="the abstract for the reference; several public ODLinear layers for ceil(p K) and the "
        "slices. That the width is uniform was not read in the paper; its "
        "self-distillation is not part of this",
    ),
    site="layer",
    fields=("vision", "text"),
    good_for="One network that shall run on devices of different strength: after training, any of the widths "
    "is cut out and works without further training. Steps at small widths are faster, too.",
    bad_for="Regularization alone, for which it takes too much away; networks whose layers add up or "
    "normalize over units, as norms and residual sums do: only chains of linear layers are cut.",
    sketch=_sketch,
    example=Example(
        shape=(8, 32),
        axes="step d",
        usage={
            "torch": "layers = torch.nn.Sequential(\n"
            "    torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4)\n"
            ")\n"
            "model = OrderedDropout(layers, widths=(0.25, 0.5, 0.75, 1.0))\n"
            "y = model(torch.randn(16, 8))\n"
            "small = model.submodel(0.5)"
        },
    ),
    evidence="Horvath et al. 2021 show that it equals the singular value decomposition for linear maps, and "
    "report gains over baselines of federated learning on convolutional and recurrent networks (abstract).",
    aliases=("fjord",),
    old_names={"p of ODLinear (FjORD)": "the share of the units that is kept, not dropped: a width"},
    layers={"torch": "OrderedDropout"},
    waived={
        "rate": "the sampling of Horvath et al. 2021: a unit falls if the width is too small for its place",
        "moments": "as for rate; nothing is rescaled",
        "mean": "nothing is rescaled",
        "groups": "one draw a call: it cuts the weights of a chain of layers, not entries of one tensor",
        "independence": "all units of all layers share one draw",
        "gradient": "it acts inside of the layers that it wraps",
        "edges": "it has widths and no rate",
    },
)
