from dropkit.core.reference import mask
from dropkit.methods.input_dropout import input_dropout


def test_a_pixel_of_each_sample_has_its_own_coin() -> None:
    drawn = mask(1, (64, 3, 8, 8), input_dropout(0.5))
    alike = (drawn[:, :1] == drawn[:, 1:2]).mean()
    # Two fair coins agree half the time. By Hoeffding's bound 4096 pairs leave (0.4, 0.6) with probability
    # below 2 exp(-2 * 4096 * 0.1**2) = 5e-36.
    assert 0.4 < alike < 0.6
