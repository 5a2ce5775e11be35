"""Methods that differ in name alone are counted once."""

from dataclasses import replace

import pytest
from tools import mechanisms

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
        (Drop(0.1), Drop(0.1, scale="eval"), False),
        (Drop(0.1), Drop(0.1, scale="none"), False),
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
