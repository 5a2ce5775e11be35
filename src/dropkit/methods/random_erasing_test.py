import numpy as np
import pytest

from dropkit.methods.random_erasing import METHOD, erased, first, sides

SHARE, RATIO = (0.02, 0.4), (0.3, 1 / 0.3)


@pytest.mark.parametrize("area", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("aspect", [0.0, 0.7, 1.0])
def test_area_and_shape_are_the_papers(area: float, aspect: float) -> None:
    tall, wide = sides(area, aspect, 32, 64, SHARE, RATIO)
    assert tall * wide == pytest.approx(32 * 64 * (0.02 + 0.38 * area))
    assert tall / wide == pytest.approx(0.3 + (1 / 0.3 - 0.3) * aspect)


def test_the_first_attempt_that_fits_is_taken() -> None:
    fits = np.array([[False, True, True], [True, False, True], [False, False, False]])
    assert first(fits, np.arange(9).reshape(3, 3)).tolist() == [1, 3, 0]


def rectangles(tall: int, wide: int, height: int, width: int, rate: float = 1.0) -> np.ndarray:
    """What is erased for a grid of draws of the place, image by image, where the sides are given."""
    steps = (2 * np.arange(60) + 1) * 2**32 // 120
    rows, columns = (side.flatten() for side in np.meshgrid(steps, steps, indexing="ij"))
    half = np.full((3600, 1), 0.5)
    drawn = {"area": half, "aspect": half, "row": rows, "column": columns, "coin": np.full(3600, 2**31)}
    share, ratio = tall * wide / (height * width), tall / wide
    return np.asarray(erased(drawn, (height, width), (share, share), (ratio, ratio), rate, np))


def test_a_rectangle_lies_at_every_place_inside_equally_often() -> None:
    gone = rectangles(3, 2, 5, 6)
    assert (gone.sum((1, 2)) == 6).all()
    tops, lefts = gone.any(2).argmax(1), gone.any(1).argmax(1)
    places, counts = np.unique(np.stack([tops, lefts]), axis=1, return_counts=True)
    assert places.shape[1] == 3 * 5
    assert (counts == 3600 / 15).all()


@pytest.mark.parametrize(("tall", "wide"), [(5, 2), (2, 6), (7, 1)])
def test_what_does_not_fit_erases_nothing(tall: int, wide: int) -> None:
    assert not rectangles(tall, wide, 5, 6).any()


def test_an_image_is_left_alone_where_its_coin_says_so() -> None:
    assert not rectangles(3, 2, 5, 6, rate=0.5).any()
    assert rectangles(3, 2, 5, 6, rate=0.51).any()


def test_the_picture_has_one_rectangle_in_some_images() -> None:
    gone = (METHOD.picture(7) == 0)[:, 0]
    assert {bool(image.any()) for image in gone} == {True, False}
    for image in gone:
        assert np.array_equal(image, np.outer(image.any(1), image.any(0)))
