"""Methods with one deliberate defect each: the contract must find it, by the check that is there for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.defects import (
    ALPHAS,
    BLOCKS,
    CHANNELS,
    ENTRYWISE,
    GAUSSIAN,
    Rounding,
    a_step_late,
    alpha_to_zero,
    at_most,
    backwarding,
    batch_norm,
    batch_size_in_key,
    copying_eval,
    counting,
    deciding,
    distant_channels_share,
    divided,
    eight_bits,
    every_entry_its_own,
    first_order,
    forwarding,
    four_channels_share,
    frozen,
    high_half_alone,
    key_ignored,
    layers_share,
    memory_order,
    multiplied,
    neighbours_share,
    offset_in_gradient,
    other_law,
    own_generator,
    redrawn,
    remembering,
    seeds_added,
    seeds_within_the_map,
    shrinking,
    shrinking_eval,
    single_precision,
    sleeping_mc,
    straight_through,
    three_percent,
    train_the_whole_model,
    type_lost,
    unscaled,
    wide_gaussian,
    window_ignored,
    without_offset,
)
from tests.strangers import (
    ONE_COIN,
    STRANGER,
    UNSCALED,
    ExactDropBlock,
    FirstOrderDropBlock,
    LikeItsInput,
    OperatorFromImage,
    OwnOperator,
    ScaledDropPath,
    UnscaledDropPath,
    blocks,
    by_type,
    columns_first,
    columns_of_x_first,
    doubled_at_07,
    exactly_k_of_n,
    falling_together,
    floor_tells,
    gaps_counted,
    image_tells,
    keyed,
    multiplied_back,
    neighbours_share_at_03,
    only_listed_rates,
    operator,
    path,
    period,
    rate_off,
    read_from_the_start,
    short_period,
    shrinking_at_07,
    shrinking_in_float32,
    sparing_the_large,
    stranger,
    tiled,
    unscaled_at_05,
    unscaled_in_float16,
    wide_mask_back,
    writing,
    writing_back,
    writing_columns,
)
from tests.strangers import unscaled as no_scale

import dropkit
from dropkit.testing import Subject, examine
from dropkit.testing.contract import CHECKS
from dropkit.testing.registry import RUNS


@dataclass(frozen=True)
class Wrong:
    """A defect: the check that must find it, the method that has it, and the same method without it."""

    name: str
    trait: str
    check: str
    wrong: Subject
    right: Subject


PLAIN = own_generator(ENTRYWISE)
WRONG = [
    Wrong("rate 3 % off", "rate", "rate_at_every_position", deciding(three_percent, PLAIN), PLAIN),
    Wrong("<= for <", "rate", "planted", deciding(at_most), ENTRYWISE),
    Wrong("low half ignored", "rate", "planted", deciding(high_half_alone), ENTRYWISE),
    Wrong("8-bit threshold", "rate", "planted", deciding(eight_bits), ENTRYWISE),
    Wrong("threshold in float32", "rate", "planted", deciding(single_precision), ENTRYWISE),
    Wrong(
        "first-order block rate",
        "rate",
        "rate_at_every_position",
        deciding(first_order, own_generator(BLOCKS)),
        own_generator(BLOCKS),
    ),
    Wrong(
        "corner dropped less",
        "rate",
        "rate_at_every_position",
        deciding(seeds_within_the_map, own_generator(BLOCKS)),
        own_generator(BLOCKS),
    ),
    Wrong("neighbours share", "independence", "independence", deciding(neighbours_share), ENTRYWISE),
    Wrong(
        "four channels share",
        "independence",
        "independence",
        deciding(four_channels_share, CHANNELS),
        CHANNELS,
    ),
    Wrong(
        "groups 32 apart share", "independence", "independence", deciding(distant_channels_share), ENTRYWISE
    ),
    Wrong("seeds added", "independence", "independence", deciding(seeds_added), ENTRYWISE),
    Wrong("layers share", "independence", "independence", deciding(layers_share), ENTRYWISE),
    Wrong("entries of a group differ", "groups", "groups", deciding(every_entry_its_own, CHANNELS), CHANNELS),
    Wrong("key ignored", "key", "key", deciding(key_ignored), ENTRYWISE),
    Wrong("mask frozen across calls", "key", "key", forwarding(frozen), ENTRYWISE),
    Wrong("call counter of its own", "key", "key", counting(), ENTRYWISE),
    Wrong("mask depends on batch size", "key", "twin", deciding(batch_size_in_key), ENTRYWISE),
    Wrong("drawn in memory order", "key", "layouts", forwarding(memory_order, BLOCKS), BLOCKS),
    Wrong("type lost", "key", "inputs", forwarding(type_lost), ENTRYWISE),
    Wrong("window ignored", "key", "window", forwarding(window_ignored), ENTRYWISE),
    Wrong("JSON rounds the rate", "key", "description", replace(ENTRYWISE, drop=Rounding), ENTRYWISE),
    Wrong("scale 1 - p", "moments", "values", forwarding(shrinking), ENTRYWISE),
    Wrong("mean shrinks", "mean", "mean", forwarding(shrinking), ENTRYWISE),
    Wrong("b of alpha dropped", "moments", "values", forwarding(without_offset, ALPHAS), ALPHAS),
    Wrong("alpha drops to zero", "moments", "values", forwarding(alpha_to_zero, ALPHAS), ALPHAS),
    Wrong("variance 5 % off", "moments", "law", forwarding(wide_gaussian, GAUSSIAN), GAUSSIAN),
    Wrong("another law", "moments", "law", forwarding(other_law, GAUSSIAN), GAUSSIAN),
    Wrong("schedule a step late", "moments", "schedule", a_step_late(), ENTRYWISE),
    Wrong("eval shrinks", "eval", "evaluation", forwarding(shrinking_eval), ENTRYWISE),
    Wrong("eval copies", "eval", "evaluation", forwarding(copying_eval), ENTRYWISE),
    Wrong("mc draws nothing", "eval", "evaluation", forwarding(sleeping_mc), ENTRYWISE),
    Wrong("eval leaves a trace", "eval", "state", remembering(), ENTRYWISE),
    Wrong(
        "BatchNorm moved in mc",
        "eval",
        "state",
        batch_norm(train_the_whole_model),
        batch_norm(lambda model: dropkit.mode(model, "mc")),
    ),
    Wrong("no scale in backward", "gradient", "gradient", backwarding(unscaled), ENTRYWISE),
    Wrong("key redrawn in backward", "gradient", "gradient", backwarding(redrawn), ENTRYWISE),
    Wrong("straight-through backward", "gradient", "gradient", backwarding(straight_through), ENTRYWISE),
    Wrong("b of alpha in gradient", "gradient", "gradient", backwarding(offset_in_gradient, ALPHAS), ALPHAS),
    Wrong("dropped NaN survives", "edges", "nonfinite", forwarding(multiplied), ENTRYWISE),
    Wrong("rate 1 not finite", "edges", "edges", forwarding(divided), ENTRYWISE),
]

STRANGERS = [
    Wrong("3 % high at 0.1", "rate", "rate_at_every_position", rate_off(0.03, 0.1), STRANGER),
    Wrong("3 % low at 0.5", "rate", "rate_at_every_position", rate_off(-0.03, 0.5), STRANGER),
    Wrong("20 % off at 0.3 alone", "rate", "rate_at_every_position", rate_off(0.2, 0.3), STRANGER),
    Wrong("right at a list of rates", "rate", "rate_at_every_position", only_listed_rates(), STRANGER),
    Wrong("exactly k of n", "independence", "counts", stranger(exactly_k_of_n), STRANGER),
    Wrong("short period", "independence", "repetition", stranger(short_period), STRANGER),
    Wrong("calls with a rate of their own", "independence", "counts", stranger(falling_together), STRANGER),
    Wrong(
        "neighbours share at 0.3 alone",
        "independence",
        "independence",
        stranger(neighbours_share_at_03),
        STRANGER,
    ),
    Wrong("doubled at 0.7 alone", "moments", "values", stranger(factor=doubled_at_07), STRANGER),
    Wrong("mean off at 0.7 alone", "mean", "mean", stranger(factor=doubled_at_07), STRANGER),
    Wrong("no scale in backward at 0.5", "gradient", "gradient", stranger(back=unscaled_at_05), STRANGER),
    Wrong("float16 backward", "gradient", "gradient", stranger(back=unscaled_in_float16), STRANGER),
    Wrong("no scale in float16", "key", "inputs", stranger(factor=unscaled_in_float16), STRANGER),
    Wrong("mask depends on values", "key", "inputs", stranger(sparing_the_large), STRANGER),
    Wrong("eval shrinks at 0.7 alone", "eval", "evaluation", stranger(evaluated=shrinking_at_07), STRANGER),
    Wrong(
        "eval shrinks in float32", "eval", "evaluation", stranger(evaluated=shrinking_in_float32), STRANGER
    ),
    Wrong("a step late", "moments", "schedule", stranger(late=1), STRANGER),
    Wrong("scale a step late", "moments", "schedule", stranger(stale=1), STRANGER),
    Wrong(
        "a step late, no scale to tell", "moments", "schedule", stranger(factor=no_scale, late=1), UNSCALED
    ),
    Wrong("a mask again after 128 calls", "independence", "repetition", period(128), STRANGER),
    Wrong("a mask again after 1000 calls", "independence", "repetition", period(1_000), STRANGER),
    Wrong("a mask again after 2**16 calls", "independence", "repetition", period(2**16), STRANGER),
    Wrong("a mask again after 4999 calls", "independence", "repetition", period(4_999), STRANGER),
    Wrong("one coin again after 1000 calls", "independence", "repetition", period(1_000, ONE_COIN), ONE_COIN),
    Wrong(
        "seeds of 32 bits",
        "independence",
        "repetition",
        keyed(lambda key: replace(key, word=key.word % 2**32)),
        STRANGER,
    ),
    Wrong("a buffer read twice in a call", "independence", "repetition", stranger(tiled), STRANGER),
    Wrong("0 taken for dropped", "gradient", "gradient", backwarding(image_tells, STRANGER), STRANGER),
    Wrong("floor taken for dropped", "gradient", "gradient", backwarding(floor_tells, ALPHAS), ALPHAS),
    Wrong(
        "0 taken for dropped by an operator",
        "gradient",
        "gradient",
        operator(OperatorFromImage),
        operator(OwnOperator),
    ),
    Wrong(
        "mask of another type back",
        "gradient",
        "gradient",
        backwarding(wide_mask_back, stranger(by_type)),
        stranger(by_type),
    ),
    Wrong("columns first, back", "gradient", "gradient", backwarding(columns_first, STRANGER), STRANGER),
    Wrong("columns of x first, back", "key", "layouts", backwarding(columns_of_x_first, STRANGER), STRANGER),
    Wrong("gaps counted, back", "key", "layouts", backwarding(gaps_counted, STRANGER), STRANGER),
    Wrong(
        "read from the start, back", "key", "layouts", backwarding(read_from_the_start, STRANGER), STRANGER
    ),
    Wrong("x written into", "key", "untouched", forwarding(writing, STRANGER), STRANGER),
    Wrong("columns of x written into", "key", "untouched", forwarding(writing_columns, STRANGER), STRANGER),
    Wrong("gradient written into", "key", "untouched", backwarding(writing_back, STRANGER), STRANGER),
    Wrong("dropped NaN comes back", "edges", "nonfinite", backwarding(multiplied_back, STRANGER), STRANGER),
    Wrong("a mask for each type", "key", "inputs", operator(LikeItsInput), operator(OwnOperator)),
    Wrong("a mask for each layout", "key", "layouts", operator(LikeItsInput), operator(OwnOperator)),
    Wrong("path without its scale", "moments", "values", path(UnscaledDropPath), path(ScaledDropPath)),
    Wrong(
        "published rate of blocks",
        "rate",
        "rate_at_every_position",
        blocks(FirstOrderDropBlock),
        blocks(ExactDropBlock),
    ),
]
RANDOM = {
    "rate": ("contract.rate",),
    "moments": ("contract.moments", "contract.schedule"),
    "independence": ("contract.independence", "contract.counts", "contract.repeats"),
    "key": ("contract.key",),
}
"""The registered tests that an examination of a trait can run, each once."""


@pytest.mark.parametrize("case", [*WRONG, *STRANGERS], ids=lambda case: case.name)
def test_a_defect_is_found_and_its_absence_is_not(case: Wrong) -> None:
    found = finding(case.wrong, case)
    assert found.status == "failed", str(found)
    assert "raised" not in found.sentence
    assert finding(case.right, case).status == "passed"


@pytest.mark.parametrize("right", [operator(LikeItsInput), stranger(by_type)], ids=["module", "numpy"])
def test_a_gradient_is_not_blamed_for_a_mask_that_depends_on_the_type(right: Subject) -> None:
    report = examine(right, 5, ["key", "gradient"])
    assert {found.status for found in report.findings if found.check == "gradient"} == {"passed"}
    assert "inputs" in {found.check for found in report.failed}


def test_every_check_has_a_defect_that_it_finds() -> None:
    assert {check.__name__ for _, check in CHECKS} == {case.check for case in (*WRONG, *STRANGERS)}


def test_a_method_that_raises_is_a_finding() -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("float division by zero")

    report = examine(forwarding(broken), traits=["edges"])
    assert {found.sentence for found in report.failed} == {"raised ZeroDivisionError: float division by zero"}
    with pytest.raises(AssertionError, match="breaks the contract"):
        report.check()


def test_these_runs_are_within_what_the_registry_counts() -> None:
    cases = [case.trait for case in (*WRONG, *STRANGERS)]
    for trait, tests in RANDOM.items():
        assert all(2 * cases.count(trait) <= RUNS[test] // 5 for test in tests)


def finding(subject: Subject, case: Wrong) -> Any:
    return next(found for found in examine(subject, 5, [case.trait]).findings if found.check == case.check)
