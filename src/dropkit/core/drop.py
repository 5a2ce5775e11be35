"""Drop = noise x groups x rate x scale: a dropout described, frozen, without a framework or a state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dropkit.core import groups as grouping
from dropkit.core import noise as noises
from dropkit.core import rate as rates
from dropkit.core.check import DropkitError
from dropkit.core.groups import Groups, KofN, Pattern
from dropkit.core.mode import SCALE, Scale
from dropkit.core.noise import Continuous, Noise
from dropkit.core.rate import PerAxis, Rate
from dropkit.core.schedule import Schedule

__all__ = ["Drop"]


@dataclass(frozen=True)
class Drop:
    """What happens to a tensor: y = m(u) x + b(u), with one draw u for each group of entries.

    Args:
        rate: the probability that an entry is dropped: a number in [0, 1], a schedule, a `PerAxis` or a
            `Learned`. None only with `KofN(k)`, which counts instead.
        groups: which entries share a draw: a pattern such as `"b c h w -> b c"`, or `Blocks`, `KofN`.
        noise: `"bernoulli"`, `"alpha"`, `"gaussian"` or `"uniform"`.
        scale: where the factor 1 / (1 - rate) goes: `"train"`, `"eval"` or `"none"`.

    Raises:
        DropkitError: a part is wrong, or two parts do not go together.

    >>> Drop(0.1, "b ... -> b").rate
    0.1
    """

    rate: Any
    groups: Any = "..."
    noise: Any = "bernoulli"
    scale: Scale = "train"

    def __post_init__(self) -> None:
        groups = self.groups if isinstance(self.groups, Groups) else Pattern(self.groups)
        noise = noises.get(self.noise)
        SCALE.check("scale", self.scale)
        noise.check_scale(self.scale)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "noise", noise)
        object.__setattr__(self, "rate", _check_rate(self.rate, groups))
        if isinstance(noise, Continuous) and not isinstance(groups, Pattern):
            rule = f"cannot drop whole {groups.kind} with noise {noise.name!r}, which drops nothing outright"
            raise DropkitError("groups", rule, groups, "take noise='bernoulli', or a pattern")

    @classmethod
    def of(cls, rate: Any, groups: Any, noise: str | Noise, scale: Scale, sizes: Mapping[str, int]) -> Drop:
        """Return the description that `dropkit.drop` writes as arguments: `sizes` complete a pattern.

        >>> Drop.of(0.1, "b (h d) -> b h", "bernoulli", "train", {"h": 4}).groups
        Pattern(pattern='b (h d) -> b h', sizes=(('h', 4),))
        """
        if sizes and not isinstance(groups, str):
            raise DropkitError("sizes", "go with a pattern given as text", sizes, "give them to the groups")
        return cls(rate, Pattern(groups, sizes) if isinstance(groups, str) else groups, noise, scale)

    def at(self, step: int) -> Drop:
        """Return the description at a step of its schedule, with the rate as a number.

        >>> from dropkit.core.schedule import Early
        >>> Drop(Early(0.1, 50)).at(50).rate
        0.0
        """
        return replace(self, rate=self.rate(step)) if isinstance(self.rate, Schedule) else self

    def to_json(self) -> str:
        """Return the description as one line of JSON.

        >>> Drop(0.5).to_json()
        '{"rate": 0.5, "groups": {"kind": "pattern", "pattern": "..."}, "noise": "bernoulli", "scale":
        "train"}'
        """
        parts = {"rate": rates.to_json(self.rate), "groups": self.groups.to_json()}
        return json.dumps(parts | {"noise": self.noise.name, "scale": self.scale})

    @classmethod
    def from_json(cls, text: str) -> Drop:
        """Return the description that `to_json` wrote.

        Raises:
            DropkitError: the text is something else, or a number in it is out of range.

        >>> Drop.from_json(Drop(0.5, "b ... -> b").to_json()) == Drop(0.5, "b ... -> b")
        True
        """
        try:
            data = json.loads(text)
            groups = grouping.from_json(data["groups"])
            return cls(rates.from_json(data["rate"]), groups, data["noise"], data["scale"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            mend = f"give the text as it was written ({type(error).__name__}: {error})"
            raise DropkitError("text", "is what Drop.to_json wrote", text, mend) from error


def _check_rate(rate: Any, groups: Groups) -> Rate | None:
    counted = isinstance(groups, KofN) and groups.k is not None
    if counted:
        if rate is not None:
            raise DropkitError("rate", "is None where KofN has k", rate, "give k or a rate, not both")
        return None
    checked = rates.check(rate)
    if isinstance(checked, PerAxis):
        _check_per_axis(checked, groups)
    return checked


def _check_per_axis(rate: PerAxis, groups: Groups) -> None:
    if not isinstance(groups, Pattern):
        raise DropkitError("rate", f"is one number for {groups.kind}", rate, "take a pattern, or one rate")
    if rate.over not in groups.parsed.right:
        rule = f"moves along an axis with coins of its own in {groups.pattern!r}"
        raise DropkitError("over", rule, rate.over, "name the axis right of '->'")
