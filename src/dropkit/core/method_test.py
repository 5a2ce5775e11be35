import dataclasses
import json
from typing import Any

import pytest

from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.method import TRAITS, Example, Method, Paper


def record(**changes: Any) -> Method:
    paper = Paper("A title", ("Surname, Given",), 2014, "A journal", "https://example.org", "@article{key}")
    method = Method(
        name="nothing",
        title="Nothing",
        summary="Drops nothing.",
        formula="y = x",
        paper=paper,
        site="activation",
        fields=("vision",),
        good_for="Tests.",
        bad_for="Everything else.",
        describe=lambda: Drop(0),
        example=Example((2, 3), "b c"),
    )
    return dataclasses.replace(method, **changes)


def test_a_method_has_every_trait_but_those_it_waives() -> None:
    assert record().traits == tuple(TRAITS)
    waived = record(waived={"mean": "equation (2): kept entries are not scaled"}).traits
    assert set(TRAITS) - set(waived) == {"mean"}


def test_the_record_is_plain_data() -> None:
    data = json.loads(json.dumps(record(aliases=("none",)).to_json()))
    assert data["name"] == "nothing"
    assert data["aliases"] == ["none"]
    assert data["paper"]["year"] == 2014
    assert data["traits"] == list(TRAITS)
    assert "describe" not in data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"site": "activations"}, "site must be one of .*, got 'activations'; did you mean 'activation'"),
        ({"waived": {"means": "no reason"}}, "waived must be one of .*, got 'means'; did you mean 'mean'"),
    ],
)
def test_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        record(**changes)
