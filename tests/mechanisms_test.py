"""Methods that differ in name alone are counted once."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tools import mechanisms

import dropkit.torch as kit
from dropkit import Blocks, Drop
from dropkit.core.method import Method
from dropkit.methods import catalogue

DROPOUT = catalogue()["dropout"]


def described(name: str, drop: Drop) -> Method:
    def describe(rate: float) -> Drop:
        return replace(drop, rate=rate)

    return replace(DROPOUT, name=name, describe=describe)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Drop(0.1, "b c h w -> b c"), Drop(0.1, "b t d -> b t"), True),
        (Drop(0.1, "b t d -> b d"), Drop(0.1, "b ... -> b"), True),
        (Drop(0.1), Drop(0.1, "b d -> b d"), True),
        (Drop(0.1), Drop(0.1, "b d -> b"), False),
        (Drop(0.1), Drop(0.1, scale="eval"), True),
        (Drop(0.1), Drop(0.1, scale="none"), True),
        (Drop(0.1), Drop(0.1, noise="gaussian"), False),
        (Drop(0.1, "b c h -> b c"), Drop(0.1, "b c h -> b c", noise="alpha"), False),
        (Drop(0.1, Blocks(2)), Drop(0.1, Blocks(3)), False),
    ],
)
def test_axes_by_another_name_are_the_same_mechanism(one: Drop, other: Drop, same: bool) -> None:
    found = mechanisms.groups([described("one", one), described("other", other)])
    assert len(found) == 2 - same


def test_a_variant_counts_with_its_method_and_a_method_that_decides_by_itself_for_itself() -> None:
    alone = replace(DROPOUT, name="alone", describe=None, sketch=lambda key: DROPOUT.picture(key))
    variant = replace(alone, name="variant", variant_of="alone")
    found = mechanisms.groups([DROPOUT, alone, variant])
    assert [[method.name for method in same] for same in found] == [["alone", "variant"], ["dropout"]]
    assert [mechanisms.tier(method) for method in (DROPOUT, alone, variant)] == [
        "pure",
        "adaptive",
        "variant",
    ]


def test_what_takes_the_place_of_a_dropped_entry_makes_a_mechanism() -> None:
    other = replace(DROPOUT, name="other", instead="the previous state")
    assert len(mechanisms.groups([DROPOUT, other])) == 2


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("README.md", r"\*\*(\d+) published methods\*\* on one idea, (\d+) of them mechanisms"),
        ("README.zh-CN.md", r"\*\*(\d+) 种发表过的方法\*\*都建立在同一个想法上，其中 (\d+) 种机制"),
    ],
)
def test_the_counts_of_the_first_page_are_those_of_today(page: str, words: str) -> None:
    said = re.search(words, (Path(__file__).parents[1] / page).read_text())
    found = mechanisms.groups(catalogue().values())
    assert said
    assert [int(number) for number in said.groups()] == [len(catalogue()), len(found)]


def test_what_counts_as_one_drops_the_same_under_one_key() -> None:
    x, none = torch.ones(64, 8), torch.zeros(2, 0, dtype=torch.int64)
    trained = kit.ConsistentDropout(0.3)(x, key=3)
    assert torch.equal(trained, kit.Drop(0.3)(x, key=3))
    run = kit.DropGNN(First(), 0.3, runs=1)(x, none, key=3)
    rows = kit.FeatureMask(0.3, per="row")(x, key=3)
    assert torch.equal(run != 0, rows != 0)
    assert torch.equal(rows, kit.Drop(0.3, "n d -> n", scale="none")(x, key=3))


class First(torch.nn.Module):
    """A network that gives back the features of the nodes."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """Return x."""
        return x


EQUAL_UNDER_ONE_KEY = [
    ("consistent_dropout", "dropout"),
    ("drop_gnn", "feature_mask"),
    ("layer_drop", "drop_path"),
]


@pytest.mark.parametrize(("method", "other"), EQUAL_UNDER_ONE_KEY)
def test_methods_with_a_mask_of_another_count_with_it(method: str, other: str) -> None:
    found = mechanisms.groups(catalogue().values())
    assert any({method, other} <= {each.name for each in same} for same in found)
