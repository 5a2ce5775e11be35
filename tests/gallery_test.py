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
