import numpy as np

from dropkit.core.reference import mask
from dropkit.methods.zaremba_dropout import zaremba_dropout


def test_what_goes_up_is_dropped_and_nothing_that_goes_on_in_time() -> None:
    assert set(zaremba_dropout(0.3)) == {"input", "between", "output"}
    assert {drop.rate for drop in zaremba_dropout(0.3).values()} == {0.3}


def test_each_step_has_a_mask_of_its_own() -> None:
    drawn = mask(4, (3, 7, 32), zaremba_dropout(0.5)["between"])
    assert len(np.unique(drawn.reshape(21, 32), axis=0)) == 21
