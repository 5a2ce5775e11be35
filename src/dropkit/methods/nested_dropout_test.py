import numpy as np
import pytest

from dropkit.methods.nested_dropout import METHOD, unit_rates

RATE, UNITS = 0.3, 4
PLACES = np.arange(float(UNITS))


def chances(swept: int = 0) -> np.ndarray:
    """The probability that exactly b units are kept, b = 1 ... K."""
    kept = 1 - unit_rates(RATE, PLACES, swept)
    return np.asarray(kept - np.append(kept[1:], 0.0))


def test_the_index_is_geometric_and_cut_off_at_the_last_unit() -> None:
    geometric = [RATE * (1 - RATE) ** b for b in range(UNITS - 1)]
    assert chances() == pytest.approx([*geometric, 1 - sum(geometric)], rel=1e-12)


def test_sweeping_moves_the_law_behind_the_fixed_units() -> None:
    assert chances(2) == pytest.approx([0, 0, RATE, 1 - RATE], abs=1e-15)


def test_the_ends_are_exact() -> None:
    assert not unit_rates(0.0, PLACES).any()
    assert unit_rates(1.0, PLACES).tolist() == [0, 1, 1, 1]


def test_what_is_kept_is_a_prefix() -> None:
    drawn = METHOD.picture(3)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert (np.diff(drawn, axis=1) <= 0).all()
    assert drawn[:, 0].all()
    assert len(np.unique(drawn.sum(1))) > 2


def test_principal_components_in_order_are_the_best_linear_code() -> None:
    """Any basis of their span rebuilds as well as a whole; cut off at a random index, only theirs is best."""
    covariance = np.diag([5.0, 3.0, 2.0, 0.5])
    angle = np.pi / 5
    turned = np.eye(UNITS)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    swapped = np.eye(UNITS)[[0, 2, 1, 3]]

    def errors(basis: np.ndarray) -> np.ndarray:
        """The mean squared error of a code that keeps the first 1 ... K columns."""
        parts = [np.eye(UNITS) - basis[:, :b] @ basis[:, :b].T for b in range(1, UNITS + 1)]
        return np.array([np.trace(part @ covariance) for part in parts])

    best = errors(np.eye(UNITS))
    for basis in (turned, swapped):
        assert errors(basis)[-1] == pytest.approx(best[-1], abs=1e-12)
        assert chances() @ errors(basis) > chances() @ best + 0.1
