"""The record of a published method: plain data that the catalogue, the docs and every tool read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from dropkit.core.check import DropkitError, OneOf
from dropkit.core.drop import Drop
from dropkit.core.groups import Pattern
from dropkit.core.key import Key
from dropkit.core.pattern import ELLIPSIS
from dropkit.core.reference import mask

__all__ = ["FIELDS", "SITES", "STATUSES", "TRAITS", "Example", "Field", "Method", "Paper", "Site"]

Array = np.ndarray[Any, Any]

Site = Literal[
    "activation",
    "input",
    "branch",
    "layer",
    "state",
    "embedding",
    "token",
    "patch",
    "head",
    "attention",
    "weight",
    "gradient",
    "node",
    "edge",
    "message",
    "output",
]
SITES = OneOf(get_args(Site))

Field = Literal["vision", "text", "speech", "tabular", "graphs", "gans", "rl"]
"""Where a method is used; rl is reinforcement learning."""
FIELDS = OneOf(get_args(Field))

FORMULA, NOT_REPRODUCED, REPRODUCED = "formula tested", "not reproduced", "reproduced: "
STATUSES = (FORMULA, NOT_REPRODUCED, REPRODUCED)
"""How far the word of a record goes: its formula is tested; the paper's result was tried and not found; or it
was found, and behind the colon stand figure, data and command."""

TRAITS: Mapping[str, str] = {
    "rate": "every entry is dropped with the declared probability",
    "moments": "the factor has the declared mean and variance at every entry",
    "mean": "the expected output equals the input",
    "groups": "entries of one group share their draw",
    "independence": "different groups draw independently",
    "eval": "evaluation applies the declared eval map",
    "gradient": "the gradient is the factor, under the very mask of the forward pass",
    "key": "the same key gives the same mask, another key another one",
    "edges": "rates 0 and 1 are finite forward and backward",
}
"""What the contract examines. A method has all of them but those that its record waives, with the reason."""


@dataclass(frozen=True)
class Paper:
    """Where a method was published.

    Args:
        title: as printed.
        authors: "Surname, Given" in order.
        year: of publication.
        venue: journal, conference or preprint server.
        url: a page that stays, e.g. `https://arxiv.org/abs/1810.12890`.
        bibtex: a complete entry.
        checked: what the formula was checked against: "paper", or the citing text or code where the paper
            could not be read.
    """

    title: str
    authors: tuple[str, ...]
    year: int
    venue: str
    url: str
    bibtex: str
    checked: str = "paper"


@dataclass(frozen=True)
class Example:
    """A call that shows the method.

    Args:
        shape: of the input, axis by axis.
        axes: the names of its axes, e.g. "b c h w".
        arguments: those of `describe`.
        usage: how the layer of a framework is used where `y = layer(x)` does not do; `{rate}` is the rate.
    """

    shape: tuple[int, ...]
    axes: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """One published method.

    Args:
        name: the name of its file, e.g. "drop_block".
        title: the name people use, e.g. "DropBlock".
        summary: one sentence.
        formula: the law in plain text.
        paper: where it was published.
        site: which tensor is hit.
        fields: where it is used, e.g. ("vision",).
        good_for: when to use it, in plain words.
        bad_for: when not to.
        example: a call that shows it.
        describe: makes the `Drop` from the method's own arguments; None where no `Drop` says the law, because
            it looks at values, learns its rate, acts on a structure or changes the loss.
        sketch: draws what such a method does to its example under a key: a factor an entry, 0 for dropped.
        variant_of: the method whose noise and groups these are, at another site, on a schedule or under
            another name. It does not count as a mechanism of its own.
        instead: what takes the place of a dropped entry, where that is neither 0 nor a constant.
        status: one of `STATUSES`.
        evidence: what published work found for it or against it, in a sentence or two with the source.
        study: whether `dropkit study` tries it where it fits, unasked.
        aliases: other names by which it is known.
        old_names: names that mislead, e.g. arguments and classes of other libraries, each with what it means.
        around: the name under which its class holds the module that it stands around; "" where it stands
            around none.
        layers: the class that offers it, by framework.
        waived: traits that it does not have, each with the equation or code that says so.
    """

    name: str
    title: str
    summary: str
    formula: str
    paper: Paper
    site: Site
    fields: tuple[str, ...]
    good_for: str
    bad_for: str
    example: Example
    describe: Callable[..., Drop] | None = None
    sketch: Callable[[Key], Array] | None = None
    variant_of: str = ""
    instead: str = ""
    status: str = FORMULA
    evidence: str = ""
    study: bool = False
    aliases: tuple[str, ...] = ()
    old_names: Mapping[str, str] = field(default_factory=dict)
    around: str = ""
    layers: Mapping[str, str] = field(default_factory=dict)
    waived: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        SITES.check("site", self.site)
        for word in self.fields:
            FIELDS.check("fields", word)
        for trait in self.waived:
            OneOf(tuple(TRAITS)).check("waived", trait)
        told = self.status.startswith(REPRODUCED) and len(self.status) > len(REPRODUCED)
        if self.status not in (FORMULA, NOT_REPRODUCED) and not told:
            raise DropkitError("status", f"is one of {STATUSES}", self.status, "say how far it was tested")
        if (self.describe is None) == (self.sketch is None):
            raise DropkitError("describe", "or sketch is given, one of the two", self.name, "give one")

    def drop(self, **arguments: Any) -> Drop:
        """Return the description with the arguments of the example, but for those that are given.

        >>> from dropkit.methods import catalogue
        >>> catalogue()["dropout"].drop(rate=0.1).rate
        0.1
        """
        if self.describe is None:
            rule = "is one that a Drop describes"
            raise DropkitError("method", rule, self.name, "use its layer, see `dropkit show`")
        return self.describe(**{**self.example.arguments, **arguments})

    def picture(self, key: int | Key = 7, **arguments: Any) -> Array:
        """Return what is drawn for the example under a key: a factor an entry, 0 where it is dropped."""
        if self.sketch is not None:
            return self.sketch(Key.of(key))
        return mask(key, self.example.shape, self.drop(**arguments))

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits that the contract examines."""
        return tuple(trait for trait in TRAITS if trait not in self.waived)

    @property
    def every_entry(self) -> bool:
        """Whether every entry has a draw of its own, in tensors of any rank.

        >>> from dropkit.methods import catalogue
        >>> catalogue()["dropout"].every_entry, catalogue()["spatial_dropout"].every_entry
        (True, False)
        """
        if self.describe is None:
            return False
        groups = self.drop().groups
        return isinstance(groups, Pattern) and groups.pattern == ELLIPSIS

    @property
    def standing(self) -> str:
        """How far the word of the record goes, and what its formula was checked against.

        >>> from dropkit.methods import catalogue
        >>> catalogue()["cutout"].standing[:53]
        'formula tested; formula checked against: the abstract'
        """
        return f"{self.status}; formula checked against: {self.paper.checked}"

    @property
    def keys(self) -> str:
        """What happens to the names in a state_dict, and what to do about it; "" where nothing does.

        >>> from dropkit.methods import catalogue
        >>> catalogue()["mixout"].keys[:54]
        "0.weight becomes 0.module.weight: load a plain model's"
        """
        if not self.around:
            return ""
        off = "unwrap_weights(model)" if self.around == "module" else f"its .{self.around}"
        name = f"0.weight becomes 0.{self.around}.weight"
        return f"{name}: load a plain model's state_dict before wrapping; {off} gives the plain layer back"

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain data."""
        skipped = {"describe", "sketch", "paper", "example"}
        data = {name: value for name, value in vars(self).items() if name not in skipped}
        further = {"paper": dict(vars(self.paper)), "traits": self.traits, "standing": self.standing}
        return data | further
