"""Measure dropkit against its peers and write the table.

    python -m benchmarks [PART ...] [--threads 1 2] [--into docs]

Writes speed.md, speed.svg and speed.json. Parts that are not named keep their figures, if this
machine took them. Each part and number of threads has a process of its own on as many cores.
Ctrl-C keeps what is done.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.cell import Cell, Sheet, cells_of, load, save
from benchmarks.page import markdown, picture
from benchmarks.parts import PARTS

PACKAGES = "torch", "jax", "tensorflow", "tensorflow-cpu", "numpy"


def machine() -> dict[str, str]:
    """Say what the figures were measured on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    from dropkit import _native

    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "instruction sets run": ", ".join(_native.instruction_sets()),
        "Python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def measure(part: str, threads: int) -> None:
    """Measure one part in this process and print a cell a line."""
    if hasattr(os, "sched_setaffinity"):  # before a framework counts its cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import torch

    torch.set_num_threads(threads)
    for case in PARTS[part].cases():
        cells = cells_of(part, case, threads)
        print(json.dumps([asdict(cell) for cell in cells]), flush=True)


def measured(part: str, threads: int) -> Iterator[list[Cell]]:
    """Measure one part in a process of its own, line by line."""
    command = [sys.executable, "-m", "benchmarks", part, "--threads", str(threads), "--here"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            yield [Cell(**cell) for cell in json.loads(line)]
    if child.returncode:
        raise SystemExit(f"the part {part} failed with {threads} threads: its own words are above")


def write(sheet: Sheet, into: Path) -> None:
    """Write the three files."""
    save(sheet, into / "speed.json")
    (into / "speed.md").write_text(markdown(sheet))
    (into / "speed.svg").write_text(picture(sheet))


def collect(parts: list[str], threads: list[int], into: Path) -> None:
    """Measure the parts, keeping every line as soon as it is there."""
    sheet, kept = Sheet(machine()), into / "speed.json"
    if kept.exists() and (old := load(kept)).machine == sheet.machine:
        sheet = old
    total = sum(len(PARTS[part].cases()) for part in parts) * len(threads)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=total)
        try:
            for part in parts:
                for n in threads:
                    progress.update(bar, description=f"{part}, threads {n}")
                    for cells in measured(part, n):
                        sheet = sheet.take(cells)
                        progress.advance(bar)
        finally:
            write(sheet, into)
    print(f"written: {into / 'speed.md'}, {into / 'speed.svg'}, {into / 'speed.json'}")


def main() -> int:
    """Return the exit code: 0, or 130 if it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads")
    parser.add_argument("--into", type=Path, default=Path("docs"), help="the folder to write to")
    parser.add_argument("--here", action="store_true", help="print the cells as JSON lines, write nothing")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}: choose of {', '.join(PARTS)}")
    cores = os.cpu_count() or 1
    if not all(1 <= n <= cores for n in options.threads):
        parser.error(
            f"--threads must lie between 1 and the {cores} cores of this machine, not {options.threads}"
        )
    if not options.into.is_dir():
        parser.error(f"--into must be a folder that is there, not {options.into}")
    parts = options.parts or list(PARTS)
    if options.here:
        for part in parts:
            for n in options.threads:
                measure(part, n)
        return 0
    try:
        collect(parts, options.threads, options.into)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
