"""The gallery of methods, from their records: `python -m tools.gallery` writes docs/gallery.md."""

from __future__ import annotations

import html
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dropkit.cli.picture import moments, percent
from dropkit.cli.show import code
from dropkit.core.method import SITES, Method
from dropkit.methods import catalogue

__all__ = ["page", "picture", "write"]

Mask = np.ndarray[Any, Any]
DOCS = Path(__file__).parents[1] / "docs"
KEY = 7

_HEAD = """# Gallery: every method, its mask and its code

{count} methods, written by `python -m tools.gallery` from their records in `src/dropkit/methods`. Each
picture is the factor that the entries of an example get under key {key}: white is dropped, the darker the
larger, orange is negative. The code runs as it stands. `dropkit show NAME` says the same in a terminal; which
method to try first is told by [the guide](guide.md).

"""
_SITES = {
    "input": "Inputs",
    "activation": "Units, channels and blocks",
    "branch": "Residual branches and paths",
    "layer": "Whole layers",
    "state": "Recurrent states",
    "embedding": "Embeddings",
    "token": "Tokens",
    "patch": "Patches",
    "head": "Attention heads",
    "attention": "Attention",
    "weight": "Weights",
    "gradient": "Gradients",
    "node": "Nodes of a graph",
    "edge": "Edges of a graph",
    "message": "Messages in a graph",
    "output": "Outputs and losses",
}
# From white to blue, and to orange below 0: told apart by colour-blind readers too.
_BLUE, _ORANGE = np.array([8, 69, 148]), np.array([217, 72, 1])
_CELL, _GAP, _TITLE, _WIDE = 9, 12, 14, 720


def main() -> int:
    """Write the page and the pictures."""
    write(DOCS)
    print(f"{len(catalogue())} methods are in {DOCS / 'gallery.md'}")
    return 0


def write(docs: Path) -> None:
    """Write the page, and beside it the pictures; those of methods that are gone are removed."""
    folder = docs / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.svg"):
        if path.stem not in catalogue():
            path.unlink()
    for name, method in catalogue().items():
        (folder / f"{name}.svg").write_text(picture(method))
    (docs / "gallery.md").write_text(page())


def page() -> str:
    """Return the page in Markdown: by the tensor that is hit, within it by year."""
    assert set(_SITES) == set(SITES.words)
    groups = {site: sorted(_at(site), key=lambda method: method.paper.year) for site in _SITES}
    contents = "\n".join(
        f"- {_SITES[site]}: {', '.join(f'[{m.title}](#{m.name})' for m in found)}"
        for site, found in groups.items()
        if found
    )
    sections = itertools.chain.from_iterable(
        (f"## {_SITES[site]}\n", *map(_section, found)) for site, found in groups.items() if found
    )
    head = _HEAD.format(count=len(catalogue()), key=KEY)
    return f"{head}{contents}\n\n" + "\n".join(sections)


