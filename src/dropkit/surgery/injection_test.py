import copy
import itertools
from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.surgery import inject
from dropkit.surgery.injection import Trial
from dropkit.torch.check import TensorError

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))


def trained(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(3, 64),
            nn.Tanh(),
            nn.BatchNorm1d(64),
            nn.Linear(64, 64),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(64, 2),
        ).eval()


class Pair(nn.Module):
    """A model that gives two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> Any:
        return self.act(x), x


def test_the_model_computes_what_it_did_but_for_predictions_and_undo_leaves_no_trace() -> None:
    model = trained()
    before, outputs = repr(model), model(X)
    with inject(model, X, 0.3) as injected:
        assert injected.names == ("1", "4")
        assert torch.equal(model(X), outputs)
        injected.predict(X)
        assert torch.equal(model(X), outputs)
        model.train()
        assert not any(layer.drawing for layer in model.modules() if isinstance(layer, dropkit.torch.Dropout))
        model.eval()
    assert repr(model) == before
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(model(X), outputs)
    assert injected.undo() is model


def test_mean_and_variance_are_those_of_the_passes() -> None:
    model = trained()
    injected = inject(model, X, 0.4)
    mean, variance = injected.predict(X, passes=7, key=5)
    passes = []
    for i in range(7):
        with injected._drawing(dropkit.Key(5).fold("pass", i)):
            passes.append(model(X).detach().double())
    stacked = torch.stack(passes)
    assert torch.allclose(mean, stacked.mean(0))
    assert torch.allclose(variance, stacked.var(0))
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(passes, 2))


def test_the_spread_of_a_linear_network_has_its_closed_form() -> None:
    """One hidden unit: f = w h m with m = 0 or 1 / (1 - rate), so all passes are one of two numbers."""
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    with inject(model, torch.ones(1, 1), 0.25) as injected:
        mean, variance = injected.predict(torch.ones(4096, 1), passes=16, key=1)
        kept = (mean - 1) * 16 * (1 - 0.25) / 2
        assert torch.allclose(kept, kept.round(), atol=1e-5)
        k = kept.round()
        assert torch.allclose(variance, k * (16 - k) / 16 / 15 * (2 / 0.75) ** 2, atol=1e-5)


def test_only_the_injected_layers_draw_and_statistics_stay() -> None:
    model = trained().train()
    statistics = copy.deepcopy(model[2].state_dict())
    injected = inject(model, X, 0.0)
    _, variance = injected.predict(X, passes=3)
    assert not variance.any()
    assert all(torch.equal(value, statistics[name]) for name, value in model[2].state_dict().items())
    assert model.training
    assert model[5].training


class TestTune:
    """Rate and scale come to where the answer is known."""

    @staticmethod
    def targets(injected: Any, rate: float, factor: float) -> torch.Tensor:
        """What lies at every place just as far from the mean as the spread at this rate, times a factor."""
        injected.rate = rate
        mean, variance = injected.predict(X, passes=20, key=3)
        signs = torch.where(torch.arange(X.shape[0] * 2).reshape(-1, 2) % 3 == 0, 1.0, -1.0)
        target: torch.Tensor = mean + signs * factor * variance**0.5
        return target

    @pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
    def test_rate_and_scale_are_found(self, rate: float) -> None:
        injected = inject(trained(), X)
        target = self.targets(injected, rate, 3.0)
        injected.rate = 0.9
        trials = injected.tune(X, target, rates=(0.01, 0.05, 0.2, 0.5), passes=20, key=3)
        assert injected.rate == rate
        assert injected.scale == pytest.approx(9.0)
        assert [trial.rate for trial in trials] == [0.01, 0.05, 0.2, 0.5]
        assert min(trials, key=lambda trial: trial.nll).rate == rate

    def test_predictions_are_scaled_afterwards(self) -> None:
        injected = inject(trained(), X)
        target = self.targets(injected, 0.2, 2.0)
        _, plain = injected.predict(X, passes=20, key=3)
        injected.tune(X, target, rates=(0.2,), passes=20, key=3)
        mean, variance = injected.predict(X, passes=20, key=3)
        assert torch.allclose(variance, 4 * plain)
        assert ((target - mean) ** 2 / variance).mean() == pytest.approx(1.0)

    def test_the_scale_may_be_fitted_to_calibration(self) -> None:
        injected = inject(trained(), X)
        target = self.targets(injected, 0.2, 2.0)
        (likely,) = injected.tune(X, target, rates=(0.2,), passes=20, key=3)
        (calibrated,) = injected.tune(X, target, rates=(0.2,), passes=20, key=3, fit="calibration")
        half = NormalDist().inv_cdf(0.75)
        assert calibrated.scale == injected.scale == pytest.approx((2.0 / half) ** 2)
        assert calibrated.nll > likely.nll

    def test_a_rate_that_moves_nothing_is_never_chosen(self) -> None:
        injected = inject(trained(), X, 0.3)
        trials = injected.tune(X, torch.zeros(40, 2), rates=(0.0, 0.5), key=1)
        assert trials[0] == Trial(0.0, 1.0, float("inf"))
        assert injected.rate == 0.5
        with pytest.raises(DropkitError, match="rates hold one that moves every output"):
            injected.tune(X, torch.zeros(40, 2), rates=(0.0,))
        assert injected.rate == 0.5

    def test_torchs_seed_repeats_it(self) -> None:
        injected, found = inject(trained(), X), []
        for _ in range(2):
            torch.manual_seed(4)
            found.append(injected.tune(X, torch.zeros(40, 2), rates=(0.1, 0.3), passes=5))
        assert found[0] == found[1]


class TestRefusals:
    """What is wrong is named, and the model stays as it was."""

    def test_at_injection(self) -> None:
        model = trained()
        with pytest.raises(DropkitError, match=r"rate must be a number in \[0, 1\], got 1.5"):
            inject(model, X, 1.5)
        with pytest.raises(DropkitError, match="only must be one of the names, got '9'"):
            inject(model, X, only=["9"])
        with pytest.raises(DropkitError, match="model has hidden activations that are modules, got 'Linear'"):
            inject(nn.Linear(3, 2), X)

    def test_a_second_injection_leaves_the_first_alone(self) -> None:
        model = trained()
        inject(model, X, only=["4"])
        with pytest.raises(DropkitError, match="no layer behind it yet"):
            inject(model, X)
        assert not hasattr(model[1], "dropkit_drop")
        assert hasattr(model[4], "dropkit_drop")

    def test_at_use(self) -> None:
        injected = inject(trained(), X)
        with pytest.raises(DropkitError, match="passes must be a whole number of at least 2, got 1"):
            injected.predict(X, passes=1)
        with pytest.raises(TensorError, match=r"target has the shape of the outputs, \(40, 2\), got \(40,\)"):
            injected.tune(X, torch.zeros(40))
        with pytest.raises(DropkitError, match=r"rates\[0\] must be a number in \[0, 1\]"):
            injected.tune(X, torch.zeros(40, 2), rates=(2.0,))
        with pytest.raises(DropkitError, match="fit must be one of"):
            injected.tune(X, torch.zeros(40, 2), fit="scale")  # type: ignore[arg-type]  # a wrong kind is the point
        with pytest.raises(DropkitError, match="the model's output is a torch tensor, got <class 'tuple'>"):
            inject(Pair(), X, only=["act"]).predict(X)
        injected.undo()
        assert injected.rate == 0.1
        with pytest.raises(DropkitError, match="injection has its layers"):
            injected.predict(X)
