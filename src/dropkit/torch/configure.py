"""Rates of models that exist: in transformers' configurations, and in torch's encoder layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from dropkit.core.check import RATE, DropkitError

__all__ = ["encoder_layers", "given_rates", "set_fields"]


def given_rates(rates: dict[str, Any]) -> dict[str, float]:
    """Return the rates that are not None, checked before anything is changed.

    >>> given_rates({"attention": 0.1, "layer": None})
    {'attention': 0.1}
    """
    return {name: RATE.check(name, rate) for name, rate in rates.items() if rate is not None}


def set_fields(config: Any, rates: dict[str, float], fields: Mapping[str, tuple[str, ...]]) -> None:
    """Write each rate into those of its fields that a configuration has; change nothing if one has none.

    Args:
        config: an object whose attributes are rates, such as a `transformers.PretrainedConfig`.
        rates: by what is dropped.
        fields: the names that configurations give to it.

    Raises:
        DropkitError: the configuration has no field for a rate.
    """
    known = {what: [name for name in fields[what] if hasattr(config, name)] for what in rates}
    for what, names in known.items():
        if not names:
            rule = f"has a field for it, one of {', '.join(fields[what])}"
            raise DropkitError(what, rule, type(config).__name__, "leave it out for this model")
    for what, names in known.items():
        for name in names:
            setattr(config, name, rates[what])


def encoder_layers(model: nn.Module) -> list[nn.TransformerEncoderLayer]:
    """Return the layers of torch's own encoder in a model.

    Raises:
        DropkitError: there are none.
    """
    found = [module for module in model.modules() if isinstance(module, nn.TransformerEncoderLayer)]
    if not found:
        mend = "give a transformers configuration, or set the rates of its dropout layers"
        raise DropkitError("target", "has an nn.TransformerEncoderLayer", type(model).__name__, mend)
    return found
