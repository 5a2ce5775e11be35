from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import skorch
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification

from dropkit.core.check import DropkitError
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.loops import from_lightning, from_skorch, from_transformers
from dropkit.experiments.models import ModelSource, check_model
from dropkit.experiments.recipe import Configured, Recipe
from dropkit.experiments.train import Task, train
from dropkit.report.plan import Arm
from dropkit.report.record import Run

Make = Callable[..., Task]
NONE, OWN = Arm("none", "none", learning_rate=1e-2), Arm("as brought", "own", keeps_own=True)
TRIED = [
    OWN,
    Arm("tuned", "tuned", learning_rate=0.03, weight_decay=0.1),
    Arm("dropout", "dropout", rate=0.5),
    Arm("l2", "l2", l2=0.1),
    Arm("late", "late", rate=0.5, schedule="late"),
]


def net(inputs: int = 3, outputs: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, outputs))


class Module(pl.LightningModule):
    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.net = net(3, n_outputs)

    def forward(self, x: Tensor) -> Any:
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Any:
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("loss", loss)
        return {"loss": loss}

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.02, weight_decay=0.05, fused=True)


class Net(nn.Module):
    def __init__(self, outputs: int = 2, softmax: bool = False) -> None:
        super().__init__()
        self.net, self.softmax = net(3, outputs), softmax

    def forward(self, x: Tensor) -> Any:
        return self.net(x).softmax(1) if self.softmax else self.net(x)


def skorch_net(criterion: Any = nn.CrossEntropyLoss, **more: Any) -> Any:
    usual = {"optimizer": torch.optim.AdamW, "lr": 0.02, "optimizer__weight_decay": 0.05}
    return skorch.NeuralNetClassifier(Net, criterion=criterion, **(usual | {"optimizer__fused": True} | more))


def bert(input_shape: tuple[int, ...], n_outputs: int) -> BertForSequenceClassification:
    small: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 10}
    small |= {"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": input_shape[-1]}
    config = BertConfig(hidden_act="relu", attention_probs_dropout_prob=0.0, **small)
    config.num_labels = n_outputs
    return BertForSequenceClassification(config)


@pytest.fixture
def words() -> Dataset:
    ids = np.random.default_rng(0).integers(1, 10, (80, 6))
    ids[::2, 4:] = 0
    return array_dataset(ids, (ids[:, 0] > 4).astype(int), words=True)


def ran(make_task: Make, data: Dataset, arm: Arm, adapted: tuple[Any, Recipe], **training: Any) -> Run:
    factory, recipe = adapted
    check_model(ModelSource(factory), data.inputs.shape, data.n_outputs, data.inputs.n_words)
    run = train(make_task(data, arm, model=factory, recipe=recipe, **training))
    assert not run.failure, run.failure
    return run


def plain(arm: Arm) -> Arm:
    """The arm that the same settings are for a model without a recipe."""
    brought = {"learning_rate": 0.02, "weight_decay": 0.05}
    return Arm(**(vars(arm) | (brought if arm is OWN else {"learning_rate": arm.learning_rate or 0.02})))


@pytest.mark.parametrize("arm", [*TRIED, Arm("input", "input", input_rate=0.5)], ids=lambda arm: arm.name)
@pytest.mark.parametrize("kind", ["lightning", "skorch", "skorch with probabilities"])
def test_each_trains_as_the_same_network_does_without_it(
    data: Dataset, make_task: Make, arm: Arm, kind: str
) -> None:
    adapted = {
        "lightning": lambda: from_lightning(Module),
        "skorch": lambda: from_skorch(skorch_net()),
        "skorch with probabilities": lambda: from_skorch(skorch_net(nn.NLLLoss, module__softmax=True)),
    }[kind]()
    found = ran(make_task, data, arm, adapted)
    expected = train(make_task(data, plain(arm), model=Net))
    for one, other in zip(found.curve, expected.curve, strict=True):
        assert one.train.nll == pytest.approx(other.train.nll, rel=1e-4 if "prob" in kind else 0)


