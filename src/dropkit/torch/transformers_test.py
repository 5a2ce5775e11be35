from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

import dropkit
from dropkit import DropkitError
from dropkit.torch import (
    ConcreteDropout,
    Dropout,
    InformationDropout,
    jensen_shannon,
    penalty,
    squared_difference,
)
from dropkit.torch.schedule import Stepper
from dropkit.torch.transformers import (
    MaxNormCallback,
    PenaltyCallback,
    ScheduleCallback,
    two_passes_trainer,
    with_loss,
)

# What transformers and accelerate say of each other and of this machine.
pytestmark = pytest.mark.filterwarnings("ignore")

DATA = [{"x": torch.ones(4)} for _ in range(24)]


class Model(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(4, 1)
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        if isinstance(self.layer, Dropout) and self.layer.step is not None:
            self.seen.append(int(self.layer.step))
        if isinstance(self.layer, nn.Linear):
            self.seen.append(float(self.layer.weight.detach().norm(dim=1).max()))
        return {"loss": self.head(self.layer(x)).square().mean()}


def scheduled() -> Model:
    return Model(Dropout(dropkit.linear_schedule(0.0, 0.8, 4)))


def fit(
    model: Model, folder: Path, callback: Any, epochs: int = 1, resume: bool = False, **arguments: Any
) -> Any:
    settings = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=4,
        learning_rate=0.1,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **arguments,
    )
    trainer = transformers.Trainer(model, settings, train_dataset=DATA, callbacks=[callback])
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize(("accumulate", "steps"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 0, 1, 1, 2, 2])])
def test_the_schedule_counts_updates_and_no_batches(
    tmp_path: Path, accumulate: int, steps: list[int]
) -> None:
    model = scheduled()
    trainer = fit(
        model, tmp_path, ScheduleCallback(), gradient_accumulation_steps=accumulate, save_strategy="no"
    )
    assert model.seen == steps
    assert Stepper(model).now == trainer.state.global_step == 6 // accumulate


def test_a_checkpoint_resumes_where_it_was_saved(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"gradient_accumulation_steps": 2, "save_strategy": "epoch"}
    fit(scheduled(), tmp_path, ScheduleCallback(), **arguments)
    model = scheduled()
    fit(model, tmp_path, ScheduleCallback(), epochs=2, resume=True, **arguments)
    assert model.seen == [3, 3, 4, 4, 5, 5]


def test_a_model_without_a_schedule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match="model has a layer whose rate is a schedule"):
        fit(Model(Dropout(0.5)), tmp_path, ScheduleCallback(), save_strategy="no")


def test_max_norm_holds_at_every_batch(tmp_path: Path) -> None:
    model = Model(nn.Linear(4, 4))
    nn.init.constant_(model.head.weight, 0.5)
    fit(model, tmp_path, MaxNormCallback(0.25, skip=["head"]), save_strategy="no")
    assert len(model.seen) == 6
    assert max(model.seen) <= 0.25
    assert float(model.head.weight.detach().norm()) > 0.25


def test_the_radius_is_checked_when_the_callback_is_made() -> None:
    with pytest.raises(DropkitError, match="c must be a number in"):
        MaxNormCallback(-1.0)


class Learning(Model):
    """A model that learns a rate, with the penalty in its loss or without."""

    def __init__(self, weight: float) -> None:
        torch.manual_seed(0)
        super().__init__(ConcreteDropout(nn.Linear(4, 4), rows=24, p=0.4, length_scale=1.0))
        self.weight = weight

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = super().forward(x)
        return {"loss": found["loss"] + self.weight * penalty(self)} if self.weight else found


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_penalty_is_that_of_the_loss_however_many_batches_an_update_has(
    tmp_path: Path, accumulate: int
) -> None:
    plain, by_loss = Learning(0.0), Learning(0.5)
    for model, callback in ((plain, PenaltyCallback(0.5)), (by_loss, transformers.TrainerCallback())):
        fit(
            model,
            tmp_path,
            callback,
            gradient_accumulation_steps=accumulate,
            save_strategy="no",
            optim="sgd",
            max_grad_norm=0.0,
        )
    assert plain.layer.p != pytest.approx(0.4)
    for name, value in by_loss.state_dict().items():
        assert torch.allclose(plain.state_dict()[name], value, rtol=1e-5, atol=1e-7), name


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Dropout(0.5), "model has a layer with a penalty"),
        (InformationDropout(nn.Linear(4, 4), nn.Linear(4, 4), 1.0), "follow from parameters alone"),
    ],
)
def test_a_model_whose_penalty_cannot_be_added_is_refused(
    tmp_path: Path, layer: nn.Module, message: str
) -> None:
    with pytest.raises(DropkitError, match=message):
        fit(Model(layer), tmp_path, PenaltyCallback(), save_strategy="no")


class Counted(nn.Module):
    """Gives 1 w, 2 w as logits, pass by pass, twice for each batch."""

    def __init__(self, silent: bool = False) -> None:
        super().__init__()
        self.w, self.calls, self.silent = nn.Parameter(torch.ones(())), 0, silent

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        self.calls += 1
        logits = (1 + (self.calls - 1) % 2) * self.w.expand(len(x), 1)
        return {"loss": logits.mean()} | ({} if self.silent else {"logits": logits})


