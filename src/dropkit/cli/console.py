"""Where the words go: colours and the terminal's width for people, plain text of one width for a pipe."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["PIPE_WIDTH", "console"]

PIPE_WIDTH = 100


def console() -> Console:
    """Return a console for standard output: in a pipe it has no colours and, without COLUMNS, one width."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)
