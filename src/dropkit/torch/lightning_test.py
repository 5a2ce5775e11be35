import copy
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

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
from dropkit.torch.lightning import (
    LossCallback,
    MaxNormCallback,
    PenaltyCallback,
    ScheduleCallback,
    TwoPassesCallback,
)
from dropkit.torch.schedule import Stepper

# Lightning's advice on workers and short epochs, and what its own dependencies say of each other.
pytestmark = pytest.mark.filterwarnings("ignore")

ONES: Any = list(torch.ones(24, 4))


class Model(pl.LightningModule):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer: Any = layer
        self.head = nn.Linear(4, 1)
        self.steps: list[int] = []

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        if isinstance(self.layer, Dropout) and self.layer.step is not None:
            self.steps.append(int(self.layer.step))
        return self.head(self.layer(batch)).square().mean()  # type: ignore[no-any-return]  # a module's call is untyped

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def scheduled() -> Model:
    return Model(Dropout(dropkit.linear_schedule(0.0, 0.8, 4)))


def fit(model: Model, folder: Path, callback: Any, checkpoint: str | None = None, **arguments: Any) -> Any:
    trainer = pl.Trainer(
        callbacks=[callback],
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    )
    trainer.fit(model, DataLoader(ONES, batch_size=4), ckpt_path=checkpoint)
    return trainer


@pytest.mark.parametrize(("accumulate", "steps"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 0, 1, 1, 2, 2])])
def test_the_schedule_counts_optimizer_steps_and_no_batches(
    tmp_path: Path, accumulate: int, steps: list[int]
) -> None:
    model = scheduled()
    trainer = fit(
        model,
        tmp_path,
        ScheduleCallback(),
        max_epochs=1,
        accumulate_grad_batches=accumulate,
        enable_checkpointing=False,
    )
    assert model.steps == steps
    assert Stepper(model).now == trainer.global_step == 6 // accumulate


def test_a_checkpoint_resumes_where_it_was_saved(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"accumulate_grad_batches": 2, "enable_checkpointing": False}
    fit(scheduled(), tmp_path, ScheduleCallback(), max_epochs=1, **arguments).save_checkpoint(
        tmp_path / "a.ckpt"
    )
    saved = torch.load(tmp_path / "a.ckpt", weights_only=False)["state_dict"]
    assert int(saved["layer.step"]) == 3
    model = scheduled()
    fit(model, tmp_path, ScheduleCallback(), str(tmp_path / "a.ckpt"), max_epochs=2, **arguments)
    assert model.steps == [3, 3, 4, 4, 5, 5]


def test_a_model_without_a_schedule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match="model has a layer whose rate is a schedule"):
        fit(Model(Dropout(0.5)), tmp_path, ScheduleCallback(), max_epochs=1, enable_checkpointing=False)


class Watch(MaxNormCallback):
    """Notes the largest norm of a unit at each batch."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.norms = [*getattr(self, "norms", []), float(pl_module.layer.weight.norm(dim=1).max())]


def test_max_norm_holds_at_every_batch(tmp_path: Path) -> None:
    model, watch = Model(nn.Linear(4, 4)), Watch(0.25, skip=["head"])
    nn.init.constant_(model.head.weight, 0.5)
    fit(model, tmp_path, watch, max_epochs=1, enable_checkpointing=False)
    assert len(watch.norms) == 6
    assert max(watch.norms) <= 0.25
    assert float(model.layer.weight.norm(dim=1).max()) <= 0.25
    assert float(model.head.weight.detach().norm()) > 0.25


def test_the_radius_is_checked_when_the_callback_is_made() -> None:
    with pytest.raises(DropkitError, match="c must be a number in"):
        MaxNormCallback(0.0)


def learned() -> Model:
    torch.manual_seed(0)
    return Model(ConcreteDropout(nn.Linear(4, 4), rows=24, p=0.4, length_scale=1.0))


class InTheLoss(Model):
    """The same model, with the penalty where a loop of one's own has it."""

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        return super().training_step(batch, index) + 0.5 * penalty(self)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_penalty_is_that_of_the_loss_however_many_batches_a_step_has(
    tmp_path: Path, accumulate: int
) -> None:
    plain = learned()
    by_loss, start = InTheLoss(plain.layer), plain.layer.p
    by_loss.load_state_dict(plain.state_dict())
    by_loss = copy.deepcopy(by_loss)
    for model, callback in ((plain, PenaltyCallback(0.5)), (by_loss, pl.Callback())):
        torch.manual_seed(1)
        fit(
            model,
            tmp_path,
            callback,
            max_epochs=1,
            accumulate_grad_batches=accumulate,
            enable_checkpointing=False,
        )
    assert plain.layer.p != start
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
        fit(Model(layer), tmp_path, PenaltyCallback(), max_epochs=1, enable_checkpointing=False)


