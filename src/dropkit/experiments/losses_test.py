import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION
from dropkit.experiments.losses import balanced, disagreement, make_loss, make_step
from dropkit.experiments.recipe import PLAIN, Recipe
from dropkit.report.plan import Arm

NONE = Arm("none", "none")


def test_balanced_weights_give_every_class_the_same_share_of_the_loss() -> None:
    y = torch.tensor([0] * 60 + [1] * 6 + [2] * 3)
    outputs = torch.randn(69, 3, generator=torch.Generator().manual_seed(0))
    each = F.cross_entropy(outputs, y, reduction="none")
    of_classes = torch.stack([each[y == level].mean() for level in range(3)])
    weighed = make_loss(CLASSIFICATION, NONE, PLAIN, balanced(y, 3))(outputs, y)
    assert torch.allclose(weighed, of_classes.mean(), rtol=1e-5)


def test_smoothed_labels_spread_their_share_over_all_classes() -> None:
    outputs, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    targets = 0.8 * F.one_hot(y, 4) + 0.2 / 4
    expected = -(targets * outputs.log_softmax(1)).sum(1).mean()
    smoothed = make_loss(CLASSIFICATION, Arm("s", "s", label_smoothing=0.2), PLAIN)
    assert torch.allclose(smoothed(outputs, y), expected)


def test_disagreement_is_the_mean_of_both_divergences() -> None:
    p, q = torch.randn(6, 4), torch.randn(6, 4)
    one, other = (torch.distributions.Categorical(logits=logits) for logits in (p, q))
    kl = torch.distributions.kl_divergence
    expected = (kl(one, other) + kl(other, one)).mean() / 2
    assert torch.allclose(disagreement(p, q, CLASSIFICATION), expected)
    assert disagreement(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]), REGRESSION) == 2


@pytest.mark.parametrize("task", [CLASSIFICATION, REGRESSION])
def test_r_drop_is_the_mean_of_two_passes_and_their_disagreement(task: str) -> None:
    classes = task == CLASSIFICATION
    model = nn.Sequential(nn.Linear(3, 3 if classes else 1), nn.Dropout(0.5))
    x, y = torch.randn(8, 3), torch.arange(8) % 3 if classes else torch.randn(8)
    step = make_step(task, Arm("r", "r", r_drop=2.0), PLAIN)
    torch.manual_seed(0)
    p, q = (model(x) if classes else model(x).squeeze(1) for _ in range(2))
    loss = F.cross_entropy if classes else F.mse_loss
    expected = (loss(p, y) + loss(q, y)) / 2 + 2 * disagreement(p, q, task)
    torch.manual_seed(0)
    found = step(model, (x, y), torch.optim.SGD(model.parameters(), lr=0.1))
    assert torch.allclose(found, expected)


def test_a_step_goes_down_the_gradient_of_this_batch_alone() -> None:
    model = nn.Linear(2, 1, bias=False)
    x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0])
    optimizer, step = torch.optim.SGD(model.parameters(), lr=0.05), make_step(REGRESSION, NONE, PLAIN)
    for _ in range(2):
        before = model.weight.detach().clone()
        gradient = 2 * (before @ x.T - y) * x
        step(model, (x, y), optimizer)
        assert torch.allclose(model.weight, before - 0.05 * gradient)


def test_an_own_loss_sees_a_regression_without_a_spare_axis() -> None:
    shapes = []

    def own(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        shapes.append((outputs.shape, y.shape))
        return (outputs - y).abs().mean()

    model = nn.Linear(2, 1)
    step = make_step(REGRESSION, NONE, Recipe(loss=own))
    step(model, (torch.ones(4, 2), torch.ones(4)), torch.optim.SGD(model.parameters()))
    assert shapes == [((4,), (4,))]


def test_both_passes_of_r_drop_begin_with_the_same_input() -> None:
    class Halves(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.div_(2))

    x, y, model = torch.randn(8, 3), torch.randn(8), Halves(3, 1)
    expected = F.mse_loss(F.linear(x / 2, model.weight, model.bias).squeeze(1), y)
    step = make_step(REGRESSION, Arm("r", "r", r_drop=2.0), PLAIN)
    with pytest.warns(UserWarning, match="both passes of Halves agree"):
        found = step(model, (x, y), torch.optim.SGD(model.parameters(), lr=0.1))
    assert torch.allclose(found, expected)
