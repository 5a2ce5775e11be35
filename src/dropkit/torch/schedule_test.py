import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit.core.check import DropkitError
from dropkit.core.rate import threshold
from dropkit.core.reference import mask
from dropkit.core.schedule import Schedule
from dropkit.torch import Drop, Dropout, DropPath, GaussianDropout
from dropkit.torch.keys import draw_words
from dropkit.torch.schedule import Stepper, set_depth_rates, set_rates

SCHEDULES = {
    "constant": dropkit.constant_schedule(0.3),
    "linear": dropkit.linear_schedule(0.0, 0.8, 4),
    "cosine": dropkit.cosine_schedule(0.8, 0.0, 4),
    "early": dropkit.early_schedule(0.5, 3),
    "late": dropkit.late_schedule(0.5, 3),
    "curriculum": dropkit.curriculum_schedule(0.5, 8),
}
X = torch.arange(1.0, 33.0).reshape(4, 8)


def small_model(schedule: Schedule = SCHEDULES["linear"]) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), Dropout(schedule), nn.Linear(8, 1))


def train(
    model: Any, stepper: Stepper, optimizer: torch.optim.Optimizer, steps: int
) -> list[tuple[Tensor, Tensor]]:
    """Train, and return what the dropout let through at each step."""
    seen = []
    watch = model[2].register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    for _ in range(steps):
        torch.manual_seed(stepper.now)
        optimizer.zero_grad()
        model(X / 32).square().mean().backward()
        optimizer.step()
        stepper.step()
    watch.remove()
    return seen


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_each_step_of_a_training_drops_exactly_what_the_schedule_says(schedule: Schedule) -> None:
    model = small_model(schedule)
    stepper = Stepper(model)
    for step, (before, after) in enumerate(train(model, stepper, sgd(model), 6)):
        torch.manual_seed(step)
        rate = schedule(step)
        m = mask(dropkit.Key(draw_words(before).word), (4, 8), dropkit.Drop(rate)).astype(numpy.float32)
        assert torch.equal(after != 0, (before * torch.from_numpy(m)) != 0)
    assert stepper.now == 6
    assert int(model[2].threshold) == threshold(schedule(6), torch)
    assert stepper.rates == {"2": schedule(6)}


@pytest.mark.parametrize(("kind", "on"), [("early", (0, 1, 2)), ("late", (3, 4, 5))])
def test_early_and_late_drop_nothing_outside_their_time(kind: Any, on: tuple[int, ...]) -> None:
    model = small_model(SCHEDULES[kind])
    seen = train(model, Stepper(model), sgd(model), 6)
    assert [step for step, (before, after) in enumerate(seen) if not torch.equal(before, after)] == list(on)


