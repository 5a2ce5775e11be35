import numpy as np

from dropkit import Drop
from dropkit.core.reference import mask
from dropkit.methods.annealed_dropout import METHOD, annealed_dropout


def test_the_rate_falls_by_equal_steps_to_zero_and_stays_there() -> None:
    rates = [annealed_dropout(0.8, 4).at(step).rate for step in range(7)]
    assert np.allclose(rates, [0.8, 0.6, 0.4, 0.2, 0, 0, 0], rtol=1e-15, atol=0)


def test_every_step_is_dropout_at_the_rate_of_that_step() -> None:
    assert annealed_dropout(0.8, 4).at(2) == Drop(0.4)
    assert (mask(3, (50,), annealed_dropout(0.8, 4).at(4)) == 1).all()


def test_the_picture_ends_without_dropout() -> None:
    drawn = METHOD.picture(7)
    assert (drawn[0] == 0).any()
    assert drawn[-1].max() == 1 / (1 - 0.5 / 16)