def train_twice(model: nn.Module, folder: Path, distance: Any, **arguments: Any) -> None:
    train(model, folder, two_passes_trainer(distance, 10.0), **arguments)


def train(model: nn.Module, folder: Path, kind: Any, steps: int = 1, **arguments: Any) -> None:
    settings = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=steps,
        learning_rate=0.01,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0.0,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
    )
    data = [{"x": torch.ones(4), "labels": torch.tensor(-100 * (i % 4 > 0))} for i in range(8)]
    kind(model, settings, train_dataset=data, **arguments).train()


def own_loss(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
    """A loss that is divided over the whole update already."""
    loss: Tensor = outputs["loss"] / 2
    return loss


@pytest.mark.parametrize(
    "arguments", [{}, {"steps": 2}, {"steps": 2, "compute_loss_func": own_loss}], ids=["one", "two", "own"]
)
def test_each_batch_runs_twice_and_their_difference_counts(tmp_path: Path, arguments: dict[str, Any]) -> None:
    model = Counted()
    train_twice(model, tmp_path, squared_difference, **arguments)
    gradient = (1 + 2) / 2 + 10 * 2  # of (w + 2 w) / 2 + 10 (w - 2 w)^2 at w = 1
    assert model.calls == 2 * arguments.get("steps", 1)
    assert float(model.w) == pytest.approx(1 - 0.01 * gradient)


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    def unlabelled(p: Tensor, q: Tensor) -> Tensor:
        return (labels != 0) * squared_difference(p, q)

    model, labels = Counted(), torch.tensor([0, -100, -100, -100])
    kind = two_passes_trainer(unlabelled, 10.0)
    settings = transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    loss = kind(model, settings).compute_loss(model.train(), {"x": torch.ones(4, 4), "labels": labels})
    assert float(loss) == 1.5


def test_evaluation_runs_once_and_outputs_are_those_of_one_pass(tmp_path: Path) -> None:
    settings = transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    model = Counted()
    trainer = two_passes_trainer(squared_difference, 10.0)(model, settings)
    loss, outputs = trainer.compute_loss(model.eval(), {"x": torch.ones(4, 4)}, return_outputs=True)
    assert model.calls == 1
    assert loss == outputs["loss"]
    model.calls = 0
    loss, outputs = trainer.compute_loss(model.train(), {"x": torch.ones(4, 4)}, return_outputs=True)
    assert float(loss) == 11.5
    assert float(outputs["logits"].detach().max()) == 1.0


def test_a_model_without_logits_and_a_bad_weight_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match=r"model returns a dict with 'logits', got \['loss'\]"):
        train_twice(Counted(silent=True), tmp_path, squared_difference)
    with pytest.raises(DropkitError, match="weight must be a number in"):
        two_passes_trainer(squared_difference, -1.0)


class Telling(nn.Module):
    """A layer whose penalty follows from the batch, and logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer: Any = InformationDropout(nn.Linear(4, 4), nn.Linear(4, 4), 1.0)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.layer(x)
        return {"loss": logits.square().mean(), "logits": logits}


TERMS: dict[str, Any] = {
    "penalty of the batch": lambda model, inputs: penalty(model),
    "jensen_shannon": lambda model, inputs: jensen_shannon([model(**inputs)["logits"] for _ in range(2)]),
}


class Weighed(nn.Module):
    """A loss w, so that gradients can be counted."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        return {"loss": self.w, "logits": x}


@pytest.mark.parametrize(
    "arguments", [{}, {"steps": 2}, {"steps": 2, "compute_loss_func": own_loss}], ids=["one", "two", "own"]
)
def test_a_term_is_weighed_as_the_loss_however_many_batches_an_update_has(
    tmp_path: Path, arguments: dict[str, Any]
) -> None:
    model = Weighed()
    train(model, tmp_path, with_loss(lambda model, inputs: model.w * inputs["x"].mean(), 10.0), **arguments)
    assert float(model.w) == pytest.approx(1 - 0.01 * (1 + 10))


@pytest.mark.parametrize("name", TERMS)
def test_the_loss_has_the_term_in_training_alone(tmp_path: Path, name: str) -> None:
    settings = transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    model, inputs = Telling(), {"x": torch.linspace(-1, 1, 4).expand(4, 4)}
    trainer = with_loss(TERMS[name], 0.5)(model, settings)
    torch.manual_seed(1)
    loss, outputs = trainer.compute_loss(model.train(), inputs, return_outputs=True)
    torch.manual_seed(1)
    plain = model(**inputs)["loss"]
    assert torch.allclose(loss, plain + 0.5 * TERMS[name](model, inputs))
    assert torch.equal(outputs["loss"], plain)
    loss, outputs = trainer.compute_loss(model.eval(), inputs, return_outputs=True)
    assert torch.equal(loss, outputs["loss"])


def test_a_term_that_cannot_be_added_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match="weight must be a number in"):
        with_loss(TERMS["jensen_shannon"], -1.0)
    with pytest.raises(DropkitError, match="extra takes the model and the batch"):
        with_loss("x")  # type: ignore[arg-type]  # that is the test
