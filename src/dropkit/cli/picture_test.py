import numpy as np
import pytest

from dropkit.cli.picture import BLOCKS, PLAIN, legend, picture


def test_a_panel_shows_rows_as_lines_and_entries_as_squares() -> None:
    mask = np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 0.0]])
    assert picture(mask, "b d", BLOCKS, 80) == "··████\n██····"


def test_an_array_of_one_axis_is_one_line() -> None:
    assert picture(np.array([0.0, 1.0]), "d", PLAIN, 80) == "..##"


def test_a_narrow_terminal_gets_one_column_an_entry() -> None:
    assert picture(np.eye(4), "b d", PLAIN, 7).splitlines()[0] == "#..."


def test_panels_are_shared_out_evenly_over_the_lines() -> None:
    lines = picture(np.ones((4, 1, 1)), "b t d", PLAIN, 14).splitlines()
    assert lines == ["b 0  b 1", "##   ##", "b 2  b 3", "##   ##"]


def test_panels_are_named_by_the_axes_that_have_more_than_one_place() -> None:
    lines = picture(np.ones((1, 2, 1, 3)), "b c h w", PLAIN, 80).splitlines()
    assert lines[0].split() == ["c", "0", "c", "1"]
    assert picture(np.ones((1, 1, 1, 3)), "b c h w", PLAIN, 80) == "######"


def test_a_larger_factor_is_a_darker_glyph_and_a_negative_one_the_lightest() -> None:
    assert picture(np.array([[-1.0, 0.0, 0.5, 1.0, 1.5, 2.0]]), "b d", BLOCKS, 6) == "··░▒▓█"


def test_a_mask_that_drops_everything_is_drawn() -> None:
    mask = np.zeros((1, 2))
    assert picture(mask, "b d", BLOCKS, 80) == "····"
    assert "dropped (100 %)" in legend(mask, BLOCKS)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([0.0, 1.25, 1.25, 1.25], "kept, times 1.25   · dropped (25 %)"),
        ([0.5, 1.0, 1.5], "0 or less to █ 1.5   (mean 1.00, variance 0.17)"),
    ],
)
def test_the_legend_tells_a_decision_from_a_factor(mask: list[float], words: str) -> None:
    assert legend(np.array(mask), BLOCKS).endswith(words)
