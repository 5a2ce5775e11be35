"""The page and the picture of the table."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from typing import Any

from benchmarks.cell import Cell, Sheet
from benchmarks.goals import GOALS
from benchmarks.parts import PARTS

__all__ = ["markdown", "picture"]

PEERS = (
    *("F.dropout", "torch.compile", "JAX", "TensorFlow", "clone", "F.relu"),
    *("with dropout", "without dropout", "masked", "thinned", "sliced"),
)
HEAD = """# Speed and memory

Written by `make bench`. Nobody edits this page. Seconds drift, so a figure is a ratio of times taken in
turns within one run: the median of the turns, and, where they are not alike, the range of their middle half.
Every framework has as many cores as the threads named.

{machine}

![Time by number of entries, attention by length, skipping by rate](speed.svg)

## Goals

{goals}
"""


def markdown(sheet: Sheet) -> str:
    """Write the page."""
    machine = "\n".join(_fact(*each) for each in sheet.machine.items())
    parts = [_part(name, [cell for cell in sheet.cells if cell.part == name]) for name in PARTS]
    return "\n".join([HEAD.format(machine=machine, goals=_goals(sheet)), *filter(None, parts)])


def _fact(name: str, value: str) -> str:
    """A line about the machine; of the instruction sets that run the widest was timed, as in every call."""
    if name == "instruction sets run":
        timed, *others = value.split(", ")
        name, value = "instruction set timed", f"{timed}; not timed: {', '.join(others) or 'none'}"
    return f"- {name}: {value}"


def _goals(sheet: Sheet) -> str:
    rows = []
    for goal in GOALS:
        verdicts = goal.judge(sheet)
        reached = ", ".join(f"{each.figure:.3g}" for each in verdicts)
        threads = ", ".join(str(each.threads) for each in verdicts)
        met = ", ".join("met" if each.met else "missed" for each in verdicts)
        rows.append([goal.says, goal.bound, reached or "not measured", threads, met])
    return _table(["figure", "goal", "measured", "threads", "verdict"], rows)


def _part(name: str, cells: list[Cell]) -> str:
    if not cells:
        return ""
    text = [f"## {PARTS[name].title}\n\nA figure is {PARTS[name].says}.\n"]
    for task in dict.fromkeys(cell.task for cell in cells):
        mine = [cell for cell in cells if cell.task == task]
        peers = list(dict.fromkeys(cell.peer for cell in mine))
        lines = list(dict.fromkeys((cell.case, cell.threads) for cell in mine))
        found = {(cell.case, cell.threads, cell.peer): cell for cell in mine}
        rows = [
            [case, str(threads), *(_figure(found.get((case, threads, peer))) for peer in peers)]
            for case, threads in sorted(lines, key=lambda line: line[1])
        ]
        text.append(f"### {task[:1].upper() + task[1:]}\n\n{_table(['', 'threads', *peers], rows)}\n")
    return "\n".join(text)


def _figure(cell: Cell | None) -> str:
    if cell is None:
        return ""
    alike = cell.high - cell.low <= 0.1 * cell.figure
    return f"{cell.figure:.3g}" + ("" if alike else f" ({cell.low:.3g} to {cell.high:.3g})")


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def picture(sheet: Sheet) -> str:
    """Draw what a reader wants to see first, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "dropkit", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(11, 7.5), layout="constrained")
        panels: Any = figure.subplots(2, 2).ravel()
        _sizes(panels[0], sheet, "forward", "Forward, float32, one thread")
        _sizes(panels[1], sheet, "forward + backward", "Forward + backward, float32, one thread")
        _lengths(panels[2], sheet)
        _rates(panels[3], sheet)
        for panel in panels:
            panel.axhline(1, color="0.4", linewidth=0.8, linestyle=":")
            panel.spines[["top", "right"]].set_visible(False)
            if panel.get_legend_handles_labels()[0]:
                panel.legend(frameon=False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _curves(panel: Any, cells: Iterable[Cell], x: Any) -> None:
    by_peer = sorted(cells, key=lambda cell: cell.peer)
    for peer, cells_of_peer in itertools.groupby(by_peer, key=lambda cell: cell.peer):
        points = sorted((x(cell), cell.figure) for cell in cells_of_peer)
        # A peer looks the same in every panel.
        number = PEERS.index(peer) if peer in PEERS else len(PEERS)
        marker, colour = "osv^Dx*P"[number % 8], f"C{number % 10}"
        panel.plot(*zip(*points, strict=True), marker=marker, color=colour, markersize=4, label=peer)


def _sizes(panel: Any, sheet: Sheet, task: str, title: str) -> None:
    cells = [
        cell
        for cell in sheet.cells
        if (cell.part, cell.task, cell.threads) == ("elementwise", task, 1) and cell.case.endswith("float32")
    ]
    _curves(panel, cells, lambda cell: int(cell.case.split()[0].replace(",", "")))
    panel.set(xscale="log", yscale="log", xlabel="entries", ylabel="time / time of dropkit", title=title)


def _lengths(panel: Any, sheet: Sheet) -> None:
    cells = [
        cell
        for cell in sheet.cells
        if (cell.part, cell.task, cell.threads) == ("attention", "forward + backward", 1)
    ]
    _curves(panel, cells, lambda cell: int(cell.case.split("x")[2]))
    title = "Attention, forward + backward, one thread"
    panel.set(
        xscale="log", yscale="log", xlabel="length", ylabel="time of PyTorch / time of dropkit", title=title
    )
    lengths = sorted({int(cell.case.split("x")[2]) for cell in cells})
    panel.set_xticks(lengths, [str(length) for length in lengths])
    panel.set_yticks([1, 2, 4], ["1", "2", "4"])
    panel.minorticks_off()


def _rates(panel: Any, sheet: Sheet) -> None:
    cells = [
        cell for cell in sheet.cells if (cell.part, cell.task, cell.threads) == ("skip", "feed-forward", 1)
    ]
    _curves(panel, cells, lambda cell: float(cell.case.split()[-1]))
    title = "Feed-forward block that leaves out what is dropped, one thread"
    panel.set(xlabel="rate", ylabel="time / time without dropout", title=title)
