from typing import Any

import pytest

from dropkit import DropkitError
from dropkit.methods.layer_drop import DROP_EVERY, KEEP_EVERY, METHOD, kept_layers


def test_every_other_layer_is_the_authors_list() -> None:
    kept = [layer for layer, stays in enumerate(kept_layers(16, 2)) if stays]
    assert kept == [0, 2, 4, 6, 8, 10, 12, 14]


def test_the_first_layer_stays_whatever_is_asked() -> None:
    assert kept_layers(3, 9) == (True, False, False)
    assert kept_layers(3) == (True, True, True)
    assert kept_layers(0, 2) == ()


@pytest.mark.parametrize(("share", "gone"), [(2, 6), (3, 4), (4, 3), (12, 1)])
def test_a_share_of_1_over_k_drops_every_kth_layer(share: int, gone: int) -> None:
    kept = kept_layers(12, drop_every=share)
    assert kept.count(False) == gone
    assert [d for d in range(1, 13) if not kept[d - 1]] == [d for d in range(1, 13) if d % share == 0]
    assert (kept == kept_layers(12, share)) == (share == 2)


def test_the_layers_that_stay_can_be_listed() -> None:
    assert kept_layers(4, keep=(3, 0)) == (True, False, False, True)
    assert kept_layers(3, keep=[]) == (False, False, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": [4]}, "keep names some of the 4 layers"),
        ({"keep": [-1]}, r"keep\[0\] must be a whole number of at least 0"),
        ({"keep": [0], "keep_every": 2}, "keep_every is the only choice of layers"),
        ({"drop_every": 2, "keep_every": 2}, "keep_every is the only choice of layers"),
        *(
            ({"drop_every": bad}, "drop_every must be a whole number")
            for bad in DROP_EVERY.bad()
            if bad is not None
        ),
    ],
)
def test_what_is_no_choice_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        kept_layers(4, **arguments)


@pytest.mark.parametrize("keep_every", KEEP_EVERY.bad())
def test_what_is_no_count_is_refused(keep_every: object) -> None:
    with pytest.raises(DropkitError, match="keep_every must be a whole number of at least 1"):
        kept_layers(4, keep_every)  # type: ignore[arg-type]  # that is the point


def test_the_picture_has_steps_of_their_own() -> None:
    assert len({tuple(step) for step in METHOD.picture(7)}) > 6
