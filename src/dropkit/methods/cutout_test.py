import itertools

import numpy as np
import pytest

from dropkit.methods.cutout import METHOD, cut


def word(place: int, n: int) -> int:
    """A draw that is sent to this place of n."""
    return (2 * place + 1) * 2**31 // n


def squares(height: int, width: int, size: int) -> np.ndarray:
    """What is cut for every centre, one image each: nothing is sampled."""
    centres = list(itertools.product(range(height), range(width)))
    rows = np.array([[word(row, height)] for row, _ in centres])
    columns = np.array([[word(column, width)] for _, column in centres])
    return np.asarray(cut(rows, columns, height, width, size, np))


@pytest.mark.parametrize(("height", "width", "size"), [(5, 7, 3), (6, 4, 2), (4, 9, 5), (3, 3, 8)])
def test_a_square_is_cut_around_every_pixel_and_clipped(height: int, width: int, size: int) -> None:
    gone = squares(height, width, size)
    for i, (row, column) in enumerate(itertools.product(range(height), range(width))):
        top, left = row - size // 2, column - size // 2
        expected = np.zeros((height, width), bool)
        expected[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = True
        assert np.array_equal(gone[i], expected)


def test_the_centre_falls_by_the_share_of_the_square_and_a_corner_less_often() -> None:
    rate = squares(9, 8, 3).mean(0)
    assert (rate[1:-1, 1:-1] == 9 / 72).all()
    assert rate[0, 0] == 4 / 72


def test_several_squares_are_one_mask() -> None:
    rows, columns = np.array([[word(1, 8), word(6, 8)]]), np.array([[word(1, 8), word(6, 8)]])
    gone = cut(rows, columns, 8, 8, 2, np)
    assert gone.sum() == 8
    assert gone[0, 1, 1]
    assert gone[0, 6, 6]


def test_the_picture_has_one_square_an_image() -> None:
    gone = 1 - METHOD.picture(7)
    for image in gone[:, 0]:
        rows, columns = image.any(1), image.any(0)
        assert np.array_equal(image, np.outer(rows, columns))
        assert rows.sum() <= 8
        assert columns.sum() <= 8
