"""The pasted code is run, word for word."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests import made_up
from torch import nn

from dropkit.report.paste import code_to_paste
from dropkit.report.plan import Arm, Plan
from dropkit.torch import Dropout, InputDropout

SITES = {"dropout": ("1", "3"), "gaussian_dropout": ("1", "3"), "spatial_dropout": ("0",)}
CLASSES = 3


@pytest.fixture
def plan() -> Plan:
    return made_up.plan(model={"sites": SITES, "own_dropout": ("1 x Dropout",)})


def small() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Dropout(0.9), nn.Linear(8, CLASSES))
    return nn.Sequential(*layers)


def pasted(plan: Plan, arm: Arm, model: nn.Module | None = None) -> dict[str, Any]:
    names: dict[str, Any] = {"model": model or small()}
    exec(code_to_paste(plan, arm), names)
    return names


def learns(names: dict[str, Any], x: torch.Tensor, y: torch.Tensor) -> None:
    before = [w.detach().clone() for w in names["model"].parameters()]
    names["train_step"](x, y)
    after = list(names["model"].parameters())
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(w.isfinite().all() for w in after)


ROWS = torch.randn(16, 8, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(16) % CLASSES


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rate": 0.5},
        {"rate": 0.5, "at": ("3",), "method": "gaussian_dropout"},
        {"input_rate": 0.2},
        {"rate": 0.3, "schedule": "early"},
        {"rate": 0.3, "schedule": "late"},
        {"l1": 1e-4, "l2": 1e-3},
        {"max_norm": 2.0},
        {"label_smoothing": 0.1},
        {"rate": 0.3, "r_drop": 1.5},
        {"members": 3},
        {"members": 3, "bagging": True},
        {"rate": 0.3, "input_rate": 0.1, "l2": 1e-3, "max_norm": 2.0, "label_smoothing": 0.1, "r_drop": 1.0},
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_kind_of_arm_runs_and_learns(plan: Plan, settings: dict[str, Any], lang: str) -> None:
    names: dict[str, Any] = {"model": small()}
    exec(code_to_paste(plan, Arm("a", "a", learning_rate=0.01, **settings), lang), names)
    learns(names, ROWS, LABELS)


def test_dropout_stands_where_it_is_said_and_the_models_own_is_off(plan: Plan) -> None:
    model = pasted(plan, Arm("a", "a", rate=0.25, at=("3",), input_rate=0.125))["model"]
    assert isinstance(model[0], InputDropout)
    assert model[0].p == 0.125
    found = {name: layer.p for name, layer in model[1].named_modules() if isinstance(layer, nn.Dropout)}
    assert found == {"3.dropkit_drop": 0.25, "4": 0.0}


def test_without_a_place_it_stands_at_all_of_the_plans(plan: Plan) -> None:
    model = pasted(plan, Arm("a", "a", rate=0.25))["model"]
    assert [name for name, layer in model.named_modules() if isinstance(layer, Dropout)] == [
        "1.dropkit_drop",
        "3.dropkit_drop",
    ]


@pytest.mark.parametrize(("schedule", "first", "half"), [("early", 0.4, 0.0), ("late", 0.0, 0.4)])
def test_a_schedule_moves_over_the_first_half_of_the_steps(
    plan: Plan, schedule: str, first: float, half: float
) -> None:
    short = replace(plan, training=replace(plan.training, epochs=1, batch=100))  # 7 steps
    names = pasted(short, Arm("a", "a", rate=0.4, schedule=schedule))
    drop = names["model"][1].dropkit_drop
    assert drop.p == first
    for _ in range(3):
        names["train_step"](ROWS, LABELS)
    assert drop.p == pytest.approx(half)


def test_optimizer_and_loss_are_those_of_the_arm(plan: Plan) -> None:
    arm = Arm("a", "a", learning_rate=0.0042, weight_decay=0.07, label_smoothing=0.2)
    names = pasted(plan, arm)
    assert names["optimizer"].defaults["lr"] == 0.0042
    assert names["optimizer"].defaults["weight_decay"] == 0.07
    assert names["loss_of"].label_smoothing == 0.2
    assert pasted(plan, Arm("a", "a"))["optimizer"].defaults["lr"] == plan.training.learning_rate


def test_max_norm_holds_after_a_step(plan: Plan) -> None:
    names = pasted(plan, Arm("a", "a", max_norm=0.5))
    names["train_step"](ROWS, LABELS)
    assert names["model"][0].weight.norm(dim=1).max() <= 0.5


@pytest.mark.parametrize(("settings", "factor"), [({"l1": 0.5}, "l1"), ({"l2": 0.5}, "l2")])
def test_a_penalty_pulls_each_weight_but_no_bias(plan: Plan, settings: dict[str, Any], factor: str) -> None:
    plain, pulled = pasted(plan, Arm("a", "a")), pasted(plan, Arm("a", "a", **settings))
    for names in (plain, pulled):
        names["train_step"](ROWS, LABELS)
    one, other = plain["model"][0], pulled["model"][0]
    weight = next(iter(small().parameters()))
    pull = 0.5 * (weight.sign() if factor == "l1" else weight)
    torch.testing.assert_close(other.weight.grad - one.weight.grad, pull)
    torch.testing.assert_close(other.bias.grad, one.bias.grad)


def test_images_are_moved_by_no_more_than_the_share(plan: Plan) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))
    images = made_up.plan(model={"sites": {}, "own_dropout": ()})
    names = pasted(images, Arm("a", "a", augment=0.25), model)
    dot = torch.zeros(200, 1, 8, 8)
    dot[:, :, 4, 4] = 1.0
    seen: list[torch.Tensor] = []
    model[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    names["train_step"](dot, torch.zeros(200, dtype=torch.long))
    at = seen[0].flatten(1).argmax(1)
    moves = torch.stack([at // 8 - 4, at % 8 - 4])
    assert sorted(set(moves.flatten().tolist())) == [-2, -1, 0, 1, 2]
    learns(names, torch.randn(16, 1, 8, 8), LABELS)


def test_a_regression_has_its_own_loss(plan: Plan) -> None:
    regression = replace(plan, data=replace(plan.data, task="regression", n_outputs=1))
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    names = pasted(regression, Arm("a", "a", rate=0.1, members=2, r_drop=0.5), model)
    learns(names, ROWS, torch.randn(16))
    assert names["predict"]([model, model], ROWS).shape == (16, 1)


def test_what_the_study_had_scaled_is_said() -> None:
    table = made_up.plan(data={"input_shape": (4,), "n_words": 0})
    values = made_up.plan(data={"task": "regression", "n_outputs": 1, "input_shape": (1, 8, 8)})
    none = Arm("none", "none")
    told = [code_to_paste(each, none) for each in (table, values, made_up.plan())]
    assert [("# x: as in the study" in code, "# y: as in the study" in code) for code in told] == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_members_are_averaged_as_probabilities(plan: Plan) -> None:
    names = pasted(plan, Arm("a", "a", members=2))
    one, other = small().eval(), nn.Linear(8, CLASSES)
    mean = (one(ROWS).softmax(1) + other(ROWS).softmax(1)) / 2
    torch.testing.assert_close(names["predict"]([one, other], ROWS), mean)


def test_the_model_as_brought_needs_no_code(plan: Plan) -> None:
    code = code_to_paste(plan, Arm("as brought", "as brought", keeps_own=True))
    assert all(line.startswith("#") for line in code.splitlines())


def test_classes_of_equal_weight_are_weighed_by_their_rows(plan: Plan) -> None:
    balanced = replace(plan, data=replace(plan.data, class_weight="balanced", n_outputs=CLASSES))
    names: dict[str, Any] = {"model": small(), "y_train": torch.tensor([0, 0, 1, 2])}
    exec(code_to_paste(balanced, Arm("a", "a", label_smoothing=0.1, r_drop=1.0)), names)
    torch.testing.assert_close(names["loss_of"].weight, torch.tensor([2 / 3, 4 / 3, 4 / 3]))
    learns(names, ROWS, LABELS)


def test_words_at_the_input_become_unknown(plan: Plan) -> None:
    wordy = replace(plan, data=replace(plan.data, n_words=9))
    code = code_to_paste(wordy, Arm("a", "a", input_rate=0.5))
    assert "from dropkit.experiments.word_dropout import WordDropout" in code
    assert "nn.Sequential(WordDropout(0.5), model)" in code
    assert "InputDropout" not in code
