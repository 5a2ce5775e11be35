import pytest

from dropkit.report.svg import axes_of, legend_above


@pytest.mark.parametrize(("name", "columns"), [("none", 3), ("Gaussian dropout", 2), ("a" * 60, 1)])
def test_a_legend_has_as_many_columns_as_the_picture_holds(name: str, columns: int) -> None:
    with axes_of(3.0) as (figure, axes):
        for _ in range(6):
            axes.plot([], [], "o", label=name)
        legend_above(axes, 3)
        figure.draw_without_rendering()
        legend = axes.get_legend()
        assert legend is not None
        assert len({round(text.get_window_extent().x0) for text in legend.get_texts()}) == columns
        assert columns == 1 or legend.get_window_extent().width <= figure.bbox.width