class Counted(pl.LightningModule):
    """Gives 1 w, 2 w, ... as outputs, pass by pass."""

    def __init__(self, result: Any = None, automatic: bool = True) -> None:
        super().__init__()
        self.w, self.calls, self.result = nn.Parameter(torch.ones(())), 0, result
        self.automatic_optimization = automatic

    def training_step(self, batch: Tensor, _: int) -> Any:
        self.calls += 1
        outputs = self.calls * self.w.expand(len(batch), 1)
        counts = torch.arange(len(batch)) < 1
        return self.result or {"loss": outputs.mean(), "outputs": outputs, "counts": counts}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def once(model: Any, folder: Path, callback: Any) -> None:
    fit(model, folder, callback, max_epochs=1, limit_train_batches=1, enable_checkpointing=False)


@pytest.mark.parametrize("mask", [None, "counts"])
def test_each_batch_runs_twice_and_their_difference_counts(tmp_path: Path, mask: str | None) -> None:
    model = Counted()
    once(model, tmp_path, TwoPassesCallback(squared_difference, 10.0, mask=mask))
    gradient = (1 + 2) / 2 + 10 * 2  # of (w + 2 w) / 2 + 10 (w - 2 w)^2 at w = 1
    assert model.calls == 2
    assert float(model.w) == pytest.approx(1 - 0.01 * gradient)
    assert "training_step" not in vars(model)


def test_rows_that_do_not_count_are_left_out(tmp_path: Path) -> None:
    def far(p: Tensor, q: Tensor) -> Tensor:
        return torch.tensor([0.0, 1.0, 1.0, 1.0]) * squared_difference(p, q)

    model = Counted()
    once(model, tmp_path, TwoPassesCallback(far, 10.0, mask="counts"))
    assert float(model.w) == pytest.approx(1 - 0.01 * 1.5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Counted(result=torch.ones((), requires_grad=True)), "returns a dict with 'loss', got 'Tensor'"),
        (Counted(result={"loss": torch.ones((), requires_grad=True)}), r"a dict with 'outputs', got \['loss"),
        (Counted(automatic=False), "pl_module lets Lightning optimize"),
    ],
)
def test_a_step_that_cannot_run_twice_is_refused(tmp_path: Path, model: Counted, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        once(model, tmp_path, TwoPassesCallback(squared_difference))
    assert "training_step" not in vars(model)


def test_the_weight_is_checked_when_the_callback_is_made() -> None:
    with pytest.raises(DropkitError, match="weight must be a number in"):
        TwoPassesCallback(squared_difference, -1.0)


class Step(pl.LightningModule):
    """A layer that learns, a loss with or without a term, and what a step returns it in."""

    def __init__(self, extra: Any = None, form: Any = lambda loss: loss) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer: Any = InformationDropout(nn.Linear(4, 4), nn.Linear(4, 4), 1.0)
        self.extra, self.form = extra, form

    def training_step(self, batch: Tensor, _: int) -> Any:
        loss = self.layer(batch).square().mean()
        return self.form(loss if self.extra is None else loss + 0.5 * self.extra(self, batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


TERMS: dict[str, Any] = {
    "penalty of the batch": lambda module, batch: penalty(module),
    "jensen_shannon": lambda module, batch: jensen_shannon([module.layer(batch), module.layer(2 * batch)]),
}


@pytest.mark.parametrize("form", [lambda loss: loss, lambda loss: {"loss": loss}], ids=["number", "dict"])
@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_added_as_by_hand(tmp_path: Path, name: str, form: Any) -> None:
    by_hand, plain = Step(TERMS[name], form), Step(None, form)
    start = copy.deepcopy(plain.state_dict())
    for model, callback in ((by_hand, pl.Callback()), (plain, LossCallback(TERMS[name], 0.5))):
        torch.manual_seed(1)
        once(model, tmp_path, callback)
    assert "training_step" not in vars(plain)
    for key, value in by_hand.state_dict().items():
        assert torch.allclose(plain.state_dict()[key], value, rtol=1e-5, atol=1e-7), key
        assert not torch.equal(start[key], value)


def number(module: Any, batch: Any) -> Any:
    """No tensor."""
    return 1.0


def fail(module: Any, batch: Any) -> Any:
    """Never to be called."""
    raise AssertionError


def test_a_batch_that_is_left_out_has_no_term(tmp_path: Path) -> None:
    model = Step(None, lambda loss: None)
    once(model, tmp_path, LossCallback(fail))


@pytest.mark.parametrize(
    ("make", "model", "message"),
    [
        (lambda: LossCallback("x"), Step(), "extra takes the model and the batch"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: LossCallback(TERMS["jensen_shannon"], -1.0), Step(), "weight must be a number in"),
        (lambda: LossCallback(lambda module, batch: batch), Step(), "extra returns one number"),
        (lambda: LossCallback(number), Step(), "extra returns one number"),
        (lambda: LossCallback(TERMS["jensen_shannon"]), Step(None, lambda loss: {}), "a dict with 'loss'"),
        (lambda: LossCallback(TERMS["jensen_shannon"]), Counted(automatic=False), "Lightning optimize"),
    ],
)
def test_a_term_that_cannot_be_added_is_refused(tmp_path: Path, make: Any, model: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        once(model, tmp_path, make())