@pytest.mark.parametrize("arm", TRIED, ids=lambda arm: arm.name)
def test_a_transformers_model_trains_by_its_own_loss(words: Dataset, make_task: Make, arm: Arm) -> None:
    run = ran(make_task, words, arm, from_transformers(bert, learning_rate=1e-2))
    assert run.curve[-1].train.nll < np.log(2)


def test_a_transformers_model_does_not_see_padding() -> None:
    torch.manual_seed(5)  # other weights may hide the padding by themselves
    net = bert((6,), 2).train(False)
    for weight in net.parameters():
        weight.data.mul_(30)  # BERT begins near zero, where nothing shows
    model = from_transformers(lambda: net)[0]().eval()
    ids = torch.tensor([[3, 4, 5, 0, 0, 0]])
    torch.testing.assert_close(model(ids), model(ids[:, :3]))
    assert (net(input_ids=ids).logits - model(ids)).abs().max() > 1e-2


def test_what_means_nothing_for_numbers_of_words_is_refused(words: Dataset, make_task: Make) -> None:
    factory, recipe = from_transformers(bert)
    arm = Arm("input", "input", input_rate=0.1)
    run = train(make_task(words, arm, model=factory, recipe=recipe))
    assert "input_rate means nothing" in str(run.failure)


def test_a_regression_of_skorch_has_one_output(line: Dataset, make_task: Make) -> None:
    made = skorch.NeuralNetRegressor(Net, module__outputs=1, optimizer=torch.optim.Adam, lr=0.02)
    run = ran(make_task, line, OWN, from_skorch(made), epochs=20)
    assert run.curve[-1].train.error < line.guess_error


def test_the_digest_of_the_recipe_follows_the_net() -> None:
    digests = {
        from_skorch(skorch_net())[1].digest(),
        from_skorch(skorch_net())[1].digest(),
        from_skorch(skorch_net(nn.NLLLoss))[1].digest(),
        from_transformers(bert)[1].digest(),
        from_transformers(bert, learning_rate=1e-3)[1].digest(),
        from_lightning(Module)[1].digest(),
    }
    assert len(digests) == 5


class Scheduled(Module):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class Manual(Module):
    def __init__(self) -> None:
        super().__init__(2)
        self.automatic_optimization = False


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: Scheduled(2), "must configure one optimizer"), (Manual, "must leave the optimization")],
)
def test_a_lightning_module_that_asks_for_more_is_refused(make: Any, message: str) -> None:
    factory, recipe = from_lightning(make)
    assert isinstance(recipe.optimizer, Configured)
    with pytest.raises(DropkitError, match=message):
        recipe.make_optimizer(factory(), NONE, 0.1)


@pytest.mark.parametrize("wrap", [list, tuple, lambda one: {"optimizer": one[0]}])
def test_an_optimizer_may_come_in_a_wrapping(wrap: Any) -> None:
    class Wrapped(Module):
        def configure_optimizers(self) -> Any:
            return wrap([super().configure_optimizers()])

    factory, recipe = from_lightning(lambda: Wrapped(2))
    assert isinstance(recipe.make_optimizer(factory(), OWN, 0.1), torch.optim.AdamW)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: skorch.NeuralNetBinaryClassifier(Net), "must be a NeuralNetClassifier"),
        (lambda: skorch.NeuralNetClassifier(Net()), "must hold a class"),
    ],
)
def test_a_skorch_net_of_another_kind_is_refused(made: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        from_skorch(made())


def test_the_plan_names_pieces_as_their_users_know_them() -> None:
    found = [
        made[1].names()
        for made in (from_lightning(Module), from_transformers(bert), from_skorch(skorch_net()))
    ]
    lightning = {"optimizer": "LightningModule.configure_optimizers", "step": "LightningModule.training_step"}
    transformers = {"optimizer": "AdamW", "step": "model(labels=...).loss"}
    assert found == [lightning, transformers, {"loss": "CrossEntropyLoss", "optimizer": "AdamW"}]
