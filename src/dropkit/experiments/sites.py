"""Where the arms of a study drop: which method stands behind which modules of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

import dropkit.torch
from dropkit.core.method import Method
from dropkit.core.schedule import Schedule, late_schedule, linear_schedule
from dropkit.experiments.keras_net import ChannelsLast, KerasNet
from dropkit.experiments.models import sample, try_forward
from dropkit.experiments.own import switch_off
from dropkit.experiments.word_dropout import WordDropout
from dropkit.methods import catalogue
from dropkit.report.plan import Arm
from dropkit.surgery.sites import Site, find_sites, fits, put

__all__ = ["Fed", "fed", "make_dropout", "places_for", "rate_of", "with_arm"]


def places_for(
    model: nn.Module, input_shape: tuple[int, ...], n_words: int = 0
) -> dict[str, tuple[str, ...]]:
    """Names of the modules behind which methods of the catalogue fit, in the order of a forward pass.

    They are those that a study tries unasked (`Method.study`). A method that fits nowhere is left out: a
    model without a hidden activation module, a residual branch or an embedding has no places at all.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softplus())
    >>> places_for(model, (4,))
    {'dropout': ('1',), 'gaussian_dropout': ('1',), 'uniform_dropout': ('1',)}
    """
    try_forward(model, input_shape, n_words)
    sites = find_sites(model, sample(2, input_shape, n_words))
    found = {name: _names(method, sites) for name, method in catalogue().items() if method.study}
    return {name: names for name, names in found.items() if names}


def _names(method: Method, sites: Iterable[Site]) -> tuple[str, ...]:
    return tuple(site.name for site in sites if site.name and fits(method, site))


def with_arm(
    model: nn.Module, arm: Arm, places: Mapping[str, tuple[str, ...]], steps: int = 1, *, words: bool = False
) -> nn.Module:
    """The model with an arm's dropout put in: its own dropout is switched off unless the arm keeps it.

    Args:
        model: is changed.
        arm: says what, where and how much.
        places: behind which modules each method can stand.
        steps: that are planned, over which a schedule moves.
        words: whether inputs are numbers of words, which dropout at the input replaces by the unknown word.

    Raises:
        DropkitError: the model has none of these modules, or one of them has a layer behind it already.
    """
    if not arm.keeps_own:
        switch_off(model)
    for name in (arm.at or places[arm.method]) if arm.rate else ():
        layer = make_dropout(arm.method, rate_of(arm, steps))
        put(model, name, ChannelsLast(layer) if isinstance(model, KerasNet) else layer)
    if not arm.input_rate:
        return model
    first = WordDropout(arm.input_rate) if words else make_dropout("input_dropout", arm.input_rate)
    return Fed(first, model)


class Fed(nn.Sequential):
    """A model behind a layer at its input."""


def fed(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """What an arm puts at the input of a model, and the model itself.

    >>> fed(nn.ReLU())
    (Identity(), ReLU())
    """
    return (model[0], model[1]) if isinstance(model, Fed) else (nn.Identity(), model)


def rate_of(arm: Arm, steps: int) -> float | Schedule:
    """The rate of an arm's hidden dropout over the steps that are planned.

    `early` falls linearly to 0 over the first half, `late` begins with the second half (Liu et al. 2023,
    "Dropout Reduces Underfitting").

    >>> rate_of(Arm("a", "b", rate=0.5, schedule="late"), 100)
    Late(rate=0.5, steps=50)
    """
    half = max(steps // 2, 1)
    if arm.schedule == "early":
        return linear_schedule(arm.rate, 0.0, half)
    return late_schedule(arm.rate, half) if arm.schedule == "late" else arm.rate


def make_dropout(method: str, rate: float | Schedule) -> nn.Module:
    """The layer of a method at a rate.

    >>> make_dropout("gaussian_dropout", 0.2)
    GaussianDropout(p=0.2, inplace=False)
    """
    layer: nn.Module = vars(dropkit.torch)[catalogue()[method].layers["torch"]](rate)
    return layer
