"""Each law against its declared moments: by integration over the unit square, never by sampling."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate

from dropkit.core.check import DropkitError
from dropkit.core.noise import ALPHA, Alpha, Bernoulli, Continuous, Gaussian, Noise, TwoPoint, Uniform, get

RATES = [0.0, 0.1, 0.5, 0.9]
WORD = 2**32


def mean(law: Continuous, function: Callable[[Any], Any], rate: float | None = None) -> tuple[float, float]:
    """The mean of function(z), or of function(m) where a rate is given, and the integrator's error bound."""

    def value(second: float, first: float) -> float:
        u, other = np.float64(first * WORD - 0.5), lambda: np.float64(second * WORD)
        return float(function(law.standard(np, u, other) if rate is None else law.factor(np, u, other, rate)))

    return integrate.dblquad(value, 0, 1, 0, 1, epsabs=1e-9)  # type: ignore[no-any-return]  # scipy is untyped


# The integral of z**power: 0, 1, 0, 3 for a normal law; 0, 1, 0, 9/5 for a uniform one.
@pytest.mark.parametrize(
    ("law", "power", "moment"),
    [
        *((Gaussian(), power, moment) for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3))),
        *((Uniform(), power, moment) for power, moment in ((1, 0), (2, 1), (3, 0), (4, 1.8))),
    ],
)
def test_standard_draws_have_the_moments_of_their_law(law: Continuous, power: int, moment: float) -> None:
    value, bound = mean(law, lambda z: z**power)
    assert value == pytest.approx(moment, abs=10 * bound)
    assert bound < 1e-6


@pytest.mark.parametrize("law", [Gaussian(), Uniform()])
@pytest.mark.parametrize("rate", RATES)
def test_continuous_factors_have_the_declared_moments(law: Continuous, rate: float) -> None:
    declared = law.moments(rate)
    assert list(declared) == pytest.approx([1.0, rate / (1 - rate)])
    for function, expected in (
        (lambda m: m, declared.mean),
        (lambda m: (m - 1) ** 2, declared.variance),
    ):
        value, bound = mean(law, function, rate)
        assert value == pytest.approx(expected, abs=10 * bound + 1e-12)


@pytest.mark.parametrize("law", [Gaussian(), Uniform()])
def test_the_ends_of_u_are_finite(law: Continuous) -> None:
    u = np.array([0, 1, WORD - 1])
    for second in (np.array([0, 0, 0]), np.array([WORD - 1] * 3)):
        assert np.isfinite(law.factor(np, u, second.copy, 0.5)).all()


def test_the_ends_of_the_laws() -> None:
    u, nothing = np.array([0, WORD - 1]), lambda: np.array([0, 0])
    largest = math.sqrt(2 * 33 * math.log(2))
    np.testing.assert_allclose(Gaussian().standard(np, u, nothing)[0], largest, rtol=1e-15)
    np.testing.assert_allclose(Uniform().standard(np, u, nothing), [-math.sqrt(3), math.sqrt(3)], rtol=1e-9)


@pytest.mark.parametrize("law", [Gaussian(), Uniform()])
def test_torch_draws_in_float64_like_numpy(law: Continuous) -> None:
    generator = np.random.default_rng(0)
    u, second = generator.integers(0, WORD, (2, 10_000))
    ours = law.factor(np, u, lambda: second, 0.3)
    theirs = law.factor(torch, torch.tensor(u), lambda: torch.tensor(second), 0.3)
    assert theirs.dtype == torch.float64
    # 4 ulp of the largest draw: log, cos, sqrt and the product may each differ by one.
    np.testing.assert_allclose(theirs.numpy(), ours, rtol=0, atol=4 * np.spacing(np.abs(ours).max()))