def test_resuming_from_the_state_dict_alone_goes_on_as_if_nothing_had_happened() -> None:
    whole = small_model()
    straight = train(whole, Stepper(whole), sgd(whole), 5)

    first = small_model()
    train(first, Stepper(first), sgd(first), 2)
    second = small_model()
    second.load_state_dict(first.state_dict())
    stepper = Stepper(second)
    assert stepper.now == 2
    resumed = train(second, stepper, sgd(second), 3)

    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(straight[2:], resumed, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_a_checkpoint_loaded_after_the_stepper_was_made_counts() -> None:
    ahead, model = small_model(), small_model()
    Stepper(ahead).move_to(3)
    stepper = Stepper(model)
    model.load_state_dict(ahead.state_dict())
    stepper.step()
    assert (stepper.now, stepper.rates) == (4, {"2": 0.8})


@pytest.mark.parametrize(
    "twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_a_copy_keeps_its_step_and_moves_alone(twin: Callable[[nn.Module], nn.Module]) -> None:
    model = small_model()
    Stepper(model).move_to(2)
    other = twin(model)
    Stepper(other).step()
    assert (Stepper(model).now, Stepper(other).now) == (2, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_another_float_type_leaves_the_rate_alone(dtype: torch.dtype) -> None:
    layer: Any = Dropout(dropkit.constant_schedule(0.1)).to(dtype)
    Stepper(layer, step=3).step()
    assert (layer.step.dtype, layer.threshold.dtype) == (torch.int64, torch.int64)
    assert (int(layer.step), int(layer.threshold)) == (4, round(0.1 * 2**32))


# Dynamo itself makes an instance of every autograd.Function that it meets.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_the_rate_moves_without_a_recompile() -> None:
    # At step 0 all is dropped, at step 2 nothing.
    model: Any = nn.Sequential(Dropout(dropkit.linear_schedule(1.0, 0.0, 2)))
    stepper = Stepper(model)
    torch._dynamo.reset()
    compiled: Any = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = torch.ones(1000)
    with torch._dynamo.config.patch(error_on_recompile=True):
        outputs = []
        for _ in range(4):
            outputs.append(compiled(x))
            stepper.step()
    assert [set(y.tolist()) for y in outputs] == [{0.0}, {0.0, 2.0}, {1.0}, {1.0}]


@pytest.mark.parametrize(
    ("layer", "backend"),
    [
        (Dropout, "aot_eager"),
        (Dropout, "inductor"),
        (dropkit.torch.GaussianDropout, "aot_eager"),
        (dropkit.torch.DropBlock2d, "aot_eager"),
    ],
)
def test_a_compiled_model_may_step_between_forward_and_backward(layer: Any, backend: str) -> None:
    torch.compiler.reset()
    model = layer(dropkit.linear_schedule(0.2, 0.8, 10))
    compiled: Any = torch.compile(model, fullgraph=True, backend=backend)
    x = torch.ones(2, 3, 8, 8, requires_grad=True)
    y = compiled(x)
    model.move_to(10)
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.equal(grad, y)


def test_a_compiled_model_is_stepped_through_its_wrapper() -> None:
    compiled: Any = torch.compile(small_model(), backend="eager")
    stepper = Stepper(compiled)
    stepper.step()
    assert stepper.rates == {"_orig_mod.2": 0.2}


def test_a_layer_in_two_places_moves_once() -> None:
    shared: Any = Dropout(SCHEDULES["linear"])
    stepper = Stepper(nn.Sequential(shared, nn.ReLU(), shared))
    stepper.step()
    assert int(shared.step) == 1


def test_layers_at_different_steps_are_refused_by_name_until_a_step_is_said() -> None:
    model: Any = nn.Sequential(Dropout(SCHEDULES["linear"]), Dropout(SCHEDULES["early"]))
    stepper = Stepper(model)
    model[1].move_to(3)
    for refused in (stepper.step, lambda: stepper.now, lambda: Stepper(model)):
        with pytest.raises(DropkitError, match=r"at one step, got \{'0': 0, '1': 3\}; say where"):
            refused()
    assert [int(layer.step) for layer in model] == [0, 3]
    assert Stepper(model, step=1).rates == {"0": 0.2, "1": 0.5}


@pytest.mark.parametrize("model", [nn.Linear(2, 2), Dropout(0.5), nn.Dropout(0.5)])
def test_a_model_without_a_schedule_is_refused(model: nn.Module) -> None:
    with pytest.raises(DropkitError, match="model has a layer whose rate is a schedule"):
        Stepper(model)


@pytest.mark.parametrize("step", [-1, 0.5, "1", None, True])
def test_a_step_is_a_whole_number(step: Any) -> None:
    stepper = Stepper(small_model())
    with pytest.raises(DropkitError, match="step must be a whole number of at least 0"):
        stepper.move_to(step)


def test_following_an_optimizer_counts_its_steps_and_no_batches() -> None:
    model = small_model()
    stepper, optimizer = Stepper(model), sgd(model)
    with stepper.follow(optimizer):
        for batch in range(6):
            model(X).sum().backward()
            if batch % 2:
                optimizer.step()
                optimizer.zero_grad()
    assert stepper.now == 3
    optimizer.step()
    assert stepper.now == 3


def test_the_forward_passes_of_a_closure_belong_to_the_step_before() -> None:
    model = small_model()
    stepper, optimizer = Stepper(model), sgd(model)
    stepper.follow(optimizer)
    seen = []

    def closure() -> float:
        seen.append(stepper.now)
        return 0.0

    for _ in range(2):
        optimizer.step(closure)
    assert seen == [0, 1]


def test_a_skipped_update_is_no_step() -> None:
    model = small_model()
    stepper, optimizer = Stepper(model), sgd(model)
    stepper.follow(optimizer)
    scaler = torch.amp.GradScaler("cpu")
    for factor in (1.0, torch.inf, 1.0):
        optimizer.zero_grad()
        scaler.scale(model(X).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
    assert stepper.now == 2


def test_one_schedule_for_all_layers_of_a_model() -> None:
    model: Any = nn.Sequential(Dropout(0.5), GaussianDropout(0.1), DropPath(SCHEDULES["late"]))
    set_rates(model, SCHEDULES["linear"])
    Stepper(model).move_to(2)
    assert [layer.p for layer in model] == [0.4, 0.4, 0.4]
    assert all(name in model.state_dict() for name in ("0.step", "0.threshold", "1.step", "2.step"))


def test_a_number_in_the_place_of_a_schedule_takes_its_buffers_away() -> None:
    model = small_model()
    set_rates(model, 1.0)
    assert model[2].p == 1
    assert not model[2](torch.ones(8)).any()
    assert not any(name.startswith("2.") for name in model.state_dict())
    model[2].p = 0.0
    assert model[2](torch.ones(8)).all()


def test_the_buffers_lie_where_the_parameters_do() -> None:
    with torch.device("meta"):
        model: Any = nn.Sequential(nn.Linear(2, 2))
    model.append(Dropout(0.5))
    set_rates(model, SCHEDULES["linear"])
    assert model[1].threshold.device.type == "meta"


def test_rates_over_depth_reach_the_layers_of_their_kind_in_order() -> None:
    blocks = [nn.ModuleList([DropPath(), Dropout(0.5)]) for _ in range(4)]
    model = nn.ModuleList(blocks)
    set_depth_rates(model, 0.2)
    assert [block[0].p for block in blocks] == list(dropkit.depth_rates(0.2, 4))
    assert [block[1].p for block in blocks] == [0.5] * 4


@pytest.mark.parametrize(
    ("model", "rates", "message"),
    [
        (nn.Linear(2, 2), 0.1, "has a layer of kind Stochastic .*, got 'Linear'"),
        (
            nn.Sequential(Dropout(0.5), nn.Dropout(0.5)),
            0.1,
            "got '1: Dropout'; exchange them by dropkit.surgery.use_dropkit",
        ),
        (Dropout(0.5), [0.1, 0.2], "rates are as many as the model's layers, 1, got 2"),
        (Dropout(0.5), 1.5, r"rate must be a number in \[0, 1\]"),
        (Dropout(0.5), "0.5", r"rate must be a number in \[0, 1\]"),
        (nn.Sequential(Dropout(0.5), Dropout(0.5)), [0.1, -1], r"rate must be a number in \[0, 1\]"),
        (Dropout(0.5), dropkit.Learned(0.1), "rates are not learned by these layers"),
        (Drop(None, dropkit.KofN(2, over="t")), 0.1, "rate is None where KofN has k"),
        (torch.ones(2), 0.1, "model must be a Module"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(
    model: nn.Module, rates: Any, message: str
) -> None:
    before = repr(model)
    with pytest.raises(DropkitError, match=message):
        set_rates(model, rates)
    assert repr(model) == before
