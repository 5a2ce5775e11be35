import pytest

from dropkit import DropkitError
from dropkit.methods.layer_drop import KEEP_EVERY, METHOD, kept_layers


def test_every_other_layer_is_the_authors_list() -> None:
    kept = [layer for layer, stays in enumerate(kept_layers(16, 2)) if stays]
    assert kept == [0, 2, 4, 6, 8, 10, 12, 14]


def test_the_first_layer_stays_whatever_is_asked() -> None:
    assert kept_layers(3, 9) == (True, False, False)
    assert kept_layers(3) == (True, True, True)
    assert kept_layers(0, 2) == ()


@pytest.mark.parametrize("keep_every", KEEP_EVERY.bad())
def test_what_is_no_count_is_refused(keep_every: object) -> None:
    with pytest.raises(DropkitError, match="keep_every must be a whole number of at least 1"):
        kept_layers(4, keep_every)  # type: ignore[arg-type]  # that is the point


def test_the_picture_has_steps_of_their_own() -> None:
    assert len({tuple(step) for step in METHOD.picture(7)}) > 6