def picture(method: Method) -> str:
    """Return the mask of a method's example as SVG."""
    drawn = method.picture(KEY)
    panels = drawn.reshape(-1, *drawn.shape[-2:]) if drawn.ndim > 1 else drawn.reshape(1, 1, -1)
    titles = list(_titles(drawn.shape[:-2], method.example.axes.split()))
    cell = min(_CELL, _WIDE / panels.shape[2])
    wide, high = panels.shape[2] * cell, panels.shape[1] * cell + (_TITLE if any(titles) else 0)
    columns = min(len(panels), max(int((_WIDE + _GAP) // (wide + _GAP)), 1))
    parts = []
    for i, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        x, y = i % columns * (wide + _GAP), i // columns * (high + _GAP)
        parts.append(f'<g transform="translate({x:g} {y:g})">{_panel(panel, title, cell, high)}</g>')
    rows = -(-len(panels) // columns)
    width, height = columns * (wide + _GAP) - _GAP, rows * (high + _GAP) - _GAP
    words = html.escape(f"{method.title}: {_share(drawn)}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {width + 2:g} {height + 2:g}" '
        f'width="{width + 2:g}" height="{height + 2:g}" role="img" aria-label="{words}">'
        f"<title>{words}</title>{''.join(parts)}</svg>\n"
    )


def _at(site: str) -> Iterable[Method]:
    return (method for method in catalogue().values() if method.site == site)


def _section(method: Method) -> str:
    paper, arguments = method.paper, dict(method.example.arguments)
    authors = [name.split(",")[0] for name in paper.authors]
    who = f"{authors[0]} et al." if len(authors) > 2 else " and ".join(authors)
    said = "".join(f"{name} {value}, " for name, value in arguments.items())
    rows = [
        ("formula", f"`{method.formula}`"),
        ("paper", f"{who}, [{paper.title}]({paper.url}), {paper.venue} {paper.year}"),
        ("for", method.good_for),
        ("not for", method.bad_for),
        ("evidence", method.evidence),
        ("status", method.standing),
        (
            "the noise and groups of",
            f"[{method.variant_of}](#{method.variant_of})" if method.variant_of else "",
        ),
        ("state_dict", method.keys),
        ("also called", ", ".join(f"`{name}`" for name in method.aliases)),
        ("old names", "; ".join(f"`{name}` is {words}" for name, words in method.old_names.items())),
    ]
    table = "\n".join(f"| {label} | {_cell(words)} |" for label, words in rows if words)
    return (
        f'<a id="{method.name}"></a>\n\n### {method.title}\n\n{method.summary}\n\n'
        f"![{method.title}: {_share(method.picture(KEY))}](gallery/{method.name}.svg)\n\n"
        f"*{said}shape {method.example.shape} ({method.example.axes})*\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"```python\n{code(method, arguments)}\n```\n"
    )


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")


def _share(drawn: Mask) -> str:
    """Say what was drawn: the share that is dropped, and the moments where factors are more than two."""
    dropped = f"{percent(drawn)} of the entries are dropped"
    if len(np.unique(drawn)) <= 2:
        return dropped
    spread = f"factors of {moments(drawn)}"
    return f"{dropped}, {spread}" if (drawn == 0).any() else spread


def _titles(shape: tuple[int, ...], axes: list[str]) -> Iterator[str]:
    for place in itertools.product(*map(range, shape)):
        named = zip(axes, place, shape, strict=False)
        yield " ".join(f"{axis} {i}" for axis, i, size in named if size > 1)


def _panel(panel: Mask, title: str, cell: float, high: float) -> str:
    wide, tall = panel.shape[1] * cell, panel.shape[0] * cell
    top = high - tall
    words = f'<text y="10" font-size="11" font-family="sans-serif" fill="#777">{html.escape(title)}</text>'
    frame = f'<rect y="{top:g}" width="{wide:g}" height="{tall:g}" fill="#fff" stroke="#999"/>'
    cells = (
        f'<rect x="{start * cell:g}" y="{top + row * cell:g}" width="{length * cell:g}" height="{cell:g}" '
        f'fill="{colour}"/>'
        for row, line in enumerate(_colours(panel))
        for start, length, colour in _runs(line)
        if colour != "#ffffff"
    )
    return (words if title else "") + frame + "".join(cells)


def _colours(panel: Mask) -> list[list[str]]:
    largest = max(float(np.abs(panel).max()), np.finfo(float).tiny)
    share = np.abs(panel)[..., None] / largest
    # A kept entry is never so pale as to look dropped.
    share = np.where(share > 0, 0.15 + 0.85 * share, 0)
    mixed = np.rint(255 - share * (255 - np.where(panel[..., None] < 0, _ORANGE, _BLUE))).astype(int)
    return [[f"#{r:02x}{g:02x}{b:02x}" for r, g, b in line] for line in mixed.tolist()]


def _runs(line: list[str]) -> Iterator[tuple[int, int, str]]:
    """Neighbours of one colour as one rectangle: start, length, colour."""
    start = 0
    for colour, same in itertools.groupby(line):
        length = len(list(same))
        yield start, length, colour
        start += length


if __name__ == "__main__":
    sys.exit(main())
