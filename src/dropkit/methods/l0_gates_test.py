import math

import numpy as np
import pytest

from dropkit.methods.l0_gates import BETA, GAMMA, ZETA, chance_open, hard_concrete, settled_gate

LOG_ALPHA = np.array([-6.0, -2.0, -0.5, 0.0, 1.0, 3.0])


def test_the_chance_of_an_open_gate_is_where_its_quantile_leaves_zero() -> None:
    """z is monotone in u, so the gate is 0 exactly below one u: the closed form must be that very place."""
    shut = 1 - chance_open(LOG_ALPHA)
    for below, above in ((shut * (1 - 1e-9), shut * (1 + 1e-9)),):
        assert (hard_concrete(LOG_ALPHA, below) == 0).all()
        assert (hard_concrete(LOG_ALPHA, above) > 0).all()


def test_one_has_a_probability_of_its_own() -> None:
    # s = (1 - gamma) / (zeta - gamma) is where z reaches 1.
    logit = math.log((1 - GAMMA) / (ZETA - GAMMA)) - math.log(1 - (1 - GAMMA) / (ZETA - GAMMA))
    full = 1 / (1 + np.exp(-(BETA * logit - LOG_ALPHA)))
    assert (hard_concrete(LOG_ALPHA, full * (1 + 1e-9)) == 1).all()
    assert (hard_concrete(LOG_ALPHA, full * (1 - 1e-9)) < 1).all()


def test_between_the_ends_the_law_is_the_stretched_binary_concrete() -> None:
    """Q(s) = sigmoid(beta log(s / (1 - s)) - log alpha), the distribution of a binary concrete number."""
    u = np.linspace(0.01, 0.99, 99)[:, None]
    z = hard_concrete(LOG_ALPHA, u)
    inside = (z > 0) & (z < 1)
    s = (z - GAMMA) / (ZETA - GAMMA)
    cdf = 1 / (1 + np.exp(-(np.log(s / (1 - s)) * BETA - LOG_ALPHA)))
    assert inside.any()
    assert cdf[inside] == pytest.approx(np.broadcast_to(u, z.shape)[inside], rel=1e-9)


def test_the_constants_are_those_of_the_paper() -> None:
    assert (BETA, GAMMA, ZETA) == (2 / 3, -0.1, 1.1)
    assert chance_open(0.0) == pytest.approx(1 / (1 + (0.1 / 1.1) ** (2 / 3)), rel=1e-14)


def test_settled_gates_are_exact_at_both_ends() -> None:
    assert settled_gate(np.array([-1e4, -2.4, 2.4, 1e4])).tolist() == [0.0, 0.0, 1.0, 1.0]
    assert 0 < settled_gate(-2.3) < settled_gate(2.3) < 1


def test_extreme_gates_stay_finite() -> None:
    with np.errstate(all="raise"):
        assert hard_concrete(np.array([-700.0, 700.0]), 0.5).tolist() == [0.0, 1.0]
