import numpy as np

from dropkit.methods.multi_sample_dropout import METHOD


def test_each_sample_of_the_picture_has_a_mask_of_its_own() -> None:
    drawn = METHOD.picture(3)
    assert set(np.unique(drawn)) == {0.0, 2.0}
    assert len({each.tobytes() for each in drawn}) == len(drawn) == 4
