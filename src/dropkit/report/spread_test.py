import pytest

from dropkit.report.spread import cut_off, thinned


@pytest.mark.parametrize("count", [0, 1, 5, 6, 100])
def test_no_more_than_asked_for_are_kept_with_both_ends(count: int) -> None:
    kept = thinned(range(count), 6)
    assert len(kept) == min(count, 6)
    assert kept[:1] == [*range(count)][:1]
    assert kept[-1:] == [*range(count)][-1:]
    assert len(set(kept)) == len(kept)


def test_all_that_must_be_seen_is_and_the_worst_of_the_rest_is_counted() -> None:
    limits: list[float] = []
    loose = [*([1.0] * 97), 50.0, 60.0, 70.0]
    outside = cut_off(lambda low, high: limits.extend((low, high)), loose, [0.5, 2.0])
    assert outside == 3
    assert limits[0] < 0.5
    assert 2.0 < limits[1] < 50.0


def test_equal_values_leave_a_window() -> None:
    limits: list[float] = []
    assert cut_off(lambda low, high: limits.extend((low, high)), [], [3.0, 3.0]) == 0
    assert limits == [2.5, 3.5]
