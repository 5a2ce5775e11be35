import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.core.reference import apply, mask
from dropkit.methods.drop_path import drop_path


def test_a_scaled_branch_expects_itself_and_an_unscaled_one_shrinks() -> None:
    scaled, unscaled = drop_path(0.2), drop_path(0.2, scale_by_keep=False)
    assert scaled.noise.moments(0.2, scaled.scale).mean == pytest.approx(1)
    assert unscaled.noise.moments(0.2, unscaled.scale).mean == pytest.approx(0.8)


def test_neither_changes_the_branch_at_evaluation() -> None:
    branch = np.ones((2, 3))
    for drop in (drop_path(0.2), drop_path(0.2, scale_by_keep=False)):
        assert apply(branch, drop, mode="eval") is branch


def test_per_batch_has_one_coin_and_per_sample_one_for_each() -> None:
    per_batch = [mask(key, (8, 3), drop_path(0.5, per="batch")) for key in range(16)]
    assert {len(np.unique(drawn)) for drawn in per_batch} == {1}
    assert {float(drawn[0, 0]) for drawn in per_batch} == {0.0, 2.0}
    per_sample = mask(0, (64, 3), drop_path(0.5))
    assert {tuple(row) for row in per_sample} == {(0.0,) * 3, (2.0,) * 3}


def test_a_misspelt_word_is_refused() -> None:
    with pytest.raises(DropkitError, match=r"per must be one of 'sample', 'batch', got 'samples'.*'sample'"):
        drop_path(0.1, per="samples")  # type: ignore[arg-type]  # the wrong word is the point
