"""Dropout for the predictions of a trained network: put in, fitted to held-out data, taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, Self

import torch
from torch import nn

from dropkit.core.check import RATE, DropkitError, OneOf, Whole, check_each, check_names
from dropkit.core.key import Key
from dropkit.methods.dropout_injection import best_scale, calibrated_scale, negative_log_likelihood
from dropkit.surgery.sites import find_sites, put, take_out
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.layers import Dropout

__all__ = ["Injection", "Prediction", "Trial", "inject"]

Tensor = torch.Tensor
_PASSES = Whole(2, "a variance needs two passes at least; write e.g. 50")
_FITS = OneOf(("likelihood", "calibration"))
_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


class Prediction(NamedTuple):
    """What the passes say of each output: their mean, and their scaled variance."""

    mean: Tensor
    variance: Tensor


class Trial(NamedTuple):
    """A rate that was tried on held-out data, the scale that suits it, and the likelihood that it reaches."""

    rate: float
    scale: float
    nll: float


def inject(
    model: nn.Module, sample: Tensor, rate: float = 0.1, only: Iterable[str] | None = None
) -> Injection:
    """Put dropout behind the hidden activations of a trained model, for predictions (Ledda et al. 2023).

    The model itself computes what it did, in training and in evaluation: the layers draw in
    `Injection.predict` only.

    Args:
        model: a trained model, changed in place until `Injection.undo`.
        sample: a batch that it takes.
        rate: the probability that an entry is dropped, in [0, 1]; `Injection.tune` chooses a better one.
        only: names of modules whose outputs are dropped; by default all hidden activations that are modules.

    Raises:
        DropkitError: the rate is out of range, a name is unknown, or the model has no such activation.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> with inject(model, torch.ones(1, 4)) as injected:
    ...     injected.names
    ('1',)
    """
    rate = RATE.check("rate", rate)
    if only is None:
        names = [site.name for site in find_sites(model, sample) if site.place == "activation"]
    else:
        names = check_names("only", only, [name for name, _ in model.named_modules() if name])
    if not names:
        mend = "name modules in `only`: functions inside forward cannot be seen"
        raise DropkitError("model", "has hidden activations that are modules", type(model).__name__, mend)
    return Injection(model, tuple(names), rate)


class Injection:
    """A model with injected dropout: a rate, and a scale of the variance.

    Args:
        model: the model.
        names: the modules whose outputs are dropped.
        rate: the probability that an entry is dropped.

    Attributes:
        scale: the factor of the variance, 1 until `tune` finds a better one.
    """

    def __init__(self, model: nn.Module, names: tuple[str, ...], rate: float) -> None:
        self.model, self.names, self.scale, self._rate = model, names, 1.0, rate
        self._layers: dict[str, Dropout] = {}
        try:
            for name in names:
                layer = Dropout(rate)
                layer.force("eval")
                put(model, name, layer)
                self._layers[name] = layer
        except DropkitError:
            self.undo()
            raise

    @property
    def rate(self) -> float:
        """The probability that an entry is dropped."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate = RATE.check("rate", rate)
        for layer in self._layers.values():
            layer.p = self._rate

    def predict(self, x: Tensor, passes: int = 50, key: int | Key | None = None) -> Prediction:
        """Return mean and scaled variance of the passes, in evaluation mode and without a gradient.

        Args:
            x: a batch, as the model takes it.
            passes: how often the model runs, at least 2.
            key: of the draws; by default torch's generator gives them.

        Raises:
            DropkitError: the layers were taken out, or passes is too small.
        """
        mean, variance = self._moments(x, _PASSES.check("passes", passes), key)
        return Prediction(mean, variance * self.scale)

    def tune(
        self,
        x: Tensor,
        target: Tensor,
        rates: Iterable[float] = _RATES,
        passes: int = 50,
        key: int | Key | None = None,
        fit: Literal["likelihood", "calibration"] = "likelihood",
    ) -> list[Trial]:
        """Choose rate and scale by the likelihood of held-out targets, and keep the best.

        All rates meet the same uniform draws, so that they differ by the rate alone. A rate under which some
        output never moves has no likelihood: it counts as infinitely bad. More passes help where the rate is
        low, since a few of them may drop nothing that an output depends on.

        Args:
            x: held-out inputs, which the model was not trained on.
            target: what came true, of the shape of the model's outputs.
            rates: to be tried, in [0, 1].
            passes: a rate, at least 2.
            key: of the draws; by default one number is taken from torch's generator.
            fit: the scale of each rate is that of the greatest `"likelihood"`, or by `"calibration"` the one
                whose intervals hold as many targets as they should; the authors discuss the trade-off.

        Returns:
            what was tried, in order.

        Raises:
            DropkitError: a rate is out of range, none moves every output, or `fit` is unknown; a
                `TensorError` if the target has another shape.
        """
        tried = check_each("rates", rates, RATE)
        passes = _PASSES.check("passes", passes)
        _FITS.check("fit", fit)
        if key is None:
            key = int(torch.randint(2**62, ()))
        before = self.rate
        try:
            trials = [self._trial(rate, x, target, passes, key, fit) for rate in tried]
        finally:
            self.rate = before
        best = min(trials, key=lambda trial: trial.nll, default=Trial(0.0, 1.0, float("inf")))
        if best.nll == float("inf"):
            mend = "take higher rates, more passes or other modules"
            raise DropkitError("rates", "hold one that moves every output", tried, mend)
        self.rate, self.scale = best.rate, best.scale
        return trials

    def undo(self) -> nn.Module:
        """Take the layers out and return the model as it was. A second call does nothing."""
        for name in self._layers:
            take_out(self.model, name)
        self._layers = {}
        return self.model

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()

    def _trial(self, rate: float, x: Tensor, target: Tensor, passes: int, key: int | Key, fit: str) -> Trial:
        self.rate = rate
        mean, variance = self._moments(x, passes, key)
        if target.shape != mean.shape:
            rule = f"has the shape of the outputs, {tuple(mean.shape)}"
            raise TensorError("target", rule, tuple(target.shape), "reshape it: it would be broadcast")
        if not (variance > 0).all():
            return Trial(rate, 1.0, float("inf"))
        if fit == "calibration":
            scale = calibrated_scale(torch, mean, variance, target)
        else:
            scale = best_scale(mean, variance, target)
        nll = negative_log_likelihood(torch, mean, variance * scale, target)
        return Trial(rate, float(scale), float(nll))

    def _moments(self, x: Tensor, passes: int, key: int | Key | None) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the passes, one by one, so that no more than three are in memory."""
        if not self._layers:
            mend = "inject the model again"
            raise DropkitError("injection", "has its layers", type(self.model).__name__, mend)
        mean = squares = torch.zeros(())
        with torch.no_grad(), _evaluating(self.model):
            for i in range(passes):
                with self._drawing(None if key is None else Key.of(key).fold("pass", i)):
                    y = self.model(x)
                check_tensor(y, "the model's output")
                step = y.double() - mean
                mean = mean + step / (i + 1)
                squares = squares + step * (y.double() - mean)
        return mean, squares / (passes - 1)

    @contextmanager
    def _drawing(self, key: Key | None) -> Iterator[None]:
        """Let the injected layers draw, and none else."""
        for name, layer in self._layers.items():
            layer.stream_key = None if key is None else key.fold(name)
            layer.force("mc")
        try:
            yield
        finally:
            for layer in self._layers.values():
                layer.stream_key = None
                layer.force("eval")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
