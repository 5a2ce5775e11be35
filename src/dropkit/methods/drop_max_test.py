import numpy as np
import pytest

from dropkit.methods.drop_max import METHOD, auxiliary, divergence, gated, gates, negative_entropy

P, Q = np.array([0.2, 0.7, 0.9]), np.array([0.5, 0.1, 0.8])
TARGET = np.array([False, True, False])


def logit(p: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(p / (1 - p)))


def test_a_class_is_kept_with_its_probability_and_the_target_always() -> None:
    """The gate opens where u lies above 1 - q: at one of both sides of it, to 1e-9."""
    none = np.zeros(3, bool)
    for side, open_ in ((-1e-9, False), (1e-9, True)):
        z = gates(logit(Q), 1 - Q + side, none, temperature=1e-12)
        assert z == pytest.approx(np.full(3, float(open_)), abs=1e-12)
    assert gates(logit(Q), 1 - Q - 1e-9, TARGET, temperature=1e-12)[1] == 1


def test_gated_logits_make_the_softmax_over_what_is_kept() -> None:
    o, z = np.array([0.3, -1.0, 2.0]), np.array([1.0, 0.25, 0.0])
    logits = gated(o, z)
    softmax = np.exp(logits) / np.exp(logits).sum()
    assert softmax == pytest.approx(z * np.exp(o) / (z * np.exp(o)).sum(), abs=1e-15)


def test_the_terms_are_those_of_their_definition() -> None:
    other = Q * np.log(Q / P) + (1 - Q) * np.log((1 - Q) / (1 - P))
    assert divergence(logit(P), logit(Q), TARGET) == pytest.approx(other[0] - np.log(P[1]) + other[2])
    assert auxiliary(logit(Q), TARGET) == pytest.approx(-np.log(1 - Q[0]) - np.log(Q[1]) - np.log(1 - Q[2]))
    entropy = -(P * np.log(P) + (1 - P) * np.log(1 - P)).sum()
    assert negative_entropy(logit(P)) == pytest.approx(-entropy)


def test_extreme_logits_stay_finite() -> None:
    extreme = np.array([1e4, -1e4])
    for value in (divergence(extreme, -extreme, ~extreme.astype(bool)), negative_entropy(extreme)):
        assert np.isfinite(value)


def test_the_picture_keeps_the_target_of_every_row() -> None:
    drawn = METHOD.picture(3)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert drawn[np.arange(8), np.arange(8)].all()
