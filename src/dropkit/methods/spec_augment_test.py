import itertools
from collections import Counter

import numpy as np
import pytest

from dropkit.methods.spec_augment import METHOD, covered, share_of


def word(place: int, n: int) -> int:
    """A draw that is sent to this place of n."""
    return (2 * place + 1) * 2**31 // n


def one_mask(widest: int, valid: int, size: int) -> list[tuple[int, int, np.ndarray]]:
    """Every width with every start, and what each covers: nothing is sampled."""
    found = []
    for width in range(widest + 1):
        for start in range(valid - width + 1):
            draws = (np.array([[word(width, widest + 1)]]), np.array([[word(start, valid - width + 1)]]))
            found.append((width, start, covered(*draws, widest, valid, size, np)[0]))
    return found


@pytest.mark.parametrize(("widest", "valid", "size"), [(3, 7, 7), (2, 5, 8), (4, 4, 4), (0, 3, 3), (0, 0, 3)])
def test_a_mask_has_every_width_up_to_the_widest_and_lies_where_frames_count(
    widest: int, valid: int, size: int
) -> None:
    for width, start, mask in one_mask(widest, valid, size):
        expected = np.zeros(size, bool)
        expected[start : start + width] = True
        assert np.array_equal(mask, expected)


def test_widths_are_equally_likely_and_so_are_places() -> None:
    """12 x 60 draws: widths 0 ... 3 take three rows each, and places of each width equal parts of a row."""
    lengths, starts = ((2 * np.arange(n) + 1) * 2**32 // (2 * n) for n in (12, 60))
    pairs = np.array(list(itertools.product(lengths, starts)))
    masks = covered(pairs[:, :1], pairs[:, 1:], 3, 6, 6, np)
    counts = Counter(map(tuple, np.argwhere(masks).tolist()))
    assert sum(counts.values()) == 180 * (0 + 1 + 2 + 3)
    assert np.bincount(masks.sum(1)).tolist() == [180] * 4
    for width, places in ((1, 6), (2, 5), (3, 4)):
        first = masks[masks.sum(1) == width].argmax(1)
        assert np.bincount(first).tolist() == [180 // places] * places


def test_masks_add_up_and_each_sample_may_have_fewer() -> None:
    lengths = np.full((2, 2), word(2, 3))
    starts = np.array([[word(0, 5), word(4, 5)]] * 2)
    masks = covered(lengths, starts, 2, 6, 6, np, np.array([[2], [1]]))
    assert masks.astype(int).tolist() == [[1, 1, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0]]


def test_each_sample_has_a_length_and_a_width_of_its_own() -> None:
    last = np.full((2, 1), 2**32 - 1)
    masks = covered(last, last, np.array([[3], [1]]), np.array([[6], [4]]), 6, np)
    assert masks.astype(int).tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0]]


@pytest.mark.parametrize(("share", "n"), [(0.29, 100), (0.07, 100), (0.7, 10), (0.2, 5), (1.0, 3), (0.0, 9)])
def test_a_share_is_not_short_by_one_for_want_of_a_binary_fraction(share: float, n: int) -> None:
    assert share_of(n, share) == round(share * n)


def test_the_picture_masks_whole_frames_and_whole_frequencies() -> None:
    for gone in METHOD.picture(7) == 0:
        frames, frequencies = gone.all(1), gone.all(0)
        assert np.array_equal(gone, frames[:, None] | frequencies)
