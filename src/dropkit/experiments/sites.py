"""Where the arms of a study drop: which method stands behind which modules of the model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

import dropkit.torch
from dropkit.core.check import DropkitError
from dropkit.experiments.models import try_forward
from dropkit.experiments.own import switch_off
from dropkit.methods import catalogue
from dropkit.report.record import Arm
from dropkit.surgery.sites import Site, find_sites, fits, put

__all__ = ["INSIDE", "places_for", "with_arm"]

INSIDE = ("dropout", "gaussian_dropout", "spatial_dropout", "drop_block", "drop_path")
"""The methods of the catalogue that a study tries inside a model, where they fit."""


def places_for(
    model: nn.Module, input_shape: tuple[int, ...], methods: Iterable[str] = INSIDE
) -> dict[str, tuple[str, ...]]:
    """Names of the modules behind which each method fits, in the order of a forward pass.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softplus())
    >>> places_for(model, (4,))
    {'dropout': ('1',), 'gaussian_dropout': ('1',)}
    """
    try_forward(model, input_shape)
    sites = find_sites(model, torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0)))
    found = {name: _names(name, sites) for name in methods}
    if not any(found.values()):
        rule = "must have a hidden activation module (such as nn.ReLU()) or a branch to drop at"
        mend = "write activations as modules, not as functions such as F.relu"
        raise DropkitError("model", rule, type(model).__name__, mend)
    return {name: names for name, names in found.items() if names}


def _names(method: str, sites: Iterable[Site]) -> tuple[str, ...]:
    record = catalogue()[method]
    return tuple(site.name for site in sites if site.name and fits(record, site))


def with_arm(model: nn.Module, arm: Arm, places: dict[str, tuple[str, ...]]) -> nn.Module:
    """The model with an arm's dropout put in: its own dropout is switched off unless the arm keeps it."""
    if not arm.keeps_own:
        switch_off(model)
    for name in places[arm.method] if arm.rate else ():
        put(model, name, make_dropout(arm.method, arm.rate))
    return nn.Sequential(make_dropout("input_dropout", arm.input_rate), model) if arm.input_rate else model


def make_dropout(method: str, rate: float) -> nn.Module:
    """The layer of a method at a rate.

    >>> make_dropout("gaussian_dropout", 0.2)
    GaussianDropout(p=0.2, inplace=False)
    """
    layer: nn.Module = vars(dropkit.torch)[catalogue()[method].layers["torch"]](rate)
    return layer
