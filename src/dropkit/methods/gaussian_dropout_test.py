import pytest

from dropkit.core.noise import Bernoulli
from dropkit.methods.gaussian_dropout import gaussian_dropout


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_the_variance_is_that_of_inverted_dropout(rate: float) -> None:
    moments = gaussian_dropout(rate).noise.moments(rate)
    assert moments == pytest.approx((1, rate / (1 - rate)))
    assert moments == pytest.approx(Bernoulli().moments(rate))
