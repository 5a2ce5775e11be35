"""Matplotlib figures as SVG text that follows the page's own colours, dark or light."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["DASHES", "FAINT", "INK", "MARKERS", "SERIES", "SOFT", "Picture", "axes_of", "legend_above"]

# Placeholders that the page's style sheet replaces by its own ink and lines.
INK, FAINT, SOFT = "#010203", "#010204", "#010205"
# Okabe and Ito's colours, safe for colour-blind readers; shapes and dashes say the same again.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dropkit",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
}
_VARIABLES = {INK: "ink", FAINT: "faint", SOFT: "grey"} | {
    colour: f"series-{at}" for at, colour in enumerate(SERIES)
}


class Picture:
    """One SVG with a title and a description in words for those who do not see it."""

    def __init__(self, name: str, title: str, words: str, figure: Figure) -> None:
        self.name, self.title, self.words = name, title, words
        self.svg = _describe(_own_names(_svg(figure), name), name, title, words)


@contextmanager
def axes_of(height: float) -> Iterator[tuple[Figure, Axes]]:
    """Axes as wide as a phone, so that the text stays readable there; `height` in inches."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, height), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(axis="both")
        axes.set_axisbelow(True)
        yield figure, axes


def legend_above(axes: Axes, columns: int) -> None:
    """A legend above the axes, where it hides nothing, in so many columns or as few as the picture holds."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    for count in range(columns, 0, -1):
        legend = axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=count)
        with _any_script():
            width = legend.get_window_extent().width
        if width <= figure.bbox.width:
            return


@contextmanager
def _any_script() -> Iterator[None]:
    # The browser writes the text with fonts of its own; here it is only measured.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def _svg(figure: Figure) -> str:
    with mpl.rc_context(_STYLE), _any_script():
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text


def _own_names(svg: str, name: str) -> str:
    # Several pictures stand in one page, and matplotlib gives all of them the same ids.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    return re.sub(r'href="#|url\(#', lambda found: f"{found.group()}{name}-", svg)


def _describe(svg: str, name: str, title: str, words: str) -> str:
    box = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg role="img" aria-labelledby="{name}-title {name}-words" {box.group() if box else ""}>'
    told = f'<title id="{name}-title">{html.escape(title)}</title>'
    told += f'<desc id="{name}-words">{html.escape(words)}</desc>'
    return re.sub(r"<svg[^>]*>", lambda _: head + told, svg, count=1)
