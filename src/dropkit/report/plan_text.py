"""The plan in plain sentences, for a terminal and a page."""

from __future__ import annotations

import math

from dropkit.report.plan import Plan
from dropkit.report.words import Words

__all__ = ["plan_lines"]


def plan_lines(plan: Plan, lang: str = "en") -> list[str]:
    """The plan in plain sentences.

    Args:
        plan: what was decided.
        lang: `en` or `zh`.

    Raises:
        DropkitError: there is no such language.
    """
    words = Words(plan, lang)
    head = words.say(
        "plan.head",
        fingerprint=plan.fingerprint,
        data=plan.data.name,
        rows=plan.data.rows,
        task=words.say.name("task", plan.data.task),
        model=plan.model.name,
    )
    return [
        head,
        *map(words.say.note, plan.notes),
        *_model(words),
        *_arms(words),
        *_places(words),
        *_parts(words),
        _training(words),
        *([words.say("plan.estimate", time=words.time(plan.estimate))] if plan.estimate else []),
        *_tests(words),
    ]


def _model(words: Words) -> list[str]:
    plan, say = words.plan, words.say
    own, modes = plan.model.own_dropout, [say.name("mode", mode) for mode in plan.model.random_modes]
    given = plan.model.pieces.items()
    pieces = [say("plan.piece", kind=say.name("piece", kind), name=name) for kind, name in given]
    return [
        *([say("plan.pieces", pieces=say("list.comma").join(pieces))] if pieces else []),
        *([say("plan.own", names=", ".join(own))] if own else []),
        *([say("plan.random", modes=say.listed(modes))] if modes else []),
        *([say("plan.weight")] if plan.data.class_weight == "balanced" else []),
    ]


def _arms(words: Words) -> list[str]:
    plan, search = words.plan, words.plan.search
    if plan.arms:
        return [words.say("plan.arms", arms=_all(words, [arm.name for arm in plan.arms]))]
    searched = words.say(
        "plan.search",
        families=_all(words, list(search.families)),
        trials=search.trials,
        round=search.round,
        splits=words.say("count.splits_of_their_own", n=search.splits),
        finalists=search.finalists,
    )
    return [searched, *([words.say("plan.prune")] if search.prune else [])]


def _all(words: Words, names: list[str]) -> str:
    return words.say("list.comma").join(words.arm(name) for name in names)


def _places(words: Words) -> list[str]:
    """Which methods can stand behind which modules, one sentence for each list of modules."""
    behind: dict[tuple[str, ...], list[str]] = {}
    for method, names in words.plan.model.sites.items():
        behind.setdefault(names, []).append(words.method(method))
    say = words.say
    return [
        say("plan.places", methods=say.listed(methods), names=say.listed(list(names)))
        for names, methods in behind.items()
    ]


def _parts(words: Words) -> list[str]:
    plan, parts, say = words.plan, words.plan.parts, words.say
    sizes = {"train": parts.train, "stop": parts.stop, "select": parts.select, "test": parts.test}
    seen = say("plan.fresh" if parts.fresh else "plan.seen")
    return [
        say("plan.parts", pairs=say("count.pairs", n=plan.tests.pairs), seed=plan.seed, **sizes),
        say(f"plan.{parts.design}"),
        *([] if plan.arms else [seen]),
    ]


def _training(words: Words) -> str:
    training = words.plan.training
    return words.say(
        "plan.training",
        optimizer=words.plan.model.pieces.get("optimizer", "AdamW"),
        epochs=training.epochs,
        steps=training.epochs * math.ceil(words.plan.parts.train / training.batch),
        batch=training.batch,
        rate=f"{training.learning_rate:g}",
        checks=min(training.checks, training.epochs),
        patience=training.patience,
    )


def _tests(words: Words) -> list[str]:
    plan, tests, say = words.plan, words.plan.tests, words.say
    labels = [words.label(metric) for metric in plan.metrics]
    power, detectable = f"{100 * tests.power:.0f}", f"{tests.detectable:.2f}"
    return [
        say("plan.tests", scores=say.listed(labels), n=tests.comparisons, metric=labels[0]),
        *([say("plan.looks", looks=tests.looks)] if tests.looks > 1 else []),
        say("plan.detectable", detectable=detectable, power=power, alpha=f"{tests.alpha:g}"),
        *([say("plan.floor", floor=f"{tests.floor:.2f}")] if tests.floor else []),
        say("plan.margin", margins=words.margins() or say("plan.off")),
    ]
