"""The code to paste: a recommended arm as a few lines for a model of one's own."""

from __future__ import annotations

import math

from dropkit.methods import get
from dropkit.report.plan import Arm, Plan
from dropkit.report.words import Words

__all__ = ["code_to_paste"]

_PENALTIES = {
    "l1": "{factor!r} * sum(w.abs().sum() for w in model.parameters() if w.dim() > 1)",
    "l2": "{factor!r} / 2 * sum(w.square().sum() for w in model.parameters() if w.dim() > 1)",
}
_R_DROP = """    one, other = model(x){flat}, model(x){flat}
    loss = (loss_of(one, y) + loss_of(other, y)) / 2
    loss = loss + {factor!r} * disagreement(one, other, {task!r})"""
_PREDICT = """# {comment}
def predict(models, x):
    return torch.stack([model(x){softmax} for model in models]).mean(0)"""


def code_to_paste(plan: Plan, arm: Arm, lang: str = "en") -> str:
    """A short text of Python that gives `model` the arm's dropout and trains it with the arm's loss.

    It defines `optimizer` and `train_step(x, y)`, and expects `model` to be there, and for classes of equal
    weight `y_train`, the classes of all training rows.

    Args:
        plan: says where a method stands and how networks are trained.
        arm: the setting.
        lang: `en` or `zh`, of its comments.

    Raises:
        DropkitError: there is no such language, or the arm's method is not in the catalogue.
    """
    words = Words(plan, lang)
    if arm.keeps_own:
        return f"# {words.say('paste.brought')}\n"
    blocks = [
        _imports(words, arm),
        *_scales(words),
        *_dropout(words, arm),
        _optimizer(words, arm),
        *([f"shifts = torch.Generator().manual_seed(0)  # {_shift(words, arm)}"] if arm.augment else []),
        _train_step(plan, arm),
        *_members(words, arm),
    ]
    return "\n\n".join(blocks) + "\n"


def _scales(words: Words) -> list[str]:
    """What learning rate and penalties were found for: numbers that the study had scaled."""
    data = words.plan.data
    is_table = len(data.input_shape) == 1 and not data.n_words
    told = [
        *(["paste.scaled_inputs"] if is_table else []),
        *(["paste.scaled_target"] if data.task != "classification" else []),
    ]
    return ["\n".join(f"# {words.say(key)}" for key in told)] if told else []


def _shift(words: Words, arm: Arm) -> str:
    return words.say("paste.shift", share=f"{100 * arm.augment:.3g}")


def _layer(method: str) -> str:
    return get(method).layers["torch"]


def _imports(words: Words, arm: Arm) -> str:
    layers = {
        *([_layer(arm.method)] if arm.rate else []),
        *([] if not arm.input_rate or words.plan.data.n_words else ["InputDropout"]),
        *(["Stepper"] if _scheduled(arm) else []),
        *(["max_norm_"] if arm.max_norm else []),
    }
    lines = [
        "import torch",
        "from torch import nn",
        "",
        *(["import dropkit"] if _scheduled(arm) else []),
        *(["from dropkit.experiments.augment import shifted"] if arm.augment else []),
        *(
            [f"from dropkit.experiments.losses import {', '.join(_losses(words, arm))}"]
            if _losses(words, arm)
            else []
        ),
        *(["from dropkit.experiments.own import switch_off"] if words.plan.model.own_dropout else []),
        *(
            ["from dropkit.experiments.word_dropout import WordDropout"]
            if arm.input_rate and words.plan.data.n_words
            else []
        ),
        *(["from dropkit.surgery.sites import put"] if arm.rate else []),
        *([f"from dropkit.torch import {', '.join(sorted(layers))}"] if layers else []),
    ]
    return "\n".join(lines).rstrip()


def _losses(words: Words, arm: Arm) -> list[str]:
    names = {"balanced": words.plan.data.class_weight == "balanced", "disagreement": arm.r_drop > 0}
    return [name for name, needed in names.items() if needed]


def _scheduled(arm: Arm) -> bool:
    return bool(arm.rate) and arm.schedule != "constant"