@pytest.mark.parametrize("law", [Gaussian(), Uniform()])
def test_rate_0_keeps_and_rate_1_drops_everything(law: Continuous) -> None:
    u = np.arange(5) * (WORD // 5)
    for rate, expected in ((0.0, 1.0), (1.0, 0.0)):
        assert law.factor(np, u, lambda: u, rate).tolist() == [expected] * 5
        assert law.moments(rate) == (expected, 0.0)
    mixed = law.factor(np, u, lambda: u, np.array([0.0, 1.0, 0.0, 1.0, 0.0]))
    assert mixed.tolist() == [1, 0, 1, 0, 1]


# --- noises that decide


def enumerated(law: TwoPoint, rate: float, scale: Any) -> tuple[float, float]:
    """Mean and variance of m over its two values."""
    kept = law.affine(rate, scale).scale
    mean = (1 - rate) * kept
    return mean, (1 - rate) * (kept - mean) ** 2 + rate * mean**2


@pytest.mark.parametrize(("rate", "scale"), [*itertools.product([*RATES, 1.0], ["train", "eval", "none"])])
def test_bernoulli(rate: float, scale: Any) -> None:
    law = Bernoulli()
    kept, shift, fill = law.affine(rate, scale)
    assert (shift, fill) == (0, 0)
    assert law.moments(rate, scale) == pytest.approx(enumerated(law, rate, scale), abs=1e-15)
    if scale == "train":
        assert kept == (1 / (1 - rate) if rate < 1 else 1)
        assert law.eval_factor(rate, scale) == 1
    else:
        assert kept == 1
        assert law.eval_factor(rate, scale) == (1 - rate if scale == "eval" else 1)


@pytest.mark.parametrize("rate", RATES)
def test_the_eval_map_is_the_mean_except_for_scale_none(rate: float) -> None:
    for scale in ("train", "eval"):
        assert Bernoulli().eval_factor(rate, scale) == pytest.approx(Bernoulli().moments(rate, scale).mean)
    assert Bernoulli().eval_factor(rate, "none") == 1


def test_alpha_is_where_selu_saturates() -> None:
    floor = torch.nn.functional.selu(torch.tensor(-1e3, dtype=torch.float64))
    assert pytest.approx(floor.item(), rel=1e-15) == ALPHA


@pytest.mark.parametrize("rate", RATES)
def test_alpha_keeps_mean_0_and_variance_1(rate: float) -> None:
    scale, shift, fill = Alpha().affine(rate)
    # x has mean 0 and variance 1; a kept entry is scale x + shift.
    mean = (1 - rate) * shift + rate * fill
    square = (1 - rate) * (scale**2 + shift**2) + rate * fill**2
    assert mean == pytest.approx(0, abs=1e-15)
    assert square == pytest.approx(1, rel=1e-15)
    assert fill == pytest.approx(scale * ALPHA + shift, rel=1e-15)
    assert Alpha().moments(rate) == pytest.approx(enumerated(Alpha(), rate, "train"))
    assert Alpha().eval_factor(rate) == 1


def test_alpha_at_rate_1_is_zero_without_a_division() -> None:
    assert Alpha().affine(1.0) == (1, 0, 0)


@pytest.mark.parametrize("law", [Bernoulli(), Alpha()])
def test_rates_may_be_arrays(law: TwoPoint) -> None:
    rates = [0.0, 0.3, 1.0]
    together = law.affine(np.array(rates))
    for i, rate in enumerate(rates):
        single = law.affine(rate)
        assert [float(np.broadcast_to(part, 3)[i]) for part in together] == pytest.approx(list(single))


# --- names and scales


@pytest.mark.parametrize("law", [Bernoulli(), Alpha(), Gaussian(), Uniform()])
def test_found_by_name(law: Noise) -> None:
    assert get(law.name) == law
    assert get(law) is law


@pytest.mark.parametrize("law", [Alpha(), Gaussian(), Uniform()])
@pytest.mark.parametrize("scale", ["eval", "none"])
def test_a_scale_that_would_change_nothing_is_refused(law: Noise, scale: Any) -> None:
    with pytest.raises(
        DropkitError, match=f"scale must be one of 'train' for noise '{law.name}', got '{scale}'"
    ):
        law.check_scale(scale)


def test_an_unknown_noise_is_refused() -> None:
    with pytest.raises(
        DropkitError, match=r"noise must be one of .*, got 'gausian'; did you mean 'gaussian'\?"
    ):
        get("gausian")
