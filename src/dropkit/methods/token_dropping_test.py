import numpy as np

from dropkit.methods import get


def test_exactly_the_same_number_of_tokens_goes_through_in_every_sample() -> None:
    for key in range(20):
        drawn = get("random_ltd").picture(key)
        assert (drawn[..., 0].sum(-1) == 8).all()
        assert np.array_equal(drawn, np.broadcast_to(drawn[..., :1], drawn.shape))