def _dropout(words: Words, arm: Arm) -> list[str]:
    """The model's own dropout off, the arm's in its place."""
    blocks = []
    if words.plan.model.own_dropout:
        blocks.append(f"switch_off(model)  # {words.say('paste.own')}")
    if arm.rate:
        sites = arm.at or words.plan.model.sites[arm.method]
        names = ", ".join(map(repr, sites)) + ("," if len(sites) == 1 else "")
        comment = f"  # {words.say('paste.sites')}"
        put = f"for name in ({names}):{comment}\n    put(model, name, {_layer(arm.method)}({_rate(arm)}))"
        blocks.append(f"{_steps(words)}\n{put}" if _scheduled(arm) else put)
    if arm.input_rate:
        layer = "WordDropout" if words.plan.data.n_words else "InputDropout"
        blocks.append(f"model = nn.Sequential({layer}({_short(arm.input_rate)}), model)")
    return blocks


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _rate(arm: Arm) -> str:
    rate = _short(arm.rate)
    schedules = {
        "constant": f"{rate}",
        "early": f"dropkit.linear_schedule({rate}, 0.0, steps // 2)",
        "late": f"dropkit.late_schedule({rate}, steps // 2)",
    }
    return schedules[arm.schedule]


def _steps(words: Words) -> str:
    training = words.plan.training
    steps = training.epochs * math.ceil(words.plan.parts.train / training.batch)
    return f"steps = {steps}  # {words.say('paste.steps')}"


def _optimizer(words: Words, arm: Arm) -> str:
    training = words.plan.training
    rate = training.learning_rate if arm.learning_rate is None else arm.learning_rate
    comment = words.say("paste.training", batch=training.batch, epochs=training.epochs)
    adam = (
        f"torch.optim.AdamW(model.parameters(), lr={_short(rate)}, weight_decay={_short(arm.weight_decay)})"
    )
    lines = [f"# {comment}", f"optimizer = {adam}"]
    if arm.max_norm:
        clip = f"lambda *_: max_norm_(model, {_short(arm.max_norm)})"
        lines.append(f"optimizer.register_step_post_hook({clip})")
    if _scheduled(arm):
        lines.append(f"Stepper(model).follow(optimizer)  # {words.say('paste.schedule')}")
    return "\n".join([*lines, f"loss_of = {_loss(words.plan, arm)}"])


def _loss(plan: Plan, arm: Arm) -> str:
    if plan.data.task != "classification":
        return "nn.MSELoss()"
    balanced = plan.data.class_weight == "balanced"
    given = [
        *([f"balanced(y_train, {plan.data.n_outputs})"] if balanced else []),
        *([f"label_smoothing={_short(arm.label_smoothing)}"] if arm.label_smoothing else []),
    ]
    return f"nn.CrossEntropyLoss({', '.join(given)})"


def _train_step(plan: Plan, arm: Arm) -> str:
    penalties = {"l1": arm.l1, "l2": arm.l2}
    lines = [
        "def train_step(x, y):",
        "    model.train()",
        "    optimizer.zero_grad()",
        *([f"    x = shifted(x, {_short(arm.augment)}, shifts)"] if arm.augment else []),
        _R_DROP.format(factor=_short(arm.r_drop), flat=_flat(plan), task=plan.data.task)
        if arm.r_drop
        else f"    loss = loss_of(model(x){_flat(plan)}, y)",
        *(
            f"    loss = loss + {_PENALTIES[name].format(factor=_short(factor))}"
            for name, factor in penalties.items()
            if factor
        ),
        "    loss.backward()",
        "    optimizer.step()",
    ]
    return "\n".join(lines)


def _flat(plan: Plan) -> str:
    return "" if plan.data.task == "classification" else ".squeeze(1)"


def _members(words: Words, arm: Arm) -> list[str]:
    if arm.members < 2:
        return []
    epochs = max(words.plan.training.epochs // arm.members, 1)
    key = "paste.bagged" if arm.bagging else "paste.members"
    comment = words.say(key, members=arm.members, epochs=epochs)
    classes = words.plan.data.task == "classification"
    return [_PREDICT.format(comment=comment, softmax=".softmax(1)" if classes else "")]
