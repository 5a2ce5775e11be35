import ast
import json
from dataclasses import asdict
from typing import Any

import pytest

from dropkit.report.plan import Arm
from dropkit.report.repeat import repeat_of

GIVEN = (Arm("none", "none"), Arm("d", "dropout", rate=0.5, at=("1", "3")))
ARMS = json.loads(json.dumps([asdict(arm) for arm in GIVEN]))


@pytest.mark.parametrize(
    ("settings", "call", "own"),
    [
        ({"data": ["<ndarray>", "<ndarray>"], "pairs": 6}, "dropkit.study((x, y), pairs=6)", ("x", "y")),
        ({"data": "<DataFrame>", "target": "a'b"}, """dropkit.study(data, target="a'b")""", ("data",)),
        ({"data": "digits", "model": "<f.<locals>.net>"}, "dropkit.study('digits', model=net)", ("net",)),
        ({"data": "digits", "model": "<<lambda>>"}, "dropkit.study('digits', model=model)", ("model",)),
        ({"data": "digits", "recipe": "<Recipe>"}, "dropkit.study('digits', recipe=recipe)", ("recipe",)),
        ({"data": "a.csv", "group": [1, 2] * 500}, "dropkit.study('a.csv', group=group)", ("group",)),
        ({"data": [[[1.0]], [0]], "time": ["2026"]}, "dropkit.study((x, y), time=time)", ("x", "y", "time")),
        ({"data": "digits", "metric": "<mae>"}, "dropkit.study('digits', metric=mae)", ("mae",)),
        (
            {"data": "digits", "arms": ARMS},
            "dropkit.study('digits', arms=(Arm(name='none', family='none'),"
            " Arm(name='d', family='dropout', rate=0.5, at=('1', '3')),))",
            (),
        ),
    ],
)
def test_what_no_command_can_name_becomes_a_call(
    settings: dict[str, Any], call: str, own: tuple[str, ...]
) -> None:
    repeat = repeat_of(settings)
    assert (repeat.code.splitlines()[-1], repeat.own) == (call, own)
    ast.parse(repeat.code)


def test_arms_come_back_as_they_were() -> None:
    names: dict[str, Any] = {"study": lambda data, arms: arms}
    code = repeat_of({"data": "digits", "arms": ARMS}).code
    call = code.splitlines()[-1].removeprefix("dropkit.")
    assert eval(call, names | {"Arm": Arm}) == GIVEN  # of our own making
