import numpy as np
import pytest

from dropkit.core.boxes import box, pick, span


@pytest.mark.parametrize("n", [1, 2, 7, 10, 2**31 - 1])
def test_every_number_below_n_is_picked_equally_often_but_for_one_draw(n: int) -> None:
    few = min(n, 10)
    first = np.array([-(-i * 2**32 // n) for i in range(few + 1)])  # the smallest u that is sent to i
    assert pick(first[:few], n).tolist() == list(range(few))
    assert pick(first[1:] - 1, n).tolist() == list(range(few))
    assert set(np.diff(first)) <= {2**32 // n, 2**32 // n + 1}


def test_each_draw_has_a_number_of_its_own_to_choose_from() -> None:
    assert pick(np.array([2**31, 2**32 - 1]), np.array([4, 3])).tolist() == [2, 2]


def test_spans_are_cut_at_the_border_and_may_be_empty() -> None:
    drawn = span(np.array([-2, 3, 1]), np.array([3, 9, 0]), 5, np)
    assert drawn.astype(int).tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]


def test_a_box_is_where_rows_and_columns_meet() -> None:
    rows, columns = span(np.array([[1]]), 1, 2, np), span(np.array([[0]]), 2, 3, np)
    assert box(rows, columns).astype(int).tolist() == [[[[0, 0, 0], [1, 1, 0]]]]
