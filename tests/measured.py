"""A program's own memory, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PEAK = """
import resource, sys
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""


def printed(code: str, *arguments: object) -> list[int]:
    """Return the numbers that a program prints; `peak()` in it is the most memory it has had, in bytes."""
    # Linux counts what a process had before exec, which is what pytest has: a shell in between has little.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    command = [*shell, sys.executable, "-c", PEAK + code, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [int(each) for each in done.stdout.split()]
