"""The record of a published method: plain data that the catalogue, the docs and every tool read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from dropkit.core.check import OneOf
from dropkit.core.drop import Drop
from dropkit.core.groups import Pattern
from dropkit.core.pattern import ELLIPSIS

__all__ = ["SITES", "TRAITS", "Example", "Method", "Paper", "Site"]

Site = Literal[
    "activation", "input", "branch", "state", "embedding", "token", "head", "weight", "attention", "output"
]
SITES = OneOf(get_args(Site))

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
        describe: makes the `Drop` from the method's own arguments.
        example: a call that shows it.
        aliases: other names, historic and wrong ones too.
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
    describe: Callable[..., Drop]
    example: Example
    aliases: tuple[str, ...] = ()
    layers: Mapping[str, str] = field(default_factory=dict)
    waived: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        SITES.check("site", self.site)
        for trait in self.waived:
            OneOf(tuple(TRAITS)).check("waived", trait)

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
        groups = self.describe(**self.example.arguments).groups
        return isinstance(groups, Pattern) and groups.pattern == ELLIPSIS

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain data."""
        skipped = {"describe", "paper", "example"}
        data = {name: value for name, value in vars(self).items() if name not in skipped}
        return data | {"paper": dict(vars(self.paper)), "traits": self.traits}
