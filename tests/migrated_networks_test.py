"""Networks that were trained under another framework's dropout compute here what they did there."""

import math
from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit.core.mode import Scale
from dropkit.migrate import fold_scale, rate_from, scale_from
from dropkit.testing import share, stats

WIDTH = 16
DRAWS = 4096

# A network of each was trained: value as it is written there, the switch, and the rate that is meant.
TRAINED: list[tuple[str, float, Any, float]] = [
    ("tensorflow 1", 0.75, None, 0.25),
    ("tensorflow 2", 0.25, None, 0.25),
    ("mindspore keep_prob", 0.75, None, 0.25),
    ("mindspore", 0.25, None, 0.25),
    ("paddle", 0.5, "downscale_in_infer", 0.5),
    ("paddle", 0.5, None, 0.5),
    ("paddle 1", 0.3, None, 0.3),
    ("caffe", 0.5, None, 0.5),
    ("caffe", 0.5, False, 0.5),
    ("torch7", 0.5, True, 0.5),
    ("torch7", 0.3, None, 0.3),
    ("mxnet", 0.3, None, 0.3),
]


class Foreign(nn.Module):
    """The dropout of another framework."""

    def __init__(self, rate: float, scale: Scale) -> None:
        super().__init__()
        self.rate, self.scale = rate, scale

    def forward(self, x: Any) -> Any:
        kept = 1 - self.rate
        if not self.training:
            return x * kept if self.scale == "eval" else x
        masked = x * (torch.rand_like(x) < kept)
        return masked / kept if self.scale == "train" else masked


def trained(rate: float, scale: Scale) -> Any:
    """A network with a foreign dropout after some steps of training."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, WIDTH), nn.ReLU(), Foreign(rate, scale), nn.Linear(WIDTH, 1)).double()
    x = torch.randn(64, 6).double()
    y = x.sum(1, keepdim=True).relu() + 1
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    return model.requires_grad_(False)


def moved(model: Any, rate: float, weight: Any) -> Any:
    """The same network with dropkit's inverted dropout."""
    new = nn.Sequential(
        nn.Linear(6, WIDTH), nn.ReLU(), dropkit.torch.Dropout(rate), nn.Linear(WIDTH, 1)
    ).double()
    new.load_state_dict(model.state_dict() | {"3.weight": weight})
    return new.requires_grad_(False)


def surprise(model: Any, x: Any, expected: float, highest: float) -> float:
    """The p-value of the mean output over independent masks (Hoeffding 1963, theorem 2), two-sided.

    An output is the bias and, for each hidden unit, a term times 0 or times `highest`: it lies between the
    sums of the negative and of the positive terms, and the width of that is the sum of their magnitudes.
    """
    model.train()
    width = highest * float((model[:2](x) * model[3].weight).abs().sum())
    distance = float(model(x.expand(DRAWS, -1)).mean()) - expected
    return min(1.0, 2 * math.exp(-2 * DRAWS * distance**2 / width**2))


def sample() -> Any:
    return torch.randn(1, 6, generator=torch.Generator().manual_seed(3)).double()


@pytest.mark.parametrize(("name", "value", "switch", "rate"), TRAINED)
def test_a_trained_network_computes_what_it_did_in_evaluation_and_in_expectation(
    name: str, value: float, switch: Any, rate: float
) -> None:
    scale = scale_from(name, switch)
    assert rate_from(name, value) == rate
    old, x = trained(rate, scale), sample()
    new = moved(old, rate_from(name, value), fold_scale(old[3].weight, name, value, switch=switch))
    before, after = old.eval()(x), new.eval()(x)
    # Either side rounds each term by its factor, its product and at most 16 sums; where nothing was
    # scaled, or by a power of two, both round alike.
    terms = (old[:2](x) * old[3].weight).abs().sum()
    bound = 0.0 if scale == "train" or rate == 0.5 else float(2 * (WIDTH + 3) * terms) * 2.0**-53
    assert float((after - before).abs()) <= bound
    inverted, own = 1 / (1 - rate), 1.0 if scale == "eval" else 1 / (1 - rate)
    p = stats.joint([surprise(new, x, float(before), inverted), surprise(old, x, float(before), own)])
    assert p >= share("migrate")


@pytest.mark.parametrize(
    ("rate", "factor"),
    [(0.5, 1.0), (0.5, 0.25), (0.75, 0.5), (0.25, 0.5)],
    ids=["not folded", "folded twice", "rate too large", "rate too small"],
)
def test_a_wrong_translation_is_seen(rate: float, factor: float) -> None:
    old, x = trained(0.5, "eval"), sample()
    new = moved(old, rate, old[3].weight * factor)
    wrong_in_evaluation = not torch.equal(new.eval()(x), old.eval()(x))
    wrong_in_training = surprise(new, x, float(old.eval()(x)), 1 / (1 - rate)) < share("migrate")
    # Another rate under the right factor keeps the expectation: only how often entries fall shows it.
    dropped = int((new.train()[2](torch.ones(DRAWS, WIDTH)) == 0).sum())
    wrong_in_rate = stats.binomial(dropped, DRAWS * WIDTH, 0.5) < share("migrate")
    assert (wrong_in_evaluation, wrong_in_training) == ((factor != 0.5,) * 2)
    assert wrong_in_rate == (rate != 0.5)


def test_the_inverse_meaning_is_seen() -> None:
    old, x = trained(0.1, "train"), sample()
    new = moved(old, 0.9, old[3].weight)
    assert torch.equal(new.eval()(x), old.eval()(x))  # which is why nobody notices
    dropped = int((new.train()[2](torch.ones(DRAWS, WIDTH)) == 0).sum())
    assert stats.binomial(dropped, DRAWS * WIDTH, rate_from("tensorflow 1", 0.9)) < share("migrate")
