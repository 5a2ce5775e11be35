"""Arms that make sense: every number in its range, and nothing asked for that the data or model has not."""

from __future__ import annotations

import math

from dropkit.core.check import DropkitError, Interval, OneOf, Whole, suggest
from dropkit.experiments.dataset import CLASSIFICATION
from dropkit.experiments.recipe import PLAIN, Recipe
from dropkit.report.plan import Arm, Plan

__all__ = ["RANGES", "check_arm"]

_SHARE = Interval(0, 1, "write a share, e.g. 0.1", open_high=True)
_FACTOR = Interval(0, math.inf, "write a factor, e.g. 0.001", open_high=True)

RANGES: dict[str, Interval | Whole | OneOf] = {
    "weight_decay": Interval(0, math.inf, "give AdamW's decay, e.g. 0.01", open_high=True),
    "rate": Interval(0, 1, "write the share that is dropped, e.g. 0.5", open_high=True),
    "schedule": OneOf(("constant", "early", "late")),
    "input_rate": Interval(0, 1, "write the share that is dropped, e.g. 0.1", open_high=True),
    "l1": _FACTOR,
    "l2": _FACTOR,
    "max_norm": Interval(0, math.inf, "give a radius, e.g. 3, or 0 for none", open_high=True),
    "label_smoothing": _SHARE,
    "augment": _SHARE,
    "r_drop": _FACTOR,
    "members": Whole(1, "give the number of networks, e.g. 5", below=1001),
    "share": Interval(0, 1, "write the share of the training rows, e.g. 0.5", open_low=True),
}
"""What each field of an arm may be."""

_RATE = Interval(0, math.inf, "give a learning rate, e.g. 0.001", open_low=True, open_high=True)


def check_arm(arm: Arm, plan: Plan, recipe: Recipe = PLAIN) -> None:
    """Refuse an arm that would be another one under this name.

    Args:
        arm: of a study.
        plan: its data and its model count.
        recipe: what of training is the user's own.

    Raises:
        DropkitError: a field is out of its range, or means nothing for these data, this model, this recipe.
    """
    for name, rule in RANGES.items():
        rule.check(f"{name} of arm {arm.name!r}", vars(arm)[name])
    if arm.learning_rate is not None:
        _RATE.check(f"learning_rate of arm {arm.name!r}", arm.learning_rate)
    _check_places(arm, plan.model.sites)
    why = _meaningless(arm, plan) or recipe.refusal(arm)
    if why:
        raise DropkitError(
            f"arm {arm.name!r}", f"must mean something here: {why}", arm.family, "leave it out"
        )


def _check_places(arm: Arm, places: dict[str, tuple[str, ...]]) -> None:
    if not arm.rate:
        return
    if arm.method not in places:
        rule = f"must use a method that fits into the model: {', '.join(places) or 'none does'}"
        raise DropkitError(f"method of arm {arm.name!r}", rule, arm.method, suggest(arm.method, places))
    for name in arm.at:
        if name not in places[arm.method]:
            rule = f"must be places of {arm.method}: {', '.join(places[arm.method])}"
            raise DropkitError(f"at of arm {arm.name!r}", rule, name, suggest(name, places[arm.method]))


def _meaningless(arm: Arm, plan: Plan) -> str:
    if arm.label_smoothing and plan.data.task != CLASSIFICATION:
        return "labels can be smoothed where there are classes"
    if arm.augment and len(plan.data.input_shape) != 3:
        return "only images (channels, height, width) can be moved"
    if arm.schedule != "constant" and not arm.rate:
        return "there is no rate that a schedule could move"
    return ""
