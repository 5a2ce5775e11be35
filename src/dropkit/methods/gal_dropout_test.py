import numpy as np
import pytest

from dropkit import DropkitError
from dropkit.core.reference import mask
from dropkit.methods.gal_dropout import gal_dropout


@pytest.mark.parametrize("site", ["input", "between", "state", "output"])
def test_every_step_has_the_mask_of_the_first(site: str) -> None:
    drawn = mask(4, (3, 7, 32), gal_dropout(0.5)[site])
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :1], drawn.shape))
    assert len(np.unique(drawn[:, 0], axis=0)) == 3


@pytest.mark.parametrize("site", ["input", "between", "state"])
def test_untied_weights_have_a_mask_for_each_gate_that_stays_over_time(site: str) -> None:
    drawn = mask(4, (3, 7, 4, 32), gal_dropout(0.5, untied=True)[site])
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :1], drawn.shape))
    assert len(np.unique(drawn[:, 0].reshape(12, 32), axis=0)) == 12


@pytest.mark.parametrize("site", ["input", "between", "state", "output"])
@pytest.mark.parametrize("untied", [False, True])
def test_naive_dropout_has_a_mask_of_its_own_at_each_step(site: str, untied: bool) -> None:
    shape = (3, 7, 4, 32) if untied and site != "output" else (3, 7, 32)
    drawn = mask(4, shape, gal_dropout(0.5, untied=untied, fresh=True)[site])
    assert len(np.unique(drawn.reshape(-1, 32), axis=0)) == np.prod(shape[:-1])


def test_each_site_has_the_rate_that_it_was_given() -> None:
    rates = {site: drop.rate for site, drop in gal_dropout(0.1, state=0.2, output=0.3).items()}
    assert rates == {"input": 0.1, "between": 0.1, "state": 0.2, "output": 0.3}
    assert {drop.rate for drop in gal_dropout(0.4).values()} == {0.4}
    assert gal_dropout(0.4, state=0.0)["state"].rate == 0.0


def test_one_mask_for_the_state_is_one_drawn_weight_matrix() -> None:
    """The paper's reason: U (h m) = (U diag(m)) h, the same weights at every step."""
    rng = np.random.default_rng(0)
    weights, states = rng.normal(size=(4, 8)), rng.normal(size=(5, 8))
    m = mask(1, (1, 5, 8), gal_dropout(0.5)["state"])[0]
    assert np.allclose((states * m) @ weights.T, states @ (weights * m[0]).T)


def test_untied_is_a_bool() -> None:
    with pytest.raises(DropkitError, match="untied must be a bool"):
        gal_dropout(0.5, untied="yes")  # type: ignore[arg-type]  # wrong on purpose


def test_fresh_is_a_bool() -> None:
    with pytest.raises(DropkitError, match="fresh must be a bool"):
        gal_dropout(0.5, fresh=1)  # type: ignore[arg-type]  # wrong on purpose
