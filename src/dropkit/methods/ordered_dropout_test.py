import numpy as np

from dropkit.methods.ordered_dropout import METHOD, chosen_width, kept_units

WIDTHS = (0.2, 0.4, 1.0)


def test_each_width_has_its_third_of_the_draws() -> None:
    edges = [round(i / 3 * 2**32) for i in range(4)]
    for i, width in enumerate(WIDTHS):
        assert chosen_width(edges[i], WIDTHS) == chosen_width(edges[i + 1] - 1, WIDTHS) == width


def test_units_are_rounded_up_and_never_all_gone() -> None:
    assert [kept_units(7, width) for width in (0.01, 1 / 7, 0.5, 1.0)] == [1, 1, 4, 7]
    assert [kept_units(100, i / 100) for i in range(1, 101)] == list(range(1, 101))


def test_smaller_networks_lie_inside_of_larger_ones() -> None:
    drawn = METHOD.picture(3)
    assert (np.diff(drawn, axis=1) <= 0).all()
    assert set(drawn.sum(1)) <= {8.0, 16.0, 24.0, 32.0}


def test_for_a_linear_map_the_singular_vectors_in_order_are_best() -> None:
    """The mean error over widths of U diag(s) V, cut to its first units, is least in the order of s."""
    values, widths = np.array([4.0, 2.0, 1.0, 0.5]), (0.25, 0.5, 0.75, 1.0)

    def error(order: list[int]) -> float:
        return float(np.mean([(values[order[kept_units(4, w) :]] ** 2).sum() for w in widths]))

    assert error([0, 1, 2, 3]) < min(error([1, 0, 2, 3]), error([0, 2, 1, 3]), error([0, 1, 3, 2]))
