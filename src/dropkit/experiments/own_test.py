from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import dropkit.torch
from dropkit.core.check import DropkitError
from dropkit.experiments.own import own_dropout, random_modes, switch_off


class Calls(nn.Module):
    """Dropout as a call inside forward, as many write it."""

    def __init__(self, p: float, always: bool = False) -> None:
        super().__init__()
        self.p, self.always = p, always
        self.net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Any:
        return self.net(F.dropout(x, self.p, training=self.training or self.always))


class Attends(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, dropout=p, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        return self.attention(x, x, x)[0]


class Recurs(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 8, num_layers=2, dropout=p, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        return self.lstm(x)[0]


OWN: list[tuple[nn.Module, tuple[int, ...], str]] = [
    (nn.Sequential(nn.Dropout(0.3), nn.Dropout(0.1), nn.Dropout(0.0)), (4,), "2 x Dropout"),
    (nn.Sequential(nn.AlphaDropout(0.3)), (4,), "1 x AlphaDropout"),
    (nn.Sequential(dropkit.torch.Dropout2d(0.3)), (4, 3, 3), "1 x Dropout2d"),
    (Attends(0.3), (5, 4), "1 x MultiheadAttention"),
    (Recurs(0.3), (5, 4), "1 x LSTM"),
]


@pytest.mark.parametrize(("model", "shape", "name"), OWN, ids=[name for *_, name in OWN])
def test_modules_that_drop_are_named_and_can_be_switched_off(
    model: nn.Module, shape: tuple[int, ...], name: str
) -> None:
    assert own_dropout(model) == (name,)
    assert random_modes(model, shape) == ("training",)
    switch_off(model)
    assert own_dropout(model) == ()
    assert random_modes(model, shape) == ()


class Doubles(nn.Module):
    """Changes what it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(2)


@pytest.mark.parametrize(
    "model", [Attends(0.0), Recurs(0.0), nn.LSTM(4, 8), nn.Linear(4, 4), nn.Dropout(0.0)]
)
def test_what_cannot_draw_is_not_named(model: nn.Module) -> None:
    assert own_dropout(model) == ()


@pytest.mark.parametrize(
    ("model", "modes"),
    [
        (Calls(0.3), ("training",)),
        (Calls(0.3, always=True), ("training", "eval")),
        (Calls(0.0), ()),
        (nn.Sequential(nn.LayerNorm(3), nn.RReLU()), ("training",)),  # some input is below 0
        (nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8)), ()),
        (nn.Sequential(Doubles(), nn.Linear(3, 8)), ()),
    ],
)
def test_noise_that_cannot_be_switched_off_is_noticed(model: nn.Module, modes: tuple[str, ...]) -> None:
    switch_off(model)
    assert random_modes(model, (3,)) == modes


def test_noticing_leaves_model_and_generator_as_they_were() -> None:
    model = Calls(0.3).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()
    random_modes(model, (3,))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not any(module.training for module in model.modules())


def test_a_pass_that_exits_is_refused_by_name() -> None:
    class Exits(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise SystemExit(0)

    with pytest.raises(DropkitError, match="model must run in training mode: SystemExit: 0"):
        random_modes(Exits(), (4,))
