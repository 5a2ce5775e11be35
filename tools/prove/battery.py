"""Promise 2: the mask stream, not only the generator, goes through dieharder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tools.prove.proof import Measured, NotMeasured

__all__ = ["TESTS", "dieharder"]

Test = tuple[str, ...]

_LAGS = 4  # a lag of n reads n + 1 times 400 MB: the lags beyond, up to 32, would read 220 GB more

TESTS: tuple[Test, ...] = (
    *(("-d", str(test)) for test in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 100, 101)),
    ("-d", "102"),
    *(("-d", "200", "-n", str(bits)) for bits in range(1, 13)),
    *(("-d", "201", "-n", str(dimensions)) for dimensions in range(2, 6)),
    *(("-d", "202", "-n", str(length)) for length in range(2, 6)),
    *(("-d", "203", "-n", str(lag)) for lag in range(_LAGS + 1)),
    *(("-d", str(test)) for test in range(204, 210)),
)
"""All tests that dieharder itself rates "Good", the lagged sums up to a lag of 4."""


class Run(NamedTuple):
    """What dieharder said about one test: how many p-values, which were weak or failed, the bytes read."""

    test: Test
    total: int
    weak: tuple[str, ...]
    failed: tuple[str, ...]
    read: int


def dieharder(tests: tuple[Test, ...] = TESTS, seed: int = 2026) -> Measured:
    """Run each test on a fresh part of the stream, and those with a weak p-value once more on another part.

    "Weak" and "failed" are dieharder's own words; it calls 0.5 % on either side weak, so 1 in 100 by chance.
    """
    if shutil.which("dieharder") is None:
        raise NotMeasured("dieharder is not installed (apt-get install dieharder)")
    first = [_one(test, seed + 1_000_000 * i) for i, test in enumerate(tests)]
    again = [_one(run.test, seed + 1_000_000 * (len(tests) + i)) for i, run in enumerate(first) if run.weak]
    failed = [name for run in first + again for name in run.failed]
    weak = [name for run in first for name in run.weak]
    still = sorted({_name(name) for run in again for name in run.weak} & {_name(name) for name in weak})
    read = sum(run.read for run in first + again)
    figure = (
        f"{sum(run.total for run in first)} p-values of {len(tests)} runs of dieharder {_version()}, "
        f"{read / 1e9:.1f} GB of mask bits in all: {len(failed)} failed {failed or ''}, "
        f"{len(weak)} weak {weak or ''}; "
        f"weak again on a fresh part: {still or 'none'}"
    )
    return Measured(not failed, figure)


def _version() -> str:
    """As the first lines of its list of tests say it."""
    listed = subprocess.run(["dieharder", "-l"], capture_output=True, text=True, check=True).stdout
    return listed.partition("version ")[2].partition(" ")[0]


def _one(test: Test, seed: int) -> Run:
    """Give one test a stream of its own until it has enough."""
    command = [sys.executable, "-m", "tools.prove.mask_words", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
        assert source.stdout is not None
        assert source.stderr is not None
        done = subprocess.run(
            ["dieharder", "-g", "200", *test], stdin=source.stdout, capture_output=True, text=True, check=True
        )
        source.stdout.close()  # only now the writer notices that nobody reads
        read = int(source.stderr.read())
    verdicts = list(_verdicts(done.stdout))
    weak, failed = (tuple(name for name, said in verdicts if said == word) for word in ("WEAK", "FAILED"))
    return Run(test, len(verdicts), weak, failed, read)


def _verdicts(output: str) -> Iterator[tuple[str, str]]:
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if cells[-1] in ("PASSED", "WEAK", "FAILED"):
            yield f"{cells[0]} {cells[1]} p={cells[4]}", cells[-1]


def _name(verdict: str) -> str:
    return verdict.partition(" p=")[0]
