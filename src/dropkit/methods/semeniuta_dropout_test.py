import itertools

import numpy as np
import pytest

from dropkit import DropkitError
from dropkit.core.reference import mask
from dropkit.methods.semeniuta_dropout import semeniuta_dropout, update


def test_the_mask_is_fresh_at_each_step_or_one_for_the_sequence() -> None:
    fresh = mask(4, (1, 7, 32), semeniuta_dropout(0.5)["candidate"])[0]
    assert len(np.unique(fresh, axis=0)) == 7
    one = mask(4, (1, 7, 32), semeniuta_dropout(0.5, per="sequence")["candidate"])[0]
    assert len(np.unique(one, axis=0)) == 1


def test_what_is_in_memory_stays_whatever_is_dropped() -> None:
    """The paper's point: after T steps with every candidate dropped, only the forget gates have acted."""
    keep, memory = np.array([0.9, 0.5, 1.0, 0.7]), 3.0
    for gate in keep:
        memory = update(memory, gate, 0.4, 0.0)
    assert memory == pytest.approx(3.0 * keep.prod())


def test_the_expected_memory_is_that_without_dropout() -> None:
    rate, keep, write, candidates = 0.3, 0.8, 0.6, (1.0, -2.0, 0.5)
    mean = 0.0
    for kept in itertools.product((0, 1), repeat=3):
        memory = 1.0
        for candidate, stays in zip(candidates, kept, strict=True):
            memory = update(memory, keep, write, candidate * stays / (1 - rate))
        mean += memory * (1 - rate) ** sum(kept) * rate ** (3 - sum(kept))
    plain = 1.0
    for candidate in candidates:
        plain = update(plain, keep, write, candidate)
    assert mean == pytest.approx(plain)


def test_a_misspelt_period_is_answered() -> None:
    with pytest.raises(DropkitError, match=r"per must be one of 'step', 'sequence', got 'steps'; did you"):
        semeniuta_dropout(0.5, per="steps")
