"""What is tried: families of arms, each a space of settings that any tuner can search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dropkit.experiments.recipe import Recipe
from dropkit.methods import catalogue
from dropkit.report.plan import AS_BROUGHT, NONE, Arm, Data, Model

__all__ = [
    "BROUGHT",
    "COMBINED",
    "MEMBERS",
    "UNREGULARISED",
    "Choice",
    "Range",
    "Space",
    "combined",
    "ensembles",
    "families_for",
    "spaces_for",
]

UNREGULARISED = Arm(NONE, NONE)
BROUGHT = Arm(AS_BROUGHT, AS_BROUGHT, keeps_own=True)

_EDGE = 0.05  # of a range


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, evenly or by their logarithm."""

    low: float
    high: float
    log: bool = False

    def at_edge(self, value: float) -> bool:
        """Whether a value lies within a twentieth of an end.

        >>> Range(0.1, 0.7).at_edge(0.69), Range(0.1, 0.7).at_edge(0.5)
        (True, False)
        """
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        share = (at - low) / (high - low)
        return share <= _EDGE or share >= 1 - _EDGE


@dataclass(frozen=True)
class Choice:
    """One of a few; modules are listed with commas, which an empty text leaves to the plan."""

    options: tuple[Any, ...]


@dataclass(frozen=True)
class Space:
    """A family of arms: which fields of an arm are searched, where, and which are fixed.

    Every family also searches its own learning rate and weight decay.

    Args:
        name: of the family.
        searched: fields of `Arm` by name.
        fixed: the others that are not at their default.

    >>> space = Space("dropout", {"rate": Range(0.05, 0.7)})
    >>> space.arm("dropout 1", {"rate": 0.5}).rate
    0.5
    """

    name: str
    searched: Mapping[str, Range | Choice] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def arm(self, name: str, params: Mapping[str, Any]) -> Arm:
        """The arm of one point of the space."""
        given = dict(params)
        if "at" in given:
            given["at"] = tuple(part for part in given["at"].split(",") if part)
        return Arm(name, self.name, **{**self.fixed, **given})

    def corner(self) -> Arm:
        """An arm of it, for a look at what it needs."""
        ends = {
            name: each.high if isinstance(each, Range) else each.options[0]
            for name, each in self.searched.items()
        }
        return self.arm(self.name, ends)

    def at_edge(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The fields whose value lies at an end of what was searched."""
        ranges = {name: each for name, each in self.searched.items() if isinstance(each, Range)}
        return tuple(name for name, each in ranges.items() if each.at_edge(params[name]))


MEMBERS = (2, 3, 5)
"""How many networks an ensemble may have."""

_HIDDEN = Range(0.05, 0.7)
_GROUPS = Range(0.02, 0.4)  # whole channels, blocks, branches, words: less of it goes further
_PLACES = 4  # single modules beside all of them
_SMALLEST_IMAGE = 8


def families_for(data: Data, model: Model) -> tuple[Space, ...]:
    """None and every family that suits the task, the inputs and the model, without those built from others.

    Dropout inside the model is read from the catalogue: every method that fits behind one of its modules is a
    family.

    Args:
        data: its task and the shape of its rows.
        model: its sites.
    """
    classes, shape = data.task == "classification", data.input_shape
    image = len(shape) == 3 and min(shape[1:]) >= _SMALLEST_IMAGE
    inside = [_inside(method, places) for method, places in model.sites.items()]
    plain = [Space("input dropout", {"input_rate": Range(0.02, 0.5)})]
    if "dropout" in model.sites:
        plain += [
            Space(f"{when} dropout", {"rate": _HIDDEN}, {"schedule": when}) for when in ("early", "late")
        ]
        plain += [Space("R-Drop", {"rate": _HIDDEN, "r_drop": Range(0.1, 5, log=True)})]
    return (
        Space(NONE),
        Space("L2", {"l2": Range(1e-5, 1e-2, log=True)}),
        Space("L1", {"l1": Range(1e-6, 1e-3, log=True)}),
        Space("max-norm", {"max_norm": Range(0.5, 4)}),
        *([Space("label smoothing", {"label_smoothing": Range(0.01, 0.3)})] if classes else []),
        *([Space("augmentation", {"augment": Range(0.02, 0.25)})] if image else []),
        *inside,
        *plain,
    )


def spaces_for(data: Data, model: Model, recipe: Recipe) -> tuple[Space, ...]:
    """All that is searched at once: families and ensembles that the user's own pieces of training allow."""
    everything = (*families_for(data, model), *ensembles())
    return tuple(space for space in everything if not recipe.refusal(space.corner()))


def _inside(method: str, places: tuple[str, ...]) -> Space:
    record = catalogue()[method]
    searched: dict[str, Range | Choice] = {"rate": _HIDDEN if record.every_entry else _GROUPS}
    if len(places) > 1:
        alone = places if len(places) <= _PLACES else (places[0], places[-1])
        searched["at"] = Choice(("", *alone))
    return Space(record.name.replace("_", " "), searched, {"method": method})


def ensembles() -> tuple[Space, ...]:
    """Averages of several networks that together cost as much as one: a deep ensemble, and bagging."""
    members = {"members": Choice(MEMBERS)}
    return (Space("deep ensemble", members), Space("bagging", members, {"bagging": True}))


def combined(one: Arm, other: Arm) -> Space:
    """The best two families together: their settings fixed, learning rate and weight decay searched anew.

    Where both drop behind hidden activations the first one's place, kind and rate stand.

    >>> sorted(combined(Arm("a", "L2", l2=0.1), Arm("b", "dropout", rate=0.5)).fixed.items())
    [('l2', 0.1), ('rate', 0.5)]
    """
    settings = _settings(one)
    others = {
        name: value for name, value in _settings(other).items() if not (one.rate and name in _HIDDEN_AT)
    }
    return Space(COMBINED, {}, others | settings)


_HIDDEN_AT = frozenset(("rate", "method", "at", "schedule"))
COMBINED = "best two combined"
_NUISANCE = frozenset(("name", "family", "learning_rate", "weight_decay"))


def _settings(arm: Arm) -> dict[str, Any]:
    default = Arm("", "")
    return {
        name: value
        for name, value in vars(arm).items()
        if name not in _NUISANCE and value != getattr(default, name)
    }
