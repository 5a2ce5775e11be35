import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks, KofN, Pattern
from dropkit.core.noise import Alpha, Bernoulli, Gaussian
from dropkit.core.rate import Learned, PerAxis
from dropkit.core.schedule import Early, Linear

RATES = st.one_of(
    st.floats(0, 1),
    st.builds(Linear, st.floats(0, 1), st.floats(0, 1), st.integers(1, 100)),
    st.builds(Learned, st.floats(0.01, 0.99)),
)
PLAIN = st.builds(
    Drop,
    RATES,
    st.sampled_from([Pattern(), Pattern("b (h d) -> b h", {"d": 2}), Blocks((3, 2)), KofN(over="t")]),
    st.sampled_from(["bernoulli", "alpha"]),
)
SCALED = st.builds(Drop, RATES, scale=st.sampled_from(["train", "eval", "none"]))
CONTINUOUS = st.builds(Drop, RATES, st.just("b c -> b"), st.sampled_from(["gaussian", "uniform"]))
OTHERS = st.sampled_from([Drop(None, KofN(3)), Drop(PerAxis((0.1, 0.2), over="c"), "b c")])


@given(st.one_of(PLAIN, SCALED, CONTINUOUS, OTHERS))
def test_a_description_survives_every_journey(drop: Drop) -> None:
    assert Drop.from_json(drop.to_json()) == drop
    assert pickle.loads(pickle.dumps(drop)) == drop
    assert copy.deepcopy(drop) == drop
    assert hash(Drop.from_json(drop.to_json())) == hash(drop)
    assert "\n" not in drop.to_json()


def test_words_become_parts() -> None:
    drop = Drop(1, "b c -> b", "gaussian")
    assert drop == Drop(1.0, Pattern("b c -> b"), Gaussian())
    assert type(drop.rate) is float
    assert Drop(0.5).noise == Bernoulli()
    assert Drop(0.5, noise=Alpha()).noise == Alpha()


def test_at_a_step_the_rate_is_a_number() -> None:
    drop = Drop(Linear(0, 0.4, 4), "b c -> b", scale="eval")
    assert drop.at(1) == Drop(0.1, "b c -> b", scale="eval")
    assert Drop(0.5).at(7) == Drop(0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.5}, r"rate must be a number in \[0, 1\], got 1.5"),
        ({"rate": None}, r"rate must be a number in \[0, 1\], got None"),
        ({"rate": 0.5, "groups": "b c -> d"}, "pattern has no axis 'd' on the left"),
        ({"rate": 0.5, "groups": 3}, "pattern must be a str, got 3"),
        ({"rate": 0.5, "noise": "bernouli"}, "did you mean 'bernoulli'"),
        ({"rate": 0.5, "scale": "test"}, "scale must be one of 'train', 'eval', 'none', got 'test'"),
        ({"rate": 0.5, "scale": "eval", "noise": "alpha"}, "one of 'train' for noise 'alpha'"),
        ({"rate": 0.5, "groups": KofN(2)}, "rate is None where KofN has k, got 0.5; give k or"),
        ({"rate": 0.5, "groups": Blocks(2), "noise": "gaussian"}, "cannot drop whole blocks with noise"),
        ({"rate": 0.5, "groups": KofN(), "noise": "uniform"}, "cannot drop whole k_of_n"),
        ({"rate": PerAxis((0.1,), "c"), "groups": Blocks(2)}, "rate is one number for blocks"),
        ({"rate": PerAxis((0.1,), "c"), "groups": "b c -> b"}, "over moves along an axis with coins of its"),
    ],
)  # fmt: skip
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        Drop(**arguments)


@pytest.mark.parametrize(
    "text",
    ["", "not json", "{}", "[]", "null", '"x"', json.dumps({"rate": 0.5, "groups": {}, "noise": "alpha"})]
    + [json.dumps({"rate": 0.5, "groups": groups, "noise": "bernoulli", "scale": "train"}) for groups in (
        None, {"kind": "pattern", "color": 1}, {"kind": "pattern", "sizes": 5}, {"kind": "blocks", "size": 3},
    )],
)  # fmt: skip
def test_text_from_strangers_is_refused_by_name(text: str) -> None:
    with pytest.raises(DropkitError, match=r"^(text is what Drop\.to_json wrote|sizes are numbers by name)"):
        Drop.from_json(text)


def test_numbers_from_strangers_are_checked() -> None:
    text = Drop(Early(0.1, 5)).to_json().replace("0.1", "1.1")
    with pytest.raises(DropkitError, match=r"rate must be a number in \[0, 1\], got 1.1"):
        Drop.from_json(text)
