import numpy as np
import pytest

from dropkit.methods.hide_and_seek import METHOD, grid, hidden, spread


@pytest.mark.parametrize(("height", "width", "size"), [(6, 9, 3), (7, 4, 3), (2, 3, 5), (5, 5, 1)])
def test_every_pixel_belongs_to_one_cell_and_cells_are_cut_at_the_border(
    height: int, width: int, size: int
) -> None:
    rows, columns = grid(height, width, size)
    cells = np.arange(rows * columns).reshape(1, rows, columns)
    owner = spread(cells, height, width, size, np)[0]
    expected = np.kron(cells[0], np.ones((size, size), int))[:height, :width]
    assert np.array_equal(owner, expected)
    assert set(owner.flatten()) == set(cells.flatten())


def test_each_image_has_the_layer_that_it_drew() -> None:
    first, second = np.ones((3, 2, 2), bool), np.zeros((3, 2, 2), bool)
    which = np.array([0, 2**31, 2**32 - 1]).reshape(3, 1, 1)
    gone = np.broadcast_to(hidden([None, first, second], which), (3, 2, 2))
    assert gone.any((1, 2)).tolist() == [False, True, False]


def test_sizes_are_equally_likely() -> None:
    which = (np.arange(40) * 2**32 // 40).reshape(40, 1, 1)
    gone = hidden([None, np.ones((40, 1, 1), bool), None, None], which)
    assert gone.sum() == 10


def test_the_picture_hides_whole_cells_of_one_size_an_image() -> None:
    gone = (METHOD.picture(7) == 0)[:, 0]
    for image in gone:
        assert any(
            np.array_equal(image, np.kron(image[::size, ::size], np.ones((size, size), bool))[:12, :18])
            for size in (4, 6)
        )
