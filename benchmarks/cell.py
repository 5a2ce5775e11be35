"""One figure of the table, and the file that keeps them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Case", "Cell", "Sheet", "cells_of", "load", "save"]


class Case(NamedTuple):
    """A line of a table: what is done, on what, and the call that compares it with its peers."""

    task: str
    case: str
    measure: Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Cell:
    """The figure of one peer in one line: the median of the turns, and where their middle half lies."""

    part: str
    task: str
    case: str
    threads: int
    peer: str
    figure: float
    low: float
    high: float

    @property
    def place(self) -> tuple[str, str, str, int, str]:
        """What the cell is about; a newer figure of the same place takes its room."""
        return self.part, self.task, self.case, self.threads, self.peer


@dataclass(frozen=True)
class Sheet:
    """All cells that one machine measured, with what the machine was."""

    machine: Mapping[str, str]
    cells: tuple[Cell, ...] = ()

    def take(self, cells: Iterable[Cell]) -> Sheet:
        """Return a sheet with these cells too, in the place of older ones of the same place."""
        merged = {cell.place: cell for cell in (*self.cells, *cells)}
        return Sheet(self.machine, tuple(merged.values()))

    def find(self, part: str, task: str, case: str, peer: str) -> dict[int, Cell]:
        """Return the figures of one place by number of threads."""
        wanted = part, task, case, peer
        found = (cell for cell in self.cells if (cell.part, cell.task, cell.case, cell.peer) == wanted)
        return {cell.threads: cell for cell in found}


def cells_of(part: str, case: Case, threads: int) -> list[Cell]:
    """Measure one line."""
    return [
        Cell(
            part,
            case.task,
            case.case,
            threads,
            peer,
            *(
                float(f"{value:.4g}")
                for value in (figure, getattr(figure, "low", figure), getattr(figure, "high", figure))
            ),
        )
        for peer, figure in case.measure().items()
    ]


def save(sheet: Sheet, path: Path) -> None:
    """Write a sheet as JSON, a cell a line, so that two runs can be compared by eye."""
    lines = ",\n".join(json.dumps(asdict(cell)) for cell in sheet.cells)
    path.write_text(f'{{"machine": {json.dumps(dict(sheet.machine))},\n"cells": [\n{lines}\n]}}\n')


def load(path: Path) -> Sheet:
    """Read a sheet."""
    data: dict[str, Any] = json.loads(path.read_text())
    return Sheet(data["machine"], tuple(Cell(**cell) for cell in data["cells"]))
