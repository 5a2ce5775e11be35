import pytest

from dropkit import Drop, DropkitError
from dropkit.core.schedule import Early
from dropkit.torch.recurrent_sites import Sites, describe_site

LOCKED, FRESH, GATED = "b t d -> b d", "b t d -> b t d", "b t g d -> b g d"


@pytest.mark.parametrize(
    ("name", "pattern", "scale"),
    [
        ("input", LOCKED, "train"),
        ("between", LOCKED, "train"),
        ("output", LOCKED, "train"),
        ("state", LOCKED, "train"),
        ("candidate", FRESH, "train"),
        ("cell", LOCKED, "train"),
        ("zoneout", FRESH, "eval"),
        ("cell_zoneout", FRESH, "eval"),
    ],
)
def test_a_rate_stands_for_the_papers_masks(name: str, pattern: str, scale: str) -> None:
    drop = describe_site(name, 0.2)
    assert (drop.rate, drop.groups.pattern, drop.scale) == (0.2, pattern, scale)
    assert describe_site(name, Early(0.1, 50)).rate == Early(0.1, 50)
    assert name in Sites.__annotations__


def test_descriptions_are_taken_as_they_are() -> None:
    drop = Drop(0.3, GATED, noise="gaussian")
    assert describe_site("state", drop) is drop
    assert describe_site("input", Drop(0.3)).groups.pattern == FRESH


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input", 1.5, r"input must be a number in \[0, 1\], got 1.5"),
        ("state", "0.5", r"state must be a number in \[0, 1\], got '0.5'"),
        ("state", Drop(0.1, "n c l -> n c"), "state names the axes b t d"),
        ("candidate", Drop(0.1, GATED), "candidate names the axes b t d"),
        ("input", Drop(0.1, LOCKED, noise="alpha"), "input multiplies, so it has no noise 'alpha'"),
        ("zoneout", Drop(0.1, FRESH), "zoneout is a rate, or a description that zoneout makes"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        describe_site(name, value)
