from typing import Any

import numpy as np
import pytest

import dropkit
from dropkit.core.check import DropkitError
from dropkit.core.mode import Scale
from dropkit.migrate import CONVENTIONS, drop_from, fold_scale, pattern_from, rate_from, scale_from

# How each convention computes, from its documentation: the mask is 1 where an entry is kept.
TRAINING: dict[Scale, Any] = {
    "train": lambda x, mask, rate: x * mask / (1 - rate),
    "eval": lambda x, mask, rate: x * mask,
    "none": lambda x, mask, rate: x * mask,
}
EVALUATION: dict[Scale, Any] = {
    "train": lambda x, rate: x,
    "eval": lambda x, rate: x * (1 - rate),
    "none": lambda x, rate: x,
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_record_is_complete(name: str) -> None:
    known = CONVENTIONS[name]
    assert known.name == name
    assert known.active
    assert known.trap
    assert known.source.startswith("https://")
    assert bool(known.switch) == bool(known.scales)
    assert bool(known.axes) == bool(known.axes_are)
    if known.scales:
        assert known.scale in known.scales.values()
    if known.default is not None:
        assert rate_from(name) == (known.default if known.means == "drop" else 1 - known.default)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_call_becomes_something_that_exists(name: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is an optional package")
    for target in CONVENTIONS[name].calls.values():
        if target.startswith("keras."):  # tried where Keras has a process of its own
            continue
        found: Any = dropkit
        for part in target.split("."):
            found = getattr(found, part)
        assert callable(found)


@pytest.mark.parametrize("kept", [0.9, 0.8, 0.7, 0.1, 0.05, 1, 1.0, 1e-30])
def test_the_share_that_is_kept_is_turned_round_in_decimals(kept: float) -> None:
    rate = rate_from("tensorflow 1", kept)
    assert rate == pytest.approx(1 - kept, abs=1e-16)
    assert len(repr(rate)) <= 4
    assert rate_from("tensorflow 2", rate) == rate


def test_axes_mean_opposite_things() -> None:
    x = np.ones((2, 3, 4, 5), "float32")
    per_channel = dropkit.mask(1, x.shape, dropkit.Drop(0.5, "b c h w -> b c"))
    for name, axes in [
        ("paddle", [0, 1]),
        ("paddle", (1, -4)),
        ("mxnet", (2, 3)),
        ("flax", (-1, -2)),
        ("haiku", [2, 3]),
        ("lasagne", [2, 3]),
        ("keras", (2, 3, 1, 1)),
        ("tensorflow 1", (None, None, 1, 1)),
    ]:
        drop = drop_from(name, 0.5, axes=axes, rank=4)
        assert np.array_equal(dropkit.mask(1, x.shape, drop), per_channel), name
    assert pattern_from("mxnet", range(4), 4) == "a b c d ->"
    assert dropkit.Drop(0.5, pattern_from("mxnet", range(4), 4)).groups.pattern == "a b c d ->"


def test_a_drop_computes_what_the_framework_computes() -> None:
    x = np.full((4, 8), 3.0)
    for name, switch in [("paddle", "downscale_in_infer"), ("paddle", None), ("lasagne", False)]:
        drop = drop_from(name, 0.25, switch=switch)
        arguments: dict[str, Any] = {"scale": drop.scale, "key": 5}
        mask = dropkit.drop(x, drop.rate, **arguments) != 0
        scale = scale_from(name, switch)
        wanted = TRAINING[scale](x, mask, 0.25)
        assert np.array_equal(dropkit.drop(x, drop.rate, **arguments), wanted)
        evaluated = dropkit.drop(x, drop.rate, mode="eval", **arguments)
        assert np.array_equal(evaluated, EVALUATION[scale](x, 0.25))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rate_from("paddel", 0.5), "did you mean 'paddle'?"),
        (lambda: rate_from("torch", 1.5), r"value must be a number in \[0, 1\], got 1.5"),
        (lambda: rate_from("tensorflow 1", 0.0), r"value must be a number in \(0, 1\], got 0.0"),
        (
            lambda: rate_from("tensorflow 1"),
            "value is needed, for there is no default, got None; give keep_prob",
        ),
        (lambda: rate_from("torch", True), "value must be a number"),
        (
            lambda: scale_from("paddle", "upscale"),
            "switch is mode='upscale_in_train' or 'downscale_in_infer'",
        ),
        (lambda: scale_from("keras", True), "switch is for conventions whose factor can move"),
        (lambda: pattern_from("torch", [1], 2), "axes is for conventions that can share a coin"),
        (lambda: pattern_from("paddle", [2], 2), r"axes are whole numbers in \[-2, 1\], got 2"),
        (lambda: pattern_from("paddle", "0", 2), "axes is one axis or a list of them"),
        (lambda: pattern_from("keras", (1, 2), 3), "axes is the shape of the mask, of 3 axes"),
        (lambda: pattern_from("paddle", [0], 9), "rank must be a whole number of at least 1 and below 9"),
        (lambda: drop_from("paddle", 0.5, axes=[0]), "rank must be a whole number"),
        (lambda: fold_scale(1.0, "lasagne", 0.5, switch=False), "switch leaves a factor"),
    ],
)
def test_bad_input_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()
