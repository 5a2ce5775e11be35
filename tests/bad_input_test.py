"""Bad input is refused where it enters; the message names the argument, the rule, the value and the mend."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import dropkit
from dropkit import Blocks, Drop, DropkitError, Key, KofN, Pattern, PerAxis, Window
from dropkit.core.check import RATE, Interval, OneOf, Whole
from dropkit.core.mode import MODE, SCALE
from dropkit.torch import functional, layers

X = np.ones((2, 3, 4), np.float32)
T = torch.ones(2, 3, 4)


class Case(NamedTuple):
    """A call that must be refused, and the parts of the message."""

    call: Callable[..., object]
    argument: str
    rule: str
    value: Any
    mend: str

    def __str__(self) -> str:
        return f"{self.argument}={self.value!r}"[:40]


def refused(case: Case) -> str:
    with pytest.raises(DropkitError) as caught:
        case.call()
    return str(caught.value)


def drop(rate: Any = 0.5, pattern: Any = "...", x: Any = X, **arguments: Any) -> Callable[[], object]:
    return lambda: dropkit.drop(x, rate, pattern, **arguments)


def make(function: Callable[..., object], *arguments: Any, **named: Any) -> Callable[[], object]:
    return lambda: function(*arguments, **named)


# --- every value that a rule knows to be bad, at every door that the rule guards

DOORS: list[tuple[str, Interval | Whole | OneOf, Callable[[Any], object]]] = [
    ("rate", RATE, lambda bad: dropkit.drop(X, bad)),
    ("rate", RATE, lambda bad: dropkit.drop(T, bad)),
    ("rate", RATE, lambda bad: Drop(bad)),
    ("rate", RATE, lambda bad: dropkit.constant_schedule(bad)),
    ("rate", RATE, lambda bad: dropkit.depth_rates(bad, 3)),
    ("start", RATE, lambda bad: dropkit.linear_schedule(bad, 0.5, 10)),
    ("end", RATE, lambda bad: dropkit.cosine_schedule(0.5, bad, 10)),
    ("rates[0]", RATE, lambda bad: PerAxis((bad,), "c")),
    ("mode", MODE, lambda bad: dropkit.drop(X, 0.5, mode=bad)),
    ("mode", MODE, lambda bad: dropkit.drop(T, 0.5, mode=bad)),
    ("scale", SCALE, lambda bad: Drop(0.5, scale=bad)),
    ("block_size", Whole(1, ""), lambda bad: Blocks(bad)),
    ("steps", Whole(1, ""), lambda bad: dropkit.early_schedule(0.5, bad)),
    ("i", Whole(0, "", below=2**32), lambda bad: Key(1).fold("step", bad)),
    ("window.start[0]", Whole(0, ""), lambda bad: Window((bad,))),
    ("p", RATE, lambda bad: functional.dropout(T, bad)),
]


@pytest.mark.parametrize(
    ("argument", "rule", "door", "bad"),
    [(argument, rule, door, bad) for argument, rule, door in DOORS for bad in rule.bad()],
)
def test_every_bad_value_at_every_door(
    argument: str, rule: Interval | Whole | OneOf, door: Callable[[Any], object], bad: object
) -> None:
    with pytest.raises(DropkitError) as caught:
        door(bad)
    message, _, mend = str(caught.value).partition("; ")
    assert message == f"{argument} {rule.rule}, got {bad!r}"
    assert mend


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dropout,
        layers.Dropout2d,
        layers.AlphaDropout,
        layers.GaussianDropout,
        layers.DropPath,
        layers.Zoneout,
    ],
)
@pytest.mark.parametrize("bad", RATE.bad())
def test_layers_refuse_bad_rates_at_construction(layer: Callable[[Any], object], bad: object) -> None:
    with pytest.raises(DropkitError) as caught:
        layer(bad)
    assert f" {RATE.rule}, got {bad!r}; " in str(caught.value)


# --- one by one

CASES = [
    # arrays
    Case(
        drop(x=[1.0, 2.0]),
        "x",
        "is a NumPy array or a tensor of torch, JAX or TensorFlow",
        list,
        "convert it",
    ),
    Case(drop(x=1.0), "x", "is a NumPy array or a tensor of torch, JAX or TensorFlow", float, "convert it"),
    Case(drop(x=np.ones(3, int)), "x", "has a real floating type", np.dtype(int), "convert it"),
    Case(drop(x=np.ones(3, complex)), "x", "has a real floating type", np.dtype(complex), "convert it"),
    Case(drop(x=np.ones(3, bool)), "x", "has a real floating type", np.dtype(bool), "convert it"),
    Case(drop(x=np.array(["a"])), "x", "has a real floating type", np.dtype("<U1"), "convert it"),
    Case(drop(x=torch.ones(3, dtype=torch.int64)), "x", "floating", torch.int64, ""),
    Case(drop(x=torch.ones(3, dtype=torch.complex64)), "x", "floating", torch.complex64, ""),
    # patterns
    Case(
        drop(pattern="b c t -> d"),
        "pattern",
        "has no axis 'd' on the left",
        "b c t -> d",
        "choose from b, c, t",
    ),
    Case(drop(pattern="b c b -> c"), "pattern", "names each axis once a side", "b c b -> c", "rename it"),
    Case(
        drop(pattern="b c -> b"), "pattern", "has 2 axes but the array has 3", "b c -> b", "name every axis"
    ),
    Case(drop(pattern="b c t d ..."), "pattern", "has at least 4 axes", "b c t d ...", "name every axis"),
    Case(drop(pattern="b -> c -> t"), "pattern", "has at most one '->'", "b -> c -> t", "remove this arrow"),
    Case(
        drop(pattern="b (c t -> b"), "pattern", "closes every bracket", "b (c t -> b", "add the missing ')'"
    ),
    Case(drop(pattern="b, c, t"), "pattern", "cannot hold ','", "b, c, t", "use names"),
    Case(
        drop(pattern="b c (h 3)"),
        "pattern",
        "does not fit an axis of 4 entries",
        "b c (h 3)",
        "correct the size",
    ),
    Case(
        drop(pattern="b c (h d)"),
        "pattern",
        "leaves one size open",
        "b c (h d)",
        "give one by name, e.g. d=4",
    ),
    Case(drop(pattern="b c (h 0)"), "pattern", "has sizes of at least 1", "b c (h 0)", "correct the size"),
    Case(drop(pattern=3), "pattern", "must be a str", 3, "write e.g. 'b c h w -> b c'"),
    Case(drop(pattern=["b"]), "pattern", "must be a str", ["b"], "write e.g. 'b c h w -> b c'"),
    Case(drop(pattern=None), "pattern", "must be a str", None, "write e.g. 'b c h w -> b c'"),
    # sizes by name
    Case(drop(pattern="b c (h d)", dd=2), "sizes", "name axes of the pattern", "dd", "did you mean 'd'?"),
    Case(
        drop(pattern="b c (h d)", d=0), "size of axis 'd'", "a whole number of at least 1", 0, "give a number"
    ),
    Case(
        drop(pattern="b c (h d)", d="2"),
        "size of axis 'd'",
        "a whole number of at least 1",
        "2",
        "give a number",
    ),
    Case(
        drop(pattern=KofN(), d=2),
        "sizes",
        "go with a pattern given as text",
        {"d": 2},
        "give them to the groups",
    ),
    # keys and windows
    Case(drop(key="7"), "key", "must be an int or a dropkit.Key", "7", "write e.g. key=42"),
    Case(drop(key=0.5), "key", "must be an int or a dropkit.Key", 0.5, "write e.g. key=42"),
    Case(drop(key=True), "key", "must be an int or a dropkit.Key", True, "write e.g. key=42"),
    Case(drop(key=-1), "key", "at least 0 and below 2**64", -1, "give a number of up to 64 bits"),
    Case(drop(key=2**64), "key", "at least 0 and below 2**64", 2**64, "give a number of up to 64 bits"),
    Case(make(Key(1).fold, 5), "name", "must be a str", 5, "name the stream"),
    Case(drop(window=(1,)), "window", "must be a Window", (1,), "write e.g. dropkit.Window((128,))"),
    Case(make(Window, 3), "window.start", "must be a tuple of numbers", 3, "give the place"),
    Case(
        drop(window=Window((0, 1))), "window", "needs whole=", Window((0, 1)), "give the shape of the whole"
    ),
    Case(drop(window=Window((0,) * 4)), "window.start", "has at most 3 axes", (0,) * 4, "leave the rest out"),
    Case(
        drop(window=Window((2,), (3, 3, 4))),
        "window.whole",
        "holds the part (2, 3, 4)",
        (3, 3, 4),
        "give the shape",
    ),
    # noises, scales and groups that do not go together
    Case(drop(noise="gausian"), "noise", "must be one of 'bernoulli'", "gausian", "did you mean 'gaussian'?"),
    Case(drop(noise=None), "noise", "must be one of 'bernoulli'", None, "choose from"),
    Case(
        drop(noise="alpha", scale="eval"), "scale", "must be one of 'train'", "eval", "leave scale at 'train'"
    ),
    Case(drop(0.5, KofN(1)), "rate", "is None where KofN has k", 0.5, "give k or a rate, not both"),
    Case(drop(None, KofN(5)), "k", "is at most the size of axis 't', 4", 5, "drop fewer"),
    Case(
        drop(0.5, Blocks(2), noise="gaussian"), "groups", "cannot drop whole blocks", Blocks(2), "take noise="
    ),
    Case(
        make(Blocks, (2, 2, 2)), "block_size", "has one side for each axis of 'h w'", (2, 2, 2), "one number"
    ),
    Case(
        make(Blocks, 2, over="x y", pattern="b h w"),
        "over",
        "names axes that stand right",
        "x",
        "choose from b, h, w",
    ),
    Case(make(KofN, 1, over="h w"), "over", "is one axis", "h w", "name the axis"),
    # rates that move
    Case(
        drop(dropkit.linear_schedule(0, 1, 5)),
        "rate",
        "is a number where it is applied",
        dropkit.linear_schedule(0, 1, 5),
        "write drop.at(step)",
    ),
    Case(
        drop(PerAxis((0.1, 0.2), "c"), "b c t"),
        "rates",
        "has one rate for each of the 3 places",
        2,
        "give as many rates",
    ),
    Case(
        drop(PerAxis((0.1,), "d"), "b c t"),
        "over",
        "moves along an axis with coins of its own",
        "d",
        "name the axis right",
    ),
    Case(make(PerAxis, 0.5, "c"), "rates", "must be a tuple of numbers", 0.5, "write the share"),
    Case(
        make(dropkit.linear_schedule(0, 1, 5), -1),
        "step",
        "at least 0",
        -1,
        "give the number of optimizer steps",
    ),
    Case(make(dropkit.Learned, 1), "start", "must be a number in (0, 1)", 1, "begin e.g. at 0.1"),
    # masks, models, text
    Case(
        make(dropkit.mask, None, (2,), Drop(0.5)), "key", "must be an int", None, "give the key of the call"
    ),
    Case(make(dropkit.mask, 7, (2,), 0.5), "drop", "must be a Drop", 0.5, "describe the dropout"),
    Case(
        make(dropkit.mask, 7, (2, -1), Drop(0.5)), "shape[1]", "at least 0", -1, "give the size of each axis"
    ),
    Case(
        make(dropkit.mode, X, "mc"),
        "model",
        "is a torch module or a Keras model",
        np.ndarray,
        "give the model itself",
    ),
    Case(
        make(dropkit.mode, torch.nn.Dropout(), "tain"),
        "mode",
        "must be one of",
        "tain",
        "did you mean 'train'?",
    ),
    Case(
        make(Drop.from_json, "{"),
        "text",
        "is what Drop.to_json wrote",
        "{",
        "give the text as it was written",
    ),
    Case(make(Pattern, "b c", {"d": 2}), "sizes", "name axes of the pattern", "d", "choose from b, c"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_message_names_argument_rule_value_and_mend(case: Case) -> None:
    message = refused(case)
    head, _, mend = message.partition("; ")
    assert head.startswith(f"{case.argument} ")
    assert case.rule in head
    assert head.endswith(f", got {case.value!r}")
    assert case.mend in mend
    assert mend


def test_nothing_is_changed_before_the_refusal() -> None:
    x = torch.ones(2, 3, 4)
    with pytest.raises(DropkitError):
        functional.drop(x, Drop(0.5, "b c -> b"), inplace=True)
    assert torch.equal(x, torch.ones(2, 3, 4))
