"""The pages on methods say what the records say today, and their links lead somewhere."""

import re
import xml.dom.minidom
from pathlib import Path

import pytest
from tools import gallery

from dropkit.methods import catalogue

DOCS = Path(__file__).parents[1] / "docs"


def test_the_gallery_is_that_of_the_records_of_today() -> None:
    assert (DOCS / "gallery.md").read_text() == gallery.page(), "write it again: python -m tools.gallery"
    assert {path.stem for path in (DOCS / "gallery").iterdir()} == set(catalogue())


@pytest.mark.parametrize("name", catalogue())
def test_a_picture_shows_every_place_that_is_dropped(name: str) -> None:
    method = catalogue()[name]
    drawn = method.picture(gallery.KEY)
    svg = xml.dom.minidom.parseString(gallery.picture(method))
    cells = [rect for rect in svg.getElementsByTagName("rect") if not rect.hasAttribute("stroke")]
    side = float(cells[0].getAttribute("height"))
    kept = sum(round(float(rect.getAttribute("width")) / side) for rect in cells)
    assert kept == (drawn != 0).sum()


def test_every_link_of_the_guide_leads_to_a_method() -> None:
    named = re.findall(r"gallery\.md#(\w+)", (DOCS / "guide.md").read_text())
    assert set(named) <= set(catalogue())
    assert len(set(named)) > 30


@pytest.mark.parametrize("name", ["gaussian_dropout", "concrete_dropout", "shake_shake", "fast_dropout"])
def test_where_nothing_is_dropped_the_picture_tells_the_moments(name: str) -> None:
    drawn = catalogue()[name].picture(gallery.KEY)
    said = gallery.picture(catalogue()[name])
    assert "dropped" not in said
    assert f"factors of mean {drawn.mean():.2f}, variance {drawn.var():.2f}" in said


def test_most_captions_say_at_which_rate_they_were_drawn() -> None:
    told = [name for name, method in catalogue().items() if method.example.arguments]
    assert len(told) > 0.85 * len(catalogue())


@pytest.mark.parametrize(
    "name",
    [
        "feature_alpha_dropout",
        "drop_path",
        "layer_skip",
        "head_dropout",
        "token_dropout",
        "locked_dropout",
        "gal_dropout",
        "rnn_drop",
        "grand",
    ],
)
def test_a_picture_is_large_enough_for_its_rate(name: str) -> None:
    method = catalogue()[name]
    drawn = method.picture(gallery.KEY)
    assert (drawn == drawn.min()).mean() == pytest.approx(method.example.arguments["rate"], abs=0.07)


def test_every_line_of_the_guide_names_its_evidence_itself() -> None:
    guide = (DOCS / "guide.md").read_text()
    assert "see its entry" not in guide
    assert "see their entries" not in guide
    for line in guide.splitlines():
        if line.startswith("| ") and not line.startswith("| you "):
            assert len(line.rstrip("| ").rsplit("|", 1)[1].strip()) > 15, line
